"""The explorer without a browser: it asks, runs, draws, cancels and says what is wrong."""

import io
import threading
from typing import Any

import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from PIL import Image

from paperlib.core.paths import Layout
from paperlib.report.explorer import Explorer, answer, picture
from paperlib.schema.record import Epoch
from paperlib.trials.store import Store
from tests import measured_costs
from tests.conftest import ROOT


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


@pytest.mark.parametrize(("sparsity", "told"), [(0.5, "measured, 2 processes"), (0.3, "counted FLOPs")])
def test_costs_are_measured_where_a_record_has_the_arm_and_counted_elsewhere(
    explorer: Explorer, sparsity: float, told: str
) -> None:
    measured_costs.write(Layout.of("paper"))
    explorer.sparsity.value = sparsity
    figure = picture(*answer(explorer.trials(), explorer.layout))
    assert told in figure.axes[2].get_title("left")
    assert len(figure.axes[2].patches) >= 2


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


IN_A_KERNEL = """
import sys, time
import paperlib.report.explorer
from paperlib.core.paths import Layout
from tests.conftest import served, tiny

images = tiny(n=200_000)
serving = served(lambda selection: images)
serving.__enter__()
paperlib.report.explorer.BUDGET = {"batch_size": 16}
explorer = paperlib.report.explorer.Explorer(Layout.of("scratch"))
explorer.model.value = "mlp-medium"
"""
UNTIL_IT_TRAINS = """
def running():
    frame, names = sys._current_frames().get(explorer._thread.ident), set()
    while frame:
        names.add(frame.f_code.co_name)
        frame = frame.f_back
    return names

while not {"fit", "epoch"} <= running() or "warm_up" in running():
    assert explorer._thread.is_alive(), explorer.said.value
    time.sleep(0.05)
print(explorer.progress.value, "epochs")
"""


def test_cancel_ends_an_epoch_of_minutes_and_leaves_the_kernel_free(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a browser does it: a message of the button to a kernel, while the training runs."""
    root = str(ROOT)
    monkeypatch.setenv("PYTHONPATH", root)
    manager, client = start_new_kernel(kernel_name="python3", cwd=root)

    def answers(code: str) -> str:
        found: list[str] = []

        def hook(message: dict[str, Any]) -> None:
            found.extend(message["content"][k] for k in ("text", "evalue") if k in message["content"])

        client.execute_interactive(code, output_hook=hook, timeout=300)
        return "".join(found).strip()

    try:
        assert answers(IN_A_KERNEL) == ""
        button = answers("explorer.start(); print(explorer.cancel.comm.comm_id)")
        assert answers(UNTIL_IT_TRAINS) == "0 epochs"
        click = {"method": "custom", "content": {"event": "click"}}
        client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": button, "data": click}))
        assert answers("explorer.wait(20); print(explorer._thread.is_alive(), explorer.go.disabled)") == "False False"
        assert answers("print(explorer.said.value)") == "cancelled; finished trials are kept"
        assert [p for p in layout.results.rglob("*") if p.is_file()] == []
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_an_interrupt_while_waiting_cancels(explorer: Explorer, monkeypatch: pytest.MonkeyPatch) -> None:
    explorer.start()
    thread = explorer._thread
    assert thread

    def interrupted(timeout_s: float | None = None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(thread, "join", interrupted)
        explorer.wait()
    explorer.wait(120)
    assert "cancelled" in explorer.said.value and not Store(explorer.layout).records()
