"""The explorer without a browser: it asks, runs, draws, cancels and says what is wrong."""

import io
import threading

import numpy as np
import pytest
from PIL import Image

from paperlib.explorer import Explorer
from paperlib.paths import Layout
from paperlib.record import Epoch
from paperlib.store import Store


@pytest.fixture
def explorer(layout: Layout, tiny_images: object) -> Explorer:
    explorer = Explorer(layout)
    explorer.epochs.value, explorer.seeds.value, explorer.sparsity.value = 2, 2, 0.5
    return explorer


def test_run_stores_the_trials_and_draws_them(explorer: Explorer) -> None:
    explorer.start()
    explorer.wait(120)
    stored = {(r.trial.method, r.trial.sparsity, r.trial.seed) for r in Store(explorer.layout).records()}
    assert stored == {("dense", 0.0, 0), ("dense", 0.0, 1), ("set", 0.5, 0), ("set", 0.5, 1)}
    assert "paperlib run" in explorer.said.value
    pixels = np.asarray(Image.open(io.BytesIO(explorer.image.value)).convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 5
    assert explorer.progress.value == explorer.progress.max and not explorer.go.disabled
    bundle = explorer._repr_mimebundle_()
    assert "image/png" in bundle and "application/vnd.jupyter.widget-view+json" in bundle


def test_the_impossible_is_said_not_raised(explorer: Explorer) -> None:
    explorer.sparsity.value, explorer.scope.value = 0.98, "layerwise-matched"
    explorer.start()
    explorer.wait(120)
    assert "layerwise-matched" in explorer.said.value and not explorer.go.disabled


def test_cancel_keeps_what_is_finished(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = threading.Event()

    def first_epoch_of_set(epoch: Epoch) -> None:
        if explorer.progress.value == 2 * explorer.epochs.value:  # both dense trials are done
            explorer.cancel.click()
        seen.set()
        Explorer._epoch(explorer, epoch)

    monkeypatch.setattr(explorer, "_epoch", first_epoch_of_set)
    explorer.start()
    explorer.wait(120)
    assert seen.is_set() and "cancelled" in explorer.said.value
    assert {r.trial.method for r in Store(explorer.layout).records()} == {"dense"}
