"""The incremental table: the same as from all records, whatever changed since."""

import pandas as pd
import pytest

from paperlib.core.paths import Layout
from paperlib.data.imageset import ImageSet
from paperlib.schema.trial import Trial, make_trial
from paperlib.trials import table as rows
from paperlib.trials.runner import run, run_all
from paperlib.trials.store import Store, tidy
from tests import claim_records


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
    monkeypatch.setattr(rows, "read", reads.append)
    store.table()
    assert not reads  # nothing changed: nothing is parsed


def test_a_damaged_cache_is_made_anew(layout: Layout, tiny_images: ImageSet) -> None:
    run(small(0), layout)
    before = Store(layout).table()
    (cached,) = (layout.results / "cache").glob("*.parquet")
    cached.write_bytes(b"torn")
    pd.testing.assert_frame_equal(Store(layout).table(), before)


def test_workers_read_what_one_reader_reads(
    layout: Layout, tiny_images: ImageSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [run(small(seed), layout) for seed in range(5)]
    Store(layout).path(records[3].id).write_text("{")
    monkeypatch.setattr(rows, "_MANY", 1)
    monkeypatch.setattr(rows, "_PORTION", 2)
    paths = [Store(layout).path(r.id) for r in records]
    found = rows.frame(paths)
    assert not paths[3].exists() and paths[3].with_suffix(".damaged").exists()
    expected = pd.DataFrame([rows.row(r) for r in records if r.id != records[3].id])
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_the_main_setting_is_the_one_with_most_trials(layout: Layout, tiny_images: ImageSet) -> None:
    fields = {"method": "random", "sparsity": 0.5, "epochs": 1}
    for seed in range(2):
        run(Trial(**fields, seed=seed), layout)
    run(Trial(**fields, lr=0.2), layout), run(Trial(**fields, batch_size=16), layout)
    table = Store(layout).table()
    assert set(table[table.main_setting].lr) == {0.05} and set(table[table.main_setting].batch_size) == {64}
    assert len(table) == 4 and table.main_setting.sum() == 2
    # Another data set or model has a main setting of its own, and few trials there do not count less.
    run(Trial(**fields, lr=0.2, dataset="fashionmnist"), layout)
    assert Store(layout).table().set_index("dataset").main_setting["fashionmnist"]


@pytest.mark.usefixtures("tiny_images")
def test_tables_that_tests_make_up_have_the_columns_and_kinds_of_real_ones(layout: Layout) -> None:
    common = {"model": "mlp-small", "epochs": 2, "batch_size": 16}
    real = tidy(run_all([make_trial(**common), make_trial(**common, method="random", sparsity=0.5)], layout))
    made = claim_records.table(seeds=1)
    assert sorted(set(made.columns) - set(real.columns)) == []
    numbers = {name for name in made.columns if pd.api.types.is_numeric_dtype(made[name])}
    assert {name for name in numbers if not pd.api.types.is_numeric_dtype(real[name])} == set()
