"""Every command and Python block of README, CONTRIBUTING and docs is run, or stands in a table with the reason."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paperlib import data
from paperlib.cli import main
from paperlib.core import paths
from paperlib.costs.forecast import kind
from paperlib.data.registry import DATASETS
from paperlib.pruners import METHODS
from paperlib.studies.sections import all_trials, batches
from tests.conftest import REAL, served, temporarily, tiny
from tests.integration.test_docs import PAGES, ROOT

PROGRAM = re.compile(
    r"(paperlib|make|snakemake|conda|pip|python|source|export|sudo|ssh|apt-get|audit/bin/\S+) "
    r"|\.venv/bin/\S+ |\.ci/(run|slurm)"
)

# What a sentence leaves out for the reader to fill in. A plan is that of one notebook: test_forecast.py measures.
FILLED = {"ID": "C46", "P": "smoke", "N": "1000", "I": "{last}", "…": "--epochs=1"}
ADDED = {
    "paperlib compare": "A B",
    "paperlib compare --exact": "A B",
    "paperlib explain": "{trial}",
    "paperlib export": "{trial} --to exported --results kept",
    "paperlib plan": "--profile smoke --only 05",
    "paperlib plan --profile laptop": "--profile smoke --only 05",
}
# Patterns of what no test runs, or another one does.
NOT_RUN = {
    r"paperlib reproduce.*": "test_notebooks.py reproduces `smoke` whole",
    r"paperlib calibrate.*": "a minute of full load, or needs a wall meter; test_calibration.py knows the power",
    r"paperlib claims [AC]\d+ .*--run": "asks, and nobody is there to answer; test_claims_power.py runs claims' trials",
    r"paperlib keep-(outputs|results .*)": "writes into this checkout; test_notebooks.py, test_committed.py",
    r"paperlib findings --write README.md": "minutes on the committed records; test_committed.py compares",
    r"paperlib re(ference|port)": "draws all figures again; test_committed.py does",
    r"paperlib (figure|table) .*": "trains what is missing; test_one_answer.py makes one of each",
    r"paperlib data fetch.*": "up to gigabytes from the network; test_data_download.py has a server of its own",
    r"paperlib --install-completion": "changes the reader's shell; test_docs_commands.py shows the completion instead",
    r"(\.venv/bin/)?snakemake .*": "needs `make cluster`; test_cluster.py runs the Snakefile",
    r"\.ci/(run|slurm st(art|op))": ".ci/run is what runs all this, and a real Slurm with it",
    r"(conda|pip|python -m venv) .*": "installs from the network; test_packaging.py compares what is asked for",
    r"audit/bin/.*": "asks a service on the network, as the page says",
    r"\.venv/bin/(pytest|papermill) .*": "test_notebooks.py runs papermill and nbval on `smoke`",
    r"(sudo|ssh|apt-get) .*": "changes or needs another machine; .ci/fresh installs on a bare one",
    r"paperlib crate .*": "packs megabytes; test_crate.py makes a small one",
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the prose from it to the next block."""

    page: str
    language: str
    text: str
    after: str

    @property
    def is_python(self) -> bool:
        return self.language == "python" or self.text.startswith(("import ", "from "))


