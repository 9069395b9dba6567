"""`paperlib compare`: tolerances, environments, exit codes."""

import base64
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from paperlib.cli.compare import command
from paperlib.core.paths import Layout
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial
from paperlib.trials.differences import TOLERANCES, Difference, list_differences
from paperlib.trials.predictions import unpack
from paperlib.trials.runner import run
from paperlib.trials.store import Store
from tests.integration.test_cli import call


@pytest.fixture
def record(layout: Layout, tiny_images: object) -> Record:
    return run(Trial(epochs=1, batch_size=16), layout)


def folder(path: Path, *records: Record) -> str:
    for each in records:
        Store(Layout(path, path)).put(each)
    return str(path)


def moved(record: Record, by: float) -> Record:
    """The same trial with another test accuracy."""
    assert record.test is not None
    changed = record.test.model_copy(update={"accuracy": record.test.accuracy + by})
    return record.model_copy(update={"test": changed})


def elsewhere(record: Record) -> Record:
    return record.model_copy(update={"environment": record.environment.model_copy(update={"cpu": "another"})})


def slower(record: Record) -> Record:
    assert record.training is not None
    training = record.training.model_copy(update={"time_s": record.training.time_s * 2})
    return record.model_copy(update={"training": training})


def beyond(a: Record, b: Record, tolerances: Mapping[str, float]) -> list[Difference]:
    return [d for d in list_differences(a, b, tolerances) if not d.within(tolerances)]


def test_a_moved_number_is_one_difference_unless_tolerated(record: Record) -> None:
    assert list_differences(record, record) == []
    (found,) = list_differences(record, moved(record, 0.02))
    assert found.field == "test.accuracy" and found.size == pytest.approx(0.02)
    assert beyond(record, moved(record, 0.02), {"accuracy": 0.0201}) == []
    assert beyond(record, moved(record, 0.02), {"loss": 1.0}) == [found]


def test_rounding_of_another_machine_is_no_difference_but_it_is_not_exact(record: Record) -> None:
    assert record.test and record.curve
    test = record.test.model_copy(update={"loss": record.test.loss + 6e-8})
    train = record.curve[0].train.model_copy(update={"loss": record.curve[0].train.loss - 6e-8})
    other = record.model_copy(
        update={"test": test, "curve": (record.curve[0].model_copy(update={"train": train, "time_s": 99.0}),)}
    )
    assert beyond(record, other, TOLERANCES) == []
    assert [d.field for d in list_differences(record, other)] == ["curve.0.train.loss", "test.loss"]
    assert beyond(record, moved(record, 0.009), TOLERANCES) == []
    assert list_differences(record, moved(record, 0.009))


def test_what_is_neither_measured_nor_a_number_must_be_equal_whatever_is_tolerated(record: Record) -> None:
    for name in ("status", "reason", "shared_training"):
        other = record.model_copy(update={name: "another"})
        assert [d.field for d in beyond(record, other, dict.fromkeys(TOLERANCES, math.inf))] == [name]

    class Newer(Record):
        engine_of_tomorrow: str

    one, other = (Newer(**dict(record), engine_of_tomorrow=name) for name in ("torch", "numpy"))
    (found,) = list_differences(one, other)
    assert (found.field, found.a, found.b) == ("engine_of_tomorrow", "torch", "numpy")


def test_another_engine_is_a_difference_and_an_unknown_one_is_none(record: Record) -> None:
    assert record.engine == "numpy" and {t.engine for t in record.inference} == {"torch"}
    other = record.model_copy(update={"engine": "torch"})
    assert [(d.field, d.a, d.b) for d in list_differences(record, other)] == [("engine", "numpy", "torch")]
    assert list_differences(record, record.model_copy(update={"engine": None})) == [], "an older record"
    first, *rest = record.inference
    other = record.model_copy(update={"inference": (first.model_copy(update={"engine": "llvm"}), *rest)})
    (found,) = list_differences(record, other)
    assert (found.field, found.a, found.b) == (f"{first.variant}-b{first.batch_size}.engine", "torch", "llvm")
    assert list_differences(record, record.model_copy(update={"inference": (first,)})) == [], "measured ways may differ"


