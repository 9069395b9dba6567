"""`paperlib compare`: tolerances, environments, exit codes."""

import base64
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from paperlib.claims.settings import Setting
from paperlib.cli.compare import command
from paperlib.core.paths import Layout
from paperlib.costs.records import write_costs
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial
from paperlib.trials.differences import TOLERANCES, Difference, list_cost_differences, list_differences
from paperlib.trials.predictions import unpack
from paperlib.trials.runner import run
from paperlib.trials.store import Store
from tests.claim_records import cost_records
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


def beyond(a: Record, b: Record, tolerances: Mapping[str, float]) -> list[Difference]:
    return [d for d in list_differences(a, b) if not d.within(tolerances)]


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
    older = Record.model_validate_json(record.model_copy(update={"engine": "numpy"}).model_dump_json())
    assert [(d.field, d.a, d.b) for d in list_differences(record, older)] == [("engine", "stacked", "numpy")]
    assert list_differences(record, record.model_copy(update={"engine": None})) == [], "an older record"


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


def test_costs_are_compared_on_request_and_within_one_environment(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arm = Setting("mnist", "mlp-small", "set", 0.0, 0.5)
    (cost,), (slower,) = (cost_records(lambda s, f=f: {"time": f}, noise=0, arms=[arm]) for f in (1.0, 1.2))
    assert list_cost_differences(cost, cost) == []
    found = {d.field: d.size for d in list_cost_differences(cost, slower)}
    assert set(found) == {"step.masked-b64.ratio", "step.masked-b64.median_s"}
    assert found["step.masked-b64.ratio"] == pytest.approx(0.2 / 1.2)
    folders = [folder(tmp_path / name, record) for name in ("a", "b")]
    for path, each in zip(folders, (cost, slower), strict=True):
        write_costs(each, Layout(Path(path), Path(path)))
    for words, code in (((), 0), (("--tolerance", "ratio=0.1"), 1), (("--tolerance", "ratio=0.2"), 0)):
        assert call(monkeypatch, "compare", *folders, *words) == code
    elsewhere = [run.model_copy(update={"environment": record.environment}) for run in slower.runs]
    assert list_cost_differences(cost, slower.model_copy(update={"runs": tuple(elsewhere)})) == []
    write_costs(slower.model_copy(update={"runs": tuple(elsewhere)}), Layout(Path(folders[1]), Path(folders[1])))
    capsys.readouterr()
    assert call(monkeypatch, "compare", *folders, "--tolerance", "ratio=0.1") == 0
    assert "times and energies left out" in capsys.readouterr().out


def test_a_failed_record_is_not_equal_to_a_done_one(record: Record) -> None:
    failed = record.model_copy(update={"status": "failed", "reason": "diverged", "test": None})
    assert {"status", "reason"} <= {d.field for d in list_differences(record, failed)}


def test_compare_ends_with_0_1_or_2(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, same, other = (
        folder(tmp_path / n, r) for n, r in (("a", record), ("same", elsewhere(record)), ("b", moved(record, 0.1)))
    )
    assert call(monkeypatch, "compare", a, same) == 0
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
