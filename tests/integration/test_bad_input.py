"""Bad input, over every command, option and variable: one line that says what is allowed or what to do, exit code 2."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from paperlib.cli import main
from tests.bad_words import OPTIONS

HERE = "{here}"  # a folder of the test with the files below
# A variable that is wrong, and the commands that read it; the line must name it.
VARIABLES = [
    (name, value, command)
    for name, value, commands in [
        ("PAPERLIB_ROOT", "/nope", ["claims", "findings", "reference", "reproduce", "run", "keep-results smoke"]),
        ("PAPERLIB_ROOT", "/nope", ["export x", "plan", "keep-outputs", "run-batch 0 --profile smoke"]),
        ("PAPERLIB_ROOT", "{here}/file", ["claims C46"]),
        ("PAPERLIB_OUTPUT", "{here}/file", ["claims", "run", "reproduce", "export x", "plan", "keep-results smoke"]),
        ("PAPERLIB_OUTPUT", "{here}/file", ["reference laptop", "keep-outputs", "run-batch 0 --profile smoke"]),
        ("PAPERLIB_DATA", "/nope", ["data status", "data verify", "data fetch mnist", "run --dataset fashionmnist"]),
        (
            "PAPERLIB_DATA",
            "{here}/empty:{here}/file",
            ["data status", "data verify mnist", "run --dataset fashionmnist"],
        ),
        (
            "PAPERLIB_CACHE",
            "{here}/file",
            ["data status", "data verify", "data fetch mnist", "data render", "run --dataset emnist"],
        ),
        ("PAPERLIB_LOCKS", "{here}/file", ["run"]),
        ("PAPERLIB_DEVICE", "cuda:77", ["run", "plan --profile smoke"]),
        ("PAPERLIB_DEVICE", "gpu", ["run"]),
        ("PAPERLIB_CORES", "0", ["run"]),
        ("PAPERLIB_CORES", "many", ["run"]),
        ("PAPERLIB_CORES", "100000", ["run"]),
        ("PAPERLIB_GRID", "Atlantis", ["plan --profile smoke"]),
    ]
    for command in commands
]
CASES = [
    *((words, said, {}) for words, said in OPTIONS),
    *((words, name, {name: value}) for name, value, words in VARIABLES),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an empty folder, a text file, one that is not UTF-8, and results without trials in them."""
    for name in ("empty", "results/trials"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "file").write_text("nothing\n")
    (tmp_path / "latin1").write_bytes("é".encode("latin-1"))
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(tmp_path / "out"))
    monkeypatch.setenv("PAPERLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PAPERLIB_DEVICE", "cpu")
    for name in ("PAPERLIB_DATA", "PAPERLIB_ROOT", "PAPERLIB_CORES", "PAPERLIB_GRID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def filled(words: str, here: Path) -> list[str]:
    return [word.replace(HERE, str(here)).replace("~", "") for word in words.split()]


def test_there_are_enough_cases_and_none_twice() -> None:
    assert len(CASES) >= 120
    assert len({(words, *given.items()) for words, _, given in CASES}) == len(CASES)


@pytest.mark.parametrize(("words", "said", "given"), CASES, ids=[" ".join([*c[2], c[0]]) for c in CASES])
def test_one_line_and_exit_code_2(
    words: str,
    said: str,
    given: dict[str, str],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def worked(*_: object, **__: object) -> NoReturn:
        pytest.fail("worked on bad input")

    begins = () if said == "empty" else ("trials.runner.fit",)  # what a mask leaves shows when the first one is made
    for place in (
        *begins,
        "trials.runner.eval_logits",
        "costs.unit_costs.in_fresh_process",
        "data.download._transfer",
        "data.download._run",
        "report.committed.regenerate",
    ):
        monkeypatch.setattr(f"paperlib.{place}", worked)
    if "PAPERLIB_ROOT" in given:
        monkeypatch.delenv("PAPERLIB_OUTPUT")  # else results need no root
    for name, value in given.items():
        monkeypatch.setenv(name, value.replace(HERE, str(here)))
    monkeypatch.setattr(sys, "argv", ["paperlib", *filled(words, here)])
    with pytest.raises(SystemExit) as end:
        main()
    shown = capfd.readouterr()
    assert end.value.code == 2, shown
    assert shown.err.startswith("paperlib: ") and shown.err.count("\n") == 1, shown
    assert any(part in shown.err for part in said.split("|")), shown
    assert shown.out == ""


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ("runn", {}),
        ("run --sparsity 1", {}),
        ("claims --profile nosuch", {}),
        ("claims", {"PAPERLIB_ROOT": "/nope"}),
        ("data status", {"PAPERLIB_DATA": "/nope"}),
    ],
)
def test_the_same_as_a_program(words: str, given: dict[str, str], here: Path) -> None:
    command = [sys.executable, "-m", "paperlib", *filled(words, here)]
    own = {name: value for name, value in os.environ.items() if name != "PAPERLIB_OUTPUT"}
    ended = subprocess.run(command, env=own | given, capture_output=True, text=True, check=False, timeout=120)
    assert (ended.returncode, ended.stdout, ended.stderr[:10], ended.stderr.count("\n")) == (2, "", "paperlib: ", 1)
