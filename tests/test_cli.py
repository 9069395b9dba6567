"""The command line as scripts use it: exit codes, one-line errors, JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paperlib import agreement, cli, notebooks, paths, report, wanted
from paperlib.cli import main
from paperlib.errors import FailedError
from paperlib.paths import Layout


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """`paperlib words…` in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["paperlib", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code if isinstance(end.value.code, int) else 1


RUN = ("run", "--epochs", "1", "--train-images", "200", "--test-images", "100", "--batch-size", "16")


@pytest.mark.usefixtures("tiny_images", "layout")
def test_run_prints_a_table_or_the_whole_record(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *RUN, "--method", "set", "--sparsity", "0.5") == 0
    shown = capsys.readouterr().out
    assert "test accuracy" in shown and "stand-in" in shown and "modelled" in shown
    assert call(monkeypatch, *RUN, "--method", "set", "--sparsity", "0.5", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["status"] == "done" and record["trial"]["sparsity"] == 0.5
    assert record["command"].startswith("paperlib run --results scratch")


@pytest.mark.usefixtures("tiny_images", "layout")
def test_a_diverged_training_is_recorded_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *RUN, "--lr", "1e30", "--epochs", "3") == 1
    assert "failed:" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny_images", "layout")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--sparsity", "1"), "[0, 1)"),
        (("run", "--method", "sett"), "set"),
        (("run", "--model", "mlp-smal"), "mlp-small"),
        (("run", "--scope", "globall"), "global"),
        (("run", "--optimizer", "Adamm"), "Adam"),
        (("run", "--option", "momentum"), "momentum"),
        (("run", "--results", "../x"), "plain folder name"),
        (("run", "--sparsity", "0.5"), "removes nothing"),
        (("run", "--method", "pre-training", "--sparsity", "0.9999"), "empty"),
        (("run", "--quirk", "double-softmx"), "double-softmax"),
        (("run", "--real-images"), "stand-in"),
        (("reproduce", "--only", "77"), "01"),
        (("keep-outputs", "--profile", "smoke"), "reproduce"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *words) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("paperlib: ") and error.count("\n") == 1


def test_an_option_that_does_not_exist_is_bad_input_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run", "--sparsty", "0.5") == 2
    assert "--sparsity" in capsys.readouterr().err


def test_reproduce_ends_with_table_and_path(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notebooks, "execute", lambda only, profile, layout: [])
    smoke = Layout.of("smoke")
    page = smoke.report / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("")
    monkeypatch.setattr(report, "build", lambda layout: page)
    monkeypatch.setattr(report, "headline", lambda layout: "HEADLINE")
    monkeypatch.setattr(report, "tally", lambda layout: "TALLY")
    monkeypatch.setattr(agreement, "agreement", lambda layout: ["AGREES"])
    monkeypatch.setattr(wanted, "problems", lambda layout, shown: [])
    assert call(monkeypatch, "reproduce", "--profile", "smoke") == 0
    end = f"HEADLINE\nTALLY\nAGREES\nReport: {page}\nThe same as one file: {smoke.results / 'report.zip'}\n"
    assert capsys.readouterr().out == end
    monkeypatch.setattr(wanted, "problems", lambda layout, shown: ["splits is older than its trials"])
    assert call(monkeypatch, "reproduce", "--profile", "smoke") == 1
    assert "splits is older than its trials" in capsys.readouterr().err


def test_interrupt_says_that_nothing_is_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(notebooks, "execute", stop)
    assert call(monkeypatch, "reproduce", "--profile", "smoke") == 130
    assert "goes on where this one stopped" in capsys.readouterr().err


def test_a_failed_notebook_exits_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: object) -> None:
        raise FailedError("01: cell 3 failed")

    monkeypatch.setattr(notebooks, "execute", fail)
    assert call(monkeypatch, "reproduce", "--profile", "smoke") == 1
    assert capsys.readouterr().err == "paperlib: 01: cell 3 failed\n"


def test_the_module_runs_and_helps() -> None:
    environment = os.environ | {"PAPERLIB_ROOT": str(paths.root())}
    command = [sys.executable, "-m", "paperlib", "--help"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0 and "reproduce" in finished.stdout
    assert finished.stderr == ""


def test_unwritable_results_are_said_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(blocked))
    monkeypatch.setattr("paperlib.run._compute", lambda *_: pytest.fail("worked before it could write"))
    assert call(monkeypatch, *RUN) == 2
    assert "PAPERLIB_OUTPUT" in capsys.readouterr().err


def test_cli_module_names_what_it_offers() -> None:
    assert {c.name or c.callback.__name__ for c in cli.app.registered_commands if c.callback} >= {"reproduce", "run"}