def blocks(page: Path) -> list[Block]:
    _, *parts = re.split(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [Block(page.name, *parts[i : i + 3]) for i in range(0, len(parts), 3)]


def commands() -> list[str]:
    """Every line of a block, indented line and piece of code in a sentence that begins with a program's name."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks(page) if not block.is_python for line in block.text.splitlines()]
        lines += re.findall(r"^    (\S.*)$", prose, re.MULTILINE)
        lines = [line.partition(" #")[0] for line in lines]
        lines += re.findall(r"`([^`]+)`", prose)
        found += [line for line in (" ".join(line.split()) for line in lines) if PROGRAM.match(line)]
    return list(dict.fromkeys(found))


COMMANDS = commands()
RUN = [c for c in COMMANDS if not any(re.fullmatch(pattern, c) for pattern in NOT_RUN)]


@dataclass(frozen=True)
class Bench:
    """A folder that holds what the commands name: images in PATH, results A and B, a trial with its weights."""

    folder: Path
    trial: str


def call(*words: str) -> int | str | None:
    """`paperlib words…` in this process: its exit code."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr(sys, "argv", ["paperlib", *words])
        main()
    return end.value.code


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Images are tiny, so that whole commands take seconds; a folder of one's own images is read as it is."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("bench")
    for name in ("bolts", "nuts"):
        (folder / "PATH" / name).mkdir(parents=True)
        for i in range(30):
            Image.new("L", (8, 8), 6 * i + 40 * (name == "nuts")).save(folder / "PATH" / name / f"{i}.png")
    images = tiny(size=16)
    shown = served(lambda wanted: data.load(wanted.name) if wanted.name.startswith("folder:") else images)
    with shown, temporarily(METHODS), pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PAPERLIB_OUTPUT", str(folder))
        patch.setenv("PAPERLIB_DEVICE", "cpu")
        patch.setenv("HOME", str(folder))
        small = ("run", "--epochs", "1", "--batch-size", "16", "--results", "kept")
        assert call(*small, "--method", "set", "--sparsity", "0.5", "--keep-weights") == 0
        (trial,) = (folder / "results" / "kept" / "trials").glob("*.json")
        for name in ("A", "B"):
            shutil.copytree(folder / "results" / "kept", folder / name)
        yield Bench(folder, trial.stem)


def test_the_pages_hold_commands_and_the_table_is_no_longer_than_it_must_be() -> None:
    assert len(COMMANDS) >= 40 and len(RUN) >= 2 * len(NOT_RUN)
    unused = [p for p in NOT_RUN if not any(re.fullmatch(p, c) for c in COMMANDS)]
    assert unused == [], "no page says this any more"
    assert [c for c in ADDED if c not in COMMANDS] == [], "no page says this any more"
    words = {word for command in COMMANDS for word in command.split()}
    assert FILLED.keys() <= words


@pytest.mark.parametrize("command", RUN)
def test_a_command_ends_as_documented(command: str, bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    program, *words = shlex.split(command)
    if program == "make":
        # What a target does has a test of its own; here, that make has it and nothing else is misspelt.
        subprocess.run(["make", "--dry-run", *words], cwd=ROOT, check=True, capture_output=True)
        return
    if program in {"source", "export"}:
        subprocess.run(["bash", "-ec", command], cwd=ROOT, check=True, capture_output=True)
        return
    assert program == "paperlib", "neither run nor in the table NOT_RUN"
    words = [FILLED.get(word, word) for word in words] + ADDED.get(command, "").split()
    last = len(batches(all_trials("smoke"), 1000)) - 1  # the smallest batch
    words = [word.format(trial=bench.trial, last=last) for word in words]
    code, (out, err) = call(*words), capfd.readouterr()
    assert code in (0, None), err
    assert "Traceback" not in out + err


def test_the_completion_of_a_shell_can_be_had(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    assert call("--show-completion", "bash") in (0, None)
    shown = capfd.readouterr().out
    assert "complete" in shown and "paperlib" in shown


def test_a_difference_between_two_results_exits_with_1(bench: Bench) -> None:
    (path,) = (bench.folder / "B" / "trials").glob("*.json")
    whole = path.read_text()
    path.write_text(re.sub(r'("accuracy": ?)[0-9.]+', r"\g<1>0.123", whole))
    try:
        assert call("compare", "A", "B", "--tolerance", "accuracy=0.01") == 1
    finally:
        path.write_text(whole)


# Python blocks that need more than tiny images; each has a test of its own.
PYTHON_ELSEWHERE = {
    "class Plug": "a meter, whose readings test_docs.py writes",
    "DatasetInfo(": "a data set, whose images test_docs.py draws",
    "Verdict, claim": "a claim, which test_docs.py takes out of the ledger again",
    "InferenceSession": "an exported network, which test_export.py makes",
}


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.is_python for b in blocks(p))], ids=lambda p: p.name)
def test_python_blocks_run(page: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(bench.folder))
    for block in (b for b in blocks(page) if b.is_python):
        if any(mark in block.text for mark in PYTHON_ELSEWHERE):
            continue
        if saved := re.search(r"Save it as `(?:notebooks/)?(\w+\.py)`", block.after):
            (bench.folder / saved[1]).write_text(block.text)  # the next block imports it
            continue
        exec(compile(block.text, page.name, "exec"), {})


