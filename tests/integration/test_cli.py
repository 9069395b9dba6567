"""The command line as scripts use it: exit codes, one-line errors, JSON."""

import json
import os
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import get_args

import pytest

from paperlib.cli import entry as cli
from paperlib.cli import main
from paperlib.core import paths
from paperlib.core.errors import FailedError
from paperlib.core.paths import Layout
from paperlib.exhibits import expected
from paperlib.report import ending, notebooks, pages
from paperlib.schema.trial import Trial, again, flag
from paperlib.studies.profiles import PROFILES
from paperlib.trials import archive
from tests.conftest import recipe


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
    assert "test accuracy" in shown and "stand-in" in shown and "training took" in shown
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


def test_reproduce_ends_with_findings_and_path(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notebooks, "execute", lambda only, profile, layout: [])
    smoke = Layout.of("smoke")
    page = smoke.report / "index.html"
    page.parent.mkdir(parents=True)
    page.write_text("")
    monkeypatch.setattr(pages, "build", lambda layout: page)
    monkeypatch.setattr(ending, "_body", lambda layout: ["3 trials", "- FOUND", *["x"] * 40])
    monkeypatch.setattr(expected, "problems", lambda layout, shown: [])
    assert call(monkeypatch, "reproduce", "--profile", "smoke") == 0
    first, found, *_, index, zipped = lines = capsys.readouterr().out.splitlines()
    assert first.startswith("Profile smoke: 3 trials. This run took ") and found == "- FOUND"
    assert (index, zipped) == (f"Report: {page}", f"Report: {smoke.results / 'report.zip'}") and len(lines) == 30
    monkeypatch.setattr(expected, "problems", lambda layout, shown: ["splits is older than its trials"])
    assert call(monkeypatch, "reproduce", "--profile", "smoke") == 1
    assert "splits is older than its trials" in capsys.readouterr().err


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_says_that_nothing_is_lost(
    sent: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raised: list[BaseException] = []

    def stop(*_: object) -> None:
        try:
            exec(f"import os; os.kill(os.getpid(), {sent:d})")
        except BaseException as error:
            raised.append(error)
            raise

    before = signal.getsignal(sent)
    monkeypatch.setattr(notebooks, "execute", stop)
    assert call(monkeypatch, "reproduce", "--profile", "smoke") == 128 + sent
    assert "goes on where this one stopped" in capsys.readouterr().err
    assert [type(error) for error in raised] == [SystemExit] and signal.getsignal(sent) is before


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
    monkeypatch.setattr("paperlib.trials.runner._compute", lambda *_: pytest.fail("worked before it could write"))
    assert call(monkeypatch, *RUN) == 2
    assert "PAPERLIB_OUTPUT" in capsys.readouterr().err


HEAVY = ("torch", "torchvision", "matplotlib", "statsmodels", "scipy.stats", "nbformat", "seaborn")
LOADED = """
import sys
from paperlib.cli import main
try:
    main()
finally:
    print(*(name for name in {names!r} if name in sys.modules), file=sys.stderr)
"""


def loaded(names: tuple[str, ...], *words: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """`paperlib words…` in a process of its own, and which of the modules it had loaded at its end."""
    command = [sys.executable, "-c", LOADED.format(names=names), *words]
    finished = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    return finished, finished.stderr.splitlines()[-1].split()


@pytest.mark.parametrize(
    "words", [("--help",), ("-h",), ("run", "-h"), ("--version",), ("runn",), ("run", "--seed", "x")]
)
def test_help_and_wrong_words_load_nothing_that_takes_long(words: tuple[str, ...]) -> None:
    assert loaded((*HEAVY, "pandas", "numpy"), *words)[1] == []


def test_help_of_a_command_comes_without_torch() -> None:
    for name in cli.COMMANDS:
        finished, found = loaded(HEAVY, name, "-h")
        assert finished.returncode == 0 and f"paperlib {name}" in finished.stdout
        assert found == []


def test_help_comes_within_a_second() -> None:
    spent = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "paperlib", "--help"], capture_output=True, check=True, timeout=120)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(spent) < 1.5  # s of processor time, which other programs change little; 0.5 here


def test_one_claim_is_decided_without_torch(layout: Layout) -> None:
    with archive.open_archive(paths.root() / "results" / "quick" / archive.ARCHIVE) as records:
        shutil.copytree(records.trials, Layout.of("quick").trials)
    finished, found = loaded(HEAVY, "claims", "C46")
    assert finished.returncode == 0 and "C46" in finished.stdout
    assert found == []


def test_the_version_is_the_packages(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"paperlib {version('paperlib')}\n"


@pytest.mark.parametrize("words", [[], *([name] for name in cli.COMMANDS), ["data", "fetch"]])
def test_h_is_help(words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, *words, "-h") == 0
    assert " ".join(["Usage: paperlib", *words]) in " ".join(capsys.readouterr().out.split())


def test_every_file_is_a_command_and_the_list_says_what_each_ones_help_says(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {path.stem.replace("_", "-") for path in Path(cli.__file__).parent.glob("*.py")}
    assert files - {"entry", "--init--"} == set(cli.COMMANDS) and len(set(cli.COMMANDS)) == len(cli.COMMANDS)
    monkeypatch.setenv("COLUMNS", "400")
    assert call(monkeypatch, "--help") == 0
    listed = capsys.readouterr().out
    for name in cli.COMMANDS:
        assert call(monkeypatch, name, "--help") == 0
        text = next(c.help for c in [cli._Late(name)])
        assert text and text.endswith(".") and text in listed and text in capsys.readouterr().out


def test_run_takes_every_field_of_a_trial(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    assert call(monkeypatch, "run", "--help") == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, field in Trial.model_fields.items():
        assert f"{flag(name)} " in shown and field.description and " ".join(field.description.split()) in shown


def test_the_names_of_profiles_have_one_home() -> None:
    assert get_args(paths.ProfileName) == tuple(PROFILES)


@pytest.mark.usefixtures("tiny_images", "layout")
def test_the_command_shown_runs_the_trial_again_and_is_one_line_when_piped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (*RUN, "--method", "set", "--sparsity", "0.5", "--scope", "layerwise", "--option", "momentum=0.9")
    assert call(monkeypatch, *words) == 0
    shown = capsys.readouterr().out
    (line,) = (line for line in shown.splitlines() if "paperlib run" in line)
    command = shlex.split(line.strip(" │|"))
    command = command[command.index("paperlib") :]
    assert command.count("--fresh") == 1
    assert call(monkeypatch, *(word for word in command[1:] if word != "--fresh"), "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert f"Trial {record['id']}" in shown
    assert again(record["command"]) == shlex.join(command)


def test_make_lab_starts_as_root_too_on_this_machine_only() -> None:
    words = recipe("lab")
    assert ("--allow-root" in words) == (os.geteuid() == 0)
    assert "--ip=127.0.0.1" in words and not any("token" in word or "password" in word for word in words)
