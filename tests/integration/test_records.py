"""Records: what a kill, damage, old schemas, many writers and a full folder leave of them."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.data.imageset import ImageSet
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial
from paperlib.trials.differences import TOLERANCES, list_differences
from paperlib.trials.runner import run, run_all
from paperlib.trials.store import Store

FAST = {"epochs": 2, "lr": 0.05, "batch_size": 16}


def numbers(record: Record) -> dict[str, object]:
    """What must be equal when a trial runs twice: all but times and dates."""
    kept = record.model_dump(exclude={"train_s", "finished", "environment", "place"}, mode="json")
    for epoch in kept["curve"]:
        epoch.pop("time_s")
    return kept


def _forever(folder: str) -> None:
    os.environ["PAPERLIB_OUTPUT"] = folder
    from tests.conftest import served, tiny

    with served(lambda wanted: tiny()):
        _run_again_and_again()


def _run_again_and_again() -> None:
    while True:
        run_all(_medium(), Layout.of("scratch"))
        time.sleep(0.01)


def _medium() -> list[Trial]:
    return [Trial(seed=seed, method="set", sparsity=0.5, model="mlp-medium", width=0.05, **FAST) for seed in range(3)]


@pytest.mark.usefixtures("tiny_images")
def test_a_kill_loses_nothing_and_leaves_no_half_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed = tmp_path / "killed"
    torch.set_num_threads(1)  # OpenMP threads do not survive a fork
    for pause in (0.05, 0.3, 0.8):
        process = multiprocessing.get_context("fork").Process(target=_forever, args=(str(killed),))
        process.start()
        time.sleep(pause)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(killed))
    for path in Layout.of("scratch").trials.glob("[!.]*"):
        Record.model_validate_json(path.read_text())
    resumed = run_all(_medium(), Layout.of("scratch"))
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(tmp_path / "undisturbed"))
    undisturbed = run_all(_medium(), Layout.of("scratch"))
    # Which networks train together hangs on where the kill struck, and their last digits on that.
    differences = [d for a, b in zip(resumed, undisturbed, strict=True) for d in list_differences(a, b)]
    assert all(d.within(TOLERANCES) or d.field == "engine" for d in differences), differences


@pytest.mark.usefixtures("tiny_images")
def test_a_damaged_record_is_set_aside_and_runs_again(layout: Layout) -> None:
    record = run(Trial(**FAST), layout)
    path = Store(layout).path(record.id)
    path.write_text(path.read_text()[:500])
    with pytest.warns(UserWarning, match="set aside"):
        again = run(Trial(**FAST), layout)
    assert numbers(again) == numbers(record)
    assert path.with_suffix(".damaged").exists()


@pytest.mark.usefixtures("tiny_images")
def test_a_record_of_the_first_schema_keeps_what_was_learnt(layout: Layout) -> None:
    record = run(Trial(**FAST), layout)
    path, old = Store(layout).path(record.id), json.loads(record.model_dump_json())
    training = {"time_s": old.pop("train_s"), "energy_j": 9.0, "energy_source": "modelled", "co2_g": 0.1}
    old |= {"schema_version": 1, "training": training, "inference": [], "load_s": 0.1}
    old["place"]["others"] = 0.2
    path.write_text(json.dumps(old))
    assert Store(layout).get(record.id) == record and run(Trial(**FAST), layout) == record
    path.write_text(json.dumps(old | {"training": None}))
    assert Store(layout).get(record.id) == record.model_copy(update={"train_s": None})


@pytest.mark.usefixtures("tiny_images")
def test_a_record_of_another_schema_is_not_guessed_at(layout: Layout) -> None:
    record = run(Trial(**FAST), layout)
    path = Store(layout).path(record.id)
    content = json.loads(path.read_text()) | {"schema_version": 99}
    path.write_text(json.dumps(content))
    with pytest.raises(PaperlibError, match="schema version 99, this paperlib reads 2"):
        run(Trial(**FAST), layout)


@pytest.mark.usefixtures("tiny_images")
def test_an_unwritable_folder_is_named(layout: Layout) -> None:
    layout.results.parent.mkdir(parents=True)
    layout.results.write_text("a file where the folder should be")
    with pytest.raises(PaperlibError, match=r"cannot write .*scratch"):
        run(Trial(**FAST), layout)


def test_many_writers_never_tear_a_record(layout: Layout, tiny_images: ImageSet) -> None:
    record = run(Trial(**FAST), layout)
    code = (
        "import sys; from paperlib.trials.store import Store; from paperlib.core.paths import Layout;"
        "from paperlib.schema.record import Record; from pathlib import Path;"
        "store = Store(Layout.of('scratch')); r = Record.model_validate_json(Path(sys.argv[1]).read_text());"
        "[store.put(r) or store.get(r.id) for _ in range(60)]"
    )
    copy = layout.results / "copy.txt"
    copy.write_text(record.model_dump_json())
    writers = [subprocess.Popen([sys.executable, "-W", "error", "-c", code, str(copy)]) for _ in range(3)]
    assert [w.wait() for w in writers] == [0, 0, 0]
    assert Store(layout).records() == [record]
    assert not list(layout.trials.glob(".*"))


@pytest.mark.usefixtures("tiny_images")
def test_the_tidy_table_is_the_same_in_parquet_and_csv(layout: Layout) -> None:
    import pandas as pd

    run_all([Trial(method="random", sparsity=s, **FAST) for s in (0.3, 0.5)], layout)
    table = Store(layout).write_table()
    assert len(table) == 2
    parquet = pd.read_parquet(layout.results / "tidy.parquet")
    csv = pd.read_csv(layout.results / "tidy.csv")
    assert list(parquet.columns) == list(csv.columns) == list(table.columns)
    assert np.allclose(parquet["test_accuracy"], csv["test_accuracy"])
    assert np.allclose(parquet["network_sparsity"], parquet["sparsity"], atol=0.01)