def test_of_other_images_only_that_is_told(record: Record) -> None:
    data = record.data.model_copy(update={"content_hash": "another", "source": "official"})
    other = moved(record, 0.3).model_copy(update={"data": data})
    assert {d.field for d in list_differences(record, other)} == {"data.content_hash", "data.source"}
    noted = record.model_copy(update={"data": record.data.model_copy(update={"note": "by another way"})})
    assert list_differences(record, noted) == []


def answering(record: Record, wrong: int) -> Record:
    """The same trial with another answer on so many test images."""
    assert record.predictions
    answers = unpack(record.predictions).copy()
    answers[:wrong] = (answers[:wrong] + 1) % 3
    packed = base64.b64encode(zlib.compress(answers.tobytes())).decode()
    return record.model_copy(update={"predictions": packed})


def test_the_summary_comes_first_and_details_on_request(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert record.predictions
    a = folder(tmp_path / "a", record)
    near = folder(tmp_path / "near", answering(moved(record, 0.005), 6))
    far = folder(tmp_path / "far", answering(moved(record, 0.1), 6))
    assert call(monkeypatch, "compare", a, near) == 0
    shown = capsys.readouterr().out
    assert "1 agree, 0 of them exactly; 0 differ" in shown and "90.000% of 60 test answers are equal" in shown
    assert record.id not in shown.replace(f"fewest in {record.id}", "") and len(shown.splitlines()) < 15
    (row,) = (line for line in shown.splitlines() if "test accuracy" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["test accuracy", "1", "0", "0.005", "0.01"]
    assert call(monkeypatch, "compare", a, near, "--exact") == 1
    assert record.predictions[:30] not in capsys.readouterr().out
    assert call(monkeypatch, "compare", a, far, "--details") == 1
    shown = capsys.readouterr().out
    assert "test.accuracy" in shown and record.predictions[:30] not in shown
    assert call(monkeypatch, "compare", a, far) == 1
    assert "test.accuracy" not in capsys.readouterr().out


def test_the_help_states_the_tolerances_that_hold() -> None:
    told = " ".join((command.__doc__ or "").split())
    assert {TOLERANCES[name] for name in ("loss", "accuracy", "macro_f1")} == {0.01} and "by 0.01 (1 point)" in told
    assert TOLERANCES["removed"] == 0.01 and "trained weights by 1 %" in told


def test_times_are_compared_on_request_and_within_one_environment(record: Record) -> None:
    assert list_differences(record, slower(record)) == []
    assert [d.field for d in beyond(record, slower(record), {"time_s": 0.4})] == ["training.time_s"]
    assert beyond(record, slower(record), {"time_s": 0.5}) == []
    assert beyond(record, elsewhere(slower(record)), {"time_s": 0.0}) == []


def test_a_failed_record_is_not_equal_to_a_done_one(record: Record) -> None:
    failed = record.model_copy(update={"status": "failed", "reason": "diverged", "test": None})
    assert {"status", "reason"} <= {d.field for d in list_differences(record, failed)}


def test_compare_ends_with_0_1_or_2(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, same, other = (
        folder(tmp_path / n, r) for n, r in (("a", record), ("same", elsewhere(record)), ("b", moved(record, 0.1)))
    )
    assert call(monkeypatch, "compare", a, same, "--tolerance", "time_s=0.1") == 0
    assert "left out for 1 trials" in capsys.readouterr().out
    assert call(monkeypatch, "compare", a, other) == 1
    assert "test accuracy" in capsys.readouterr().out
    assert call(monkeypatch, "compare", a, other, "--tolerance", "accuracy=0.11") == 0
    (tmp_path / "none" / "trials").mkdir(parents=True)
    assert call(monkeypatch, "compare", a, str(tmp_path / "none")) == 1
    capsys.readouterr()
    for words in ((a, "nowhere"), (a, other, "--tolerance", "accuracyy=1"), (a, other, "--tolerance", "loss=-1")):
        assert call(monkeypatch, "compare", *words) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_trial_in_one_folder_only_is_a_difference(
    record: Record, layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = run(Trial(epochs=1, batch_size=16, seed=1), layout)
    a, b = folder(tmp_path / "a", record, second), folder(tmp_path / "b", record)
    assert call(monkeypatch, "compare", a, b) == 1
    assert call(monkeypatch, "compare", b, a) == 1
