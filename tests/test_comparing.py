"""`paperlib compare` and `paperlib merge`: tolerances, environments, conflicts, exit codes."""

from pathlib import Path

import pytest

from paperlib.comparing import differences
from paperlib.paths import Layout
from paperlib.record import Record
from paperlib.run import run
from paperlib.store import Store
from paperlib.trial import Trial
from tests.test_cli import call


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


def test_a_moved_number_is_one_difference_unless_tolerated(record: Record) -> None:
    assert differences(record, record) == []
    (found,) = differences(record, moved(record, 0.01))
    assert found.field == "test.accuracy" and found.b - found.a == pytest.approx(0.01)
    assert differences(record, moved(record, 0.01), {"accuracy": 0.0101}) == []
    assert differences(record, moved(record, 0.01), {"loss": 1.0}) == [found]


def test_times_are_compared_on_request_and_within_one_environment(record: Record) -> None:
    assert differences(record, slower(record)) == []
    assert [d.field for d in differences(record, slower(record), {"time_s": 0.4})] == ["training.time_s"]
    assert differences(record, slower(record), {"time_s": 0.5}) == []
    assert differences(record, elsewhere(slower(record)), {"time_s": 0.0}) == []


def test_a_failed_record_is_not_equal_to_a_done_one(record: Record) -> None:
    failed = record.model_copy(update={"status": "failed", "reason": "diverged", "test": None})
    assert {"status", "reason"} <= {d.field for d in differences(record, failed)}


def test_compare_ends_with_0_1_or_2(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    a, same, other = (
        folder(tmp_path / n, r) for n, r in (("a", record), ("same", elsewhere(record)), ("b", moved(record, 0.1)))
    )
    assert call(monkeypatch, "compare", a, same, "--tolerance", "time_s=0.1") == 0
    assert "left out for 1 trials" in capsys.readouterr().out
    assert call(monkeypatch, "compare", a, other) == 1
    assert "test.accuracy" in capsys.readouterr().out
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


def test_merge_takes_what_agrees_and_lists_what_does_not(
    record: Record,
    layout: Layout,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    second = run(Trial(epochs=1, batch_size=16, seed=1), layout)
    third = run(Trial(epochs=1, batch_size=16, seed=2), layout)
    a = folder(tmp_path / "a", record, second)
    b = folder(tmp_path / "b", elsewhere(moved(record, 0.1)), slower(elsewhere(second)), third)
    into = Store(Layout(tmp_path / "c", tmp_path))
    assert call(monkeypatch, "merge", a, b, "--into", str(tmp_path / "c")) == 1
    shown = capsys.readouterr()
    assert "test.accuracy" in shown.out and "another" in shown.out and "paperlib" in shown.out
    assert shown.err.count("\n") == 1
    assert into.get(record.id) is None and into.get(second.id) == second and into.get(third.id) == third
    assert (tmp_path / "c" / "tidy.csv").exists()
    assert Store(Layout(tmp_path / "a", tmp_path)).get(record.id) == record, "sources stay as they are"


def test_merge_never_overwrites_what_is_there(record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    c = folder(tmp_path / "c", record)
    assert call(monkeypatch, "merge", folder(tmp_path / "a", moved(record, 0.1)), "--into", c) == 1
    assert Store(Layout(tmp_path / "c", tmp_path)).get(record.id) == record
    assert call(monkeypatch, "merge", folder(tmp_path / "b", record), "--into", c) == 0
