"""The tidy table: its rows, its order, and the page that describes its columns."""

import pandas as pd
import pytest

from paperlib.core.paths import Layout
from paperlib.data.imageset import ImageSet
from paperlib.schema.trial import Trial, make_trial
from paperlib.trials.runner import run, run_all
from paperlib.trials.store import Store, tidy
from paperlib.trials.table import COLUMNS
from tests import claim_records


def small(seed: int, method: str = "random") -> Trial:
    return Trial(method=method, seed=seed, epochs=1, sparsity=0.5 if method != "dense" else 0.0)


def test_table_is_that_of_the_records_that_are_there(layout: Layout, tiny_images: ImageSet) -> None:
    store = Store(layout)
    assert store.table().empty
    first = run(small(0, "dense"), layout)
    run(small(0), layout), run(small(1, "post-training"), layout)
    pd.testing.assert_frame_equal(store.table(), tidy(store.records()))

    store.put(first.model_copy(update={"status": "failed", "reason": "changed", "test": None, "network": None}))
    assert store.table().set_index("id").reason[first.id] == "changed"

    store.path(first.id).write_text("{")
    with pytest.warns(UserWarning, match="set aside"):
        assert first.id not in set(store.table()["id"])
    assert store.path(first.id).with_suffix(".damaged").exists()
    assert len(store.table()) == len(store.records()) > 1


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
    common = {"model": "mlp-small", "epochs": 3, "batch_size": 16}
    real = tidy(run_all([make_trial(**common), make_trial(**common, method="random", sparsity=0.5)], layout))
    made = claim_records.table(seeds=1)
    assert sorted(set(made.columns) - set(real.columns)) == []
    numbers = {name for name in made.columns if pd.api.types.is_numeric_dtype(made[name])}
    assert {name for name in numbers if not pd.api.types.is_numeric_dtype(real[name])} == set()


@pytest.mark.usefixtures("tiny_images")
def test_every_column_of_a_table_is_described_and_none_that_is_not_there(layout: Layout) -> None:
    common = {"model": "mlp-small", "epochs": 2, "batch_size": 16}
    table = tidy(run_all([make_trial(**common), make_trial(**common, method="random", sparsity=0.5)], layout))
    assert sorted(column.name for column in COLUMNS) == sorted(table.columns)
    assert all(column.meaning for column in COLUMNS), "a column without a meaning"
