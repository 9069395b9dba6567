"""Dense accuracies beside published ones: the reasons are those of the records."""

from dataclasses import replace

import pandas as pd
import pytest

from paperlib.claims import effects
from paperlib.core.paths import Layout
from paperlib.data import DATASETS
from paperlib.data.imageset import ImageSet
from paperlib.exhibits import published
from paperlib.exhibits.manifest import output_root
from paperlib.exhibits.results import Source
from paperlib.models import MODELS
from paperlib.schema.trial import Trial
from paperlib.trials.runner import run


def of(layout: Layout, **columns: object) -> Source:
    """The records of `layout`, with other values in some columns of their table."""
    source = Source.of(layout)
    return replace(source, table=source.table.assign(**columns))  # type: ignore[arg-type]


def made(layout: Layout) -> pd.DataFrame:
    exhibit = published.write(of(layout, source="subset"), "own")
    assert exhibit is not None
    return pd.read_csv(output_root(layout) / next(f for f in exhibit.files if f.endswith(".csv"))).set_index("data set")


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
        near = published.Published(100 * record.test.accuracy + below, "someone", "a network", epochs=1)
        monkeypatch.setitem(published.KNOWN, ("fashionmnist", "mlp-small"), near)
        why = made(layout).loc["fashionmnist", "where ours is more than 1.5 points below"]
        assert (why != "–") == explained


@pytest.mark.parametrize("source", ["official", "rebuilt", "subset", "stand-in"])
def test_nothing_published_stands_beside_drawn_images(source: str, layout: Layout, tiny_images: ImageSet) -> None:
    run(Trial(dataset="cifar10", epochs=1), layout)
    exhibit = published.write(of(layout, source=source), "own")
    assert exhibit is not None
    texts = [(output_root(layout) / f).read_text() for f in exhibit.files]
    assert all(("70.25" in text and "SET" in text) == (source != "stand-in") for text in texts)
    if source == "stand-in":
        row = pd.read_csv(output_root(layout) / exhibit.files[0]).iloc[0]
        assert row["published, %"] == effects.DRAWN and row["by"] == row["difference, points"] == "–"


def test_a_dense_network_near_chance_is_marked_in_its_row(layout: Layout, tiny_images: ImageSet) -> None:
    run(Trial(dataset="fashionmnist", epochs=1), layout)
    for accuracy, model in ((0.38, "mlp-small (dense near chance)"), (0.9, "mlp-small")):
        exhibit = published.write(of(layout, test_accuracy=accuracy, test_majority=1 / 3), "own")
        assert exhibit is not None
        assert list(pd.read_csv(output_root(layout) / exhibit.files[0]).model) == [model]


def test_only_known_data_sets_and_models_have_published_values() -> None:
    assert all(dataset in DATASETS and model in MODELS for dataset, model in published.KNOWN)