def test_python_in_sentences_runs(bench: Bench) -> None:
    """Calls of the package in a sentence, such as `paperlib.load_results("quick")`."""
    import paperlib

    shutil.copytree(bench.folder / "A", bench.folder / "results" / "quick", dirs_exist_ok=True)
    calls = [c for page in PAGES for c in re.findall(r"`(paperlib\.\w+\(.*?\))`", page.read_text(encoding="utf-8"))]
    assert calls
    for call_ in calls:
        assert len(eval(call_, {"paperlib": paperlib})) > 0


def test_python_that_another_test_runs_is_still_there() -> None:
    texts = [block.text for page in PAGES for block in blocks(page)]
    assert [mark for mark in PYTHON_ELSEWHERE if not any(mark in text for text in texts)] == []


# What to do to see each message that the FAQ explains: variables, and the words of a command.
MESSAGES = {
    "this trial takes real images only, and cifar10 is a drawn stand-in here": (
        {"PAPERLIB_DATA": "", "PAPERLIB_CACHE": "nothing-fetched"},
        "run --dataset cifar10 --real-images",
    ),
    "sparsity 0.9999 leaves layer 'fc1' empty": ({}, "run --method pre-training --sparsity 0.9999"),
    "record … has schema version 3, this paperlib reads 2": ({}, "run --epochs 1 --results old"),
    "trial … failed: diverged": ({}, "run --epochs 3 --lr 1e30"),
    "unknown scope 'globl'; did you mean 'global'?": ({}, "run --scope globl"),
    "no project folder here: run inside the checkout, or set PAPERLIB_ROOT to it": (
        {"PAPERLIB_OUTPUT": ""},
        "claims --profile laptop",
    ),
    "unknown grid 'IT'": ({"PAPERLIB_GRID": "IT"}, "reproduce --profile smoke --only 05"),
}


def test_every_message_that_the_faq_explains_is_in_the_table() -> None:
    assert re.findall(r"^\*\*`([^`]+)`\.?\*\*", (ROOT / "docs" / "faq.md").read_text(), re.MULTILINE) == [*MESSAGES]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_that_the_faq_explains_is_given(
    message: str, bench: Bench, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    variables, words = MESSAGES[message]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if "schema" in message:
        assert call(*words.split()) == 0
        (path,) = (bench.folder / "results" / "old" / "trials").glob("*.json")
        path.write_text(re.sub(r'("schema_version": ?)\d+', r"\g<1>3", path.read_text()))
    elif "cifar10" in message:
        for name, function in REAL.items():
            monkeypatch.setattr(data, name, function)
    elif "project folder" in message:
        monkeypatch.delenv("PAPERLIB_ROOT", raising=False)
        monkeypatch.setattr(paths, "__file__", str(bench.folder / "site-packages" / "paperlib" / "core" / "paths.py"))
    assert call(*words.split()) == (1 if "failed" in message else 2)
    *_, line = capfd.readouterr().err.strip().splitlines()
    assert re.match("paperlib: " + ".*".join(map(re.escape, message.split("…"))), line), line


def test_the_faq_counts_the_kinds_of_training_that_a_plan_tries() -> None:
    said = re.findall(r"(\d+) (?:kinds )?in `(\w+)`", (ROOT / "docs" / "faq.md").read_text())
    found = {p: {kind(t) for t in all_trials(p)} for _, p in said}
    assert said and [(str(len(found[p])), p) for _, p in said] == said


def test_the_rooms_and_licences_that_the_pages_name_are_there() -> None:
    rooms = {path.parent.name for path in (ROOT / "paperlib").glob("*/__init__.py")}
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    assert set(re.findall(r"^- \*\*\[(\w+)\]\(\.\./paperlib/\w+\)\*\*", architecture, re.MULTILINE)) == rooms
    readme = (ROOT / "README.md").read_text()
    notebooks = {path.stem for path in (ROOT / "notebooks").glob("0*.ipynb")}
    assert set(re.findall(r"\(notebooks/(\w+)\.ipynb\)", readme)) == notebooks
    assert "Licence: MIT" in readme and all(info.licence for info in map(DATASETS.__getitem__, DATASETS))
