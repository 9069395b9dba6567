"""Dense accuracies beside published ones: the reasons are those of the records."""

import pandas as pd
import pytest

from paperlib import literature
from paperlib.data import DATASETS
from paperlib.data.imageset import ImageSet
from paperlib.exhibits import base
from paperlib.models import MODELS
from paperlib.paths import Layout
from paperlib.run import run
from paperlib.store import Store
from paperlib.trial import Trial


def made(layout: Layout) -> pd.DataFrame:
    exhibit = literature.write(Store(layout).table(), "own", layout)
    assert exhibit is not None
    return pd.read_csv(base(layout) / next(f for f in exhibit.files if f.endswith(".csv"))).set_index("data set")


def test_a_low_accuracy_is_explained_by_what_was_less(layout: Layout, tiny_images: ImageSet) -> None:
    record = run(Trial(dataset="fashionmnist", epochs=1), layout)
    run(Trial(dataset="mnist", epochs=1), layout)
    assert record.test is not None and record.network is not None
    row, none = made(layout).loc["fashionmnist"], made(layout).loc["mnist"]
    assert float(row["difference, points"]) == pytest.approx(100 * record.test.accuracy - 88.33, abs=0.006)
    why = row["where ours is more than 1.5 points below"]
    assert f"{record.network.parameters:,} of 247,766 parameters" in why
    assert f"{record.data.train:,} of 60,000 training images" in why and "epochs" not in why
    assert none["published, %"] == "none known" and none["difference, points"] == "–"


def test_a_close_accuracy_needs_no_reason(
    layout: Layout, tiny_images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run(Trial(dataset="fashionmnist", epochs=1), layout)
    assert record.test is not None
    for below, explained in ((1.4, False), (1.6, True)):
        near = literature.Published(100 * record.test.accuracy + below, "someone", "a network", epochs=1)
        monkeypatch.setitem(literature.KNOWN, ("fashionmnist", "mlp-small"), near)
        why = made(layout).loc["fashionmnist", "where ours is more than 1.5 points below"]
        assert (why != "–") == explained


def test_only_known_data_sets_and_models_have_published_values() -> None:
    assert all(dataset in DATASETS and model in MODELS for dataset, model in literature.KNOWN)
