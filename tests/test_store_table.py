"""The incremental table: the same as from all records, whatever changed since."""

import pandas as pd
import pytest

from paperlib.data.imageset import ImageSet
from paperlib.paths import Layout
from paperlib.run import run
from paperlib.stats import mean_interval, mean_intervals
from paperlib.store import Store, tidy
from paperlib.trial import Trial


def small(seed: int, method: str = "random") -> Trial:
    return Trial(method=method, seed=seed, epochs=1, sparsity=0.5 if method != "dense" else 0.0)


def test_table_is_that_of_all_records(layout: Layout, tiny_images: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(layout)
    assert store.table().empty
    first = run(small(0, "dense"), layout)
    pd.testing.assert_frame_equal(store.table(), tidy(store.records()))
    run(small(0), layout), run(small(1, "post-training"), layout)
    pd.testing.assert_frame_equal(store.table(), tidy(store.records()))

    store.put(first.model_copy(update={"status": "failed", "reason": "changed", "test": None, "network": None}))
    changed = store.table()
    pd.testing.assert_frame_equal(changed, tidy(store.records()), check_dtype=False)
    assert changed.set_index("id").reason[first.id] == "changed"

    store.path(first.id).unlink()
    assert first.id not in set(store.table()["id"]) and len(store.table()) == len(store.records())

    reads: list[object] = []
    monkeypatch.setattr(Store, "_read", lambda self, path: reads.append(path))
    store.table()
    assert not reads  # nothing changed: nothing is parsed


def test_a_damaged_cache_is_made_anew(layout: Layout, tiny_images: ImageSet) -> None:
    run(small(0), layout)
    before = Store(layout).table()
    (cached,) = (layout.results / "cache").glob("*.parquet")
    cached.write_bytes(b"torn")
    pd.testing.assert_frame_equal(Store(layout).table(), before)


def test_intervals_at_once_are_those_one_by_one() -> None:
    values, groups = [1.0, 2.0, 4.0, 7.0, float("nan"), 3.0], [0, 0, 0, 2, 2, 3]
    found = mean_intervals(values, groups, 4)
    for group, estimate in enumerate(found):
        alone = mean_interval([v for v, g in zip(values, groups, strict=True) if g == group])
        assert (estimate is None) == (alone is None)
        if estimate and alone:
            assert estimate.n == alone.n and estimate.mean == pytest.approx(alone.mean)
            assert estimate.low == (alone.low and pytest.approx(alone.low))
            assert estimate.high == (alone.high and pytest.approx(alone.high))
