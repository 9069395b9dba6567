"""Bad input, over every command, option and variable: one line that says what is allowed or what to do, exit code 2."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from paperlib.cli import main

HERE = "{here}"  # a folder of the test with the files below
# What is typed after `paperlib` (words are split at blanks; `~` stands for an empty one), and what the line must hold.
OPTIONS = [
    # commands and their names
    ("runn", "'run'"),
    ("nosuch", "paperlib --help"),
    ("--nosuch", "paperlib --help"),
    ("data nosuch", "paperlib data --help"),
    ("data", "paperlib data --help"),
    ("doctor now", "paperlib doctor --help"),
    ("doctor --fast", "paperlib doctor --help"),
    ("run mnist", "paperlib run --help"),
    ("run --sparsty 0.5", "--sparsity"),
    ("run --seed", "--seed"),
    ("explain", "paperlib explain --help"),
    ("explain nosuch", "no trial begins with 'nosuch'"),
    ("explain nosuch --method set --sparsity 0.5", "not both"),
    ("explain --model mlp-medium", "--method set --sparsity"),
    ("explain --method sett --sparsity 0.5", "'set'"),
    # run
    ("run --dataset mnsit", "'mnist'"),
    ("run --dataset nosuch", "octmnist"),
    ("run --dataset ~", "mnist"),
    ("run --dataset mnist:digits", "visa"),
    ("run --dataset mnist@half", "option"),
    ("run --dataset visa@half", "2cls_highshot"),
    ("run --dataset folder:", "folder:PATH"),
    ("run --dataset folder:{here}/nosuch", "nosuch"),
    ("run --dataset folder:{here}/file", "file"),
    ("run --dataset folder:{here}/empty", "empty"),
    ("run --model mlp-smal", "'mlp-small'"),
    ("run --model ~", "mlp-small"),
    ("run --width 0", "greater than 0"),
    ("run --width -1", "greater than 0"),
    ("run --width 5", "less than or equal to 4"),
    ("run --width nan", "finite"),
    ("run --width wide", "number"),
    ("run --method sett", "'set'"),
    ("run --method ~", "in-training"),
    ("run --scope globall", "'global'"),
    ("run --method dense --scope layerwise", "removes nothing"),
    ("run --method set --sparsity 1", "[0, 1)"),
    ("run --method set --sparsity -0.1", "[0, 1)"),
    ("run --method set --sparsity nan", "finite"),
    ("run --method set --sparsity half", "number"),
    ("run --sparsity 0.5", "removes nothing"),
    ("run --conv-sparsity 0.5", "removes nothing"),
    ("run --method set --conv-sparsity 1", "[0, 1)"),
    ("run --method set --conv-sparsity -1", "[0, 1)"),
    ("run --method set --conv-sparsity x", "number"),
    ("run --threshold -1", "greater than or equal to 0"),
    ("run --threshold 0.1", "'threshold'"),
    ("run --method threshold", "threshold"),
    ("run --threshold inf", "finite"),
    ("run --draw -1", "greater than or equal to 0"),
    ("run --draw 2", "random-ratios"),
    ("run --draw 1.5", "integer"),
    ("run --swap 0", "greater than 0"),
    ("run --swap 1", "less than 1"),
    ("run --swap x", "number"),
    ("run --seed -1", "greater than or equal to 0"),
    ("run --seed 2147483648", "less than 2147483648"),
    ("run --seed x", "integer"),
    ("run --epochs 0", "greater than or equal to 1"),
    ("run --epochs -3", "greater than or equal to 1"),
    ("run --epochs ten", "integer"),
    ("run --epochs 1e3", "integer"),
    ("run --batch-size 0", "greater than or equal to 1"),
    ("run --batch-size x", "integer"),
    ("run --optimizer Adamm", "Adam"),
    ("run --optimizer ~", "SGD"),
    ("run --lr 0", "greater than 0"),
    ("run --lr -0.1", "greater than 0"),
    ("run --lr inf", "finite"),
    ("run --lr nan", "finite"),
    ("run --lr x", "number"),
    ("run --option momentum", "name=number"),
    ("run --option momentum=x", "name=number"),
    ("run --option momentum=nan", "finite"),
    ("run --option =1", "name=number"),
    ("run --option momentun=0.9", "momentum"),
    ("run --option momentum=-1", "momentum"),
    ("run --schedule cosin", "'cosine'"),
    ("run --compute fp16", "bf16"),
    ("run --resolution 4", "8 to 512"),
    ("run --resolution 9999", "8 to 512"),
    ("run --resolution x", "integer"),
    ("run --train-images 0", "greater than or equal to 1"),
    ("run --train-images x", "integer"),
    ("run --train-images 3", "images"),
    ("run --test-images 0", "greater than or equal to 1"),
    ("run --test-images x", "integer"),
    ("run --execution fast", "compact"),
    ("run --quirk double-softmx", "'double-softmax'"),
    ("run --quirk swap-first --quirk swap-first", "repetition"),
    ("run --results ../x", "plain folder name"),
    ("run --results a/b", "plain folder name"),
    ("run --results ~", "plain folder name"),
    ("run --results ..", "plain folder name"),
    ("run --real-images --dataset cifar10", "data fetch"),
    ("run --method pre-training --sparsity 0.9999", "empty"),
    ("run --model vgg16 --resolution 8", "larger image size"),
    # claims
    ("claims C99", "C9"),
    ("claims ~", "C46"),
    ("claims C46 C47", "paperlib claims --help"),
    ("claims --profile nosuch", "quick"),
    ("claims --profile quik", "'quick'"),
    ("claims --profile ../x", "plain folder name"),
    ("claims --profile ~", "plain folder name"),
    ("claims C46 --profile nosuch", "quick"),
    # compare
    ("compare", "paperlib compare --help"),
    ("compare {here}/results", "paperlib compare --help"),
    ("compare {here}/nosuch {here}/results", "results/quick"),
    ("compare {here}/empty {here}/results", "results/quick"),
    ("compare {here}/results {here}/file", "damaged"),
    ("compare --tolerance acuracy=1 {here}/results {here}/results", "'accuracy'"),
    ("compare --tolerance accuracy {here}/results {here}/results", "metric=number"),
    ("compare --tolerance accuracy=x {here}/results {here}/results", "metric=number"),
    ("compare --tolerance accuracy=-1 {here}/results {here}/results", "at least 0"),
    ("compare --tolerance accuracy=nan {here}/results {here}/results", "at least 0"),
    # plan, reproduce, trials, run-batch
    ("plan --profile nosuch", "laptop"),
    ("plan --only 77", "01"),
    ("plan --only ~", "01"),
    ("plan quick", "paperlib plan --help"),
    ("reproduce --profile nosuch", "laptop"),
    ("reproduce --only 77", "01"),
    ("reproduce --only ~", "01"),
    ("reproduce quick", "paperlib reproduce --help"),
    ("trials --profile nosuch", "laptop"),
    ("trials --of 0", "1"),
    ("trials --of x", "integer"),
    ("run-batch", "paperlib run-batch --help"),
    ("run-batch x", "integer"),
    ("run-batch --profile smoke -- -1", "0"),
    ("run-batch 99 --profile smoke --of 2", "0 to 1"),
    ("run-batch 0 --of 0", "1"),
    ("run-batch 0 --of x", "integer"),
    ("run-batch 0 --profile nosuch", "laptop"),
    # one exhibit
    ("figure", "paperlib figure --help"),
    ("figure pareto_mlp-smal", "'pareto_mlp-small'"),
    ("figure costs_mlp", "paperlib table costs_mlp"),
    ("figure pareto_mlp-small --profile nosuch", "laptop"),
    ("table", "paperlib table --help"),
    ("table overal", "'overall'"),
    ("list figures", "paperlib list --help"),
    ("report nosuch", "paperlib report --help"),
    ("report --profile nosuch", "laptop"),
    # committed results
    ("reference nosuch", "laptop"),
    ("reference laptop twice", "paperlib reference --help"),
    ("findings --write {here}/nosuch", "README.md"),
    ("findings --write {here}/empty", "README.md"),
    ("findings --write {here}/latin1", "UTF-8"),
    ("findings --write {here}/file", "markers|two lines"),
    ("findings README.md", "paperlib findings --help"),
    ("keep-results", "paperlib keep-results --help"),
    ("keep-results nosuch", "paperlib reproduce"),
    ("keep-results ../x", "plain folder name"),
    ("keep-outputs --profile nosuch", "laptop"),
    ("keep-outputs --profile smoke", "reproduce"),
    # export
    ("export", "paperlib export --help"),
    ("export nosuch", "paperlib run"),
    ("export ../x", "paperlib run"),
    ("export nosuch --results ../x", "plain folder name"),
    ("export nosuch --to", "--to"),
    # calibrate
    ("calibrate now", "paperlib calibrate --help"),
    ("calibrate --seconds 0", "greater than or equal to 1"),
    ("calibrate --seconds x", "number"),
    ("calibrate --wall {here}/nosuch", "paperlib calibrate"),
    # data
    ("data status mnist", "paperlib data status --help"),
    ("data fetch mnsit", "'mnist'"),
    ("data fetch mnist:x", "visa"),
    ("data fetch octmnist --resolution 33", "28, 64, 128, 224"),
    ("data fetch mnist --resolution 64", "one size"),
    ("data fetch --resolution x", "integer"),
    ("data verify mnsit", "'mnist'"),
    ("data verify visa@half", "2cls_highshot"),
    ("data render --meshes {here}/nosuch", "nosuch"),
    ("data render --meshes {here}/empty", ".ply"),
    ("data render --images 5", "100"),
    ("data render --images x", "integer"),
    ("data render --seed -1", "0"),
    ("data render --seed x", "integer"),
    ("data render --out {here}/file", "file"),
]
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
