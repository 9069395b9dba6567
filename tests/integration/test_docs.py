"""The documentation: links lead somewhere, the example of a method runs, commands exist."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import nbformat
import numpy as np
import pandas as pd
import pytest
import typer

from paperlib.claims import CLAIMS, find, verdicts
from paperlib.cli.entry import app
from paperlib.core.paths import Layout
from paperlib.data import DATASETS, load
from paperlib.data.sources import READERS
from paperlib.execution.backends import BACKENDS
from paperlib.exhibits import collation
from paperlib.pruners import METHODS
from paperlib.schema.measurement import EnergySource
from paperlib.schema.trial import make_trial
from paperlib.studies.sections import NOTEBOOKS
from paperlib.trials.runner import run
from tests import claim_records
from tests.conftest import ROOT, temporarily

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    tree = typer.main.get_command(app)
    for line in re.findall(r"paperlib ((?:[a-z-]+ ?)+(?: ?--?[^`#\n]*)?)", page.read_text()):
        words = line.split()
        command = tree.commands.get(words[0])  # type: ignore[attr-defined]
        if command is None:
            continue  # prose, not a command
        command = command.real() if hasattr(command, "real") else command  # of a module that is imported late
        if hasattr(command, "commands") and len(words) > 1 and not words[1].startswith("-"):
            assert words[1] in command.commands, line
            command = command.commands[words[1]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {w for w in words if w.startswith("--")} <= known, line


def example(mark: str) -> str:
    """The block of docs/adding.md that holds `mark`."""
    every = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "adding.md").read_text(), re.DOTALL)
    (found,) = (block for block in every if mark in block)
    return str(found)


def run_example(mark: str) -> dict[str, Any]:
    """What the block defines."""
    names: dict[str, Any] = {}
    exec(compile(example(mark), "adding.md", "exec"), names)
    return names


def test_the_example_of_a_data_set_is_loaded_and_trained(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PAPERLIB_DATA", str(tmp_path))
    monkeypatch.setenv("PAPERLIB_CACHE", str(tmp_path / "cache"))
    folder, rng = tmp_path / "screws", np.random.default_rng(0)
    folder.mkdir()
    drawn = {f"{s}_images": rng.integers(0, 256, (n, 28, 28, 1), np.uint8) for s, n in (("train", 40), ("test", 20))}
    drawn |= {name.replace("images", "labels"): np.arange(len(of)) % 2 for name, of in drawn.items()}
    with temporarily(DATASETS), temporarily(READERS):
        run_example("DatasetInfo(")
        assert load("screws").provenance.source == "stand-in", "its files are not there yet"
        for name, array in drawn.items():
            np.save(folder / f"{name}.npy", array)
        images = load("screws")
        assert images.provenance.source == "rebuilt" and images.classes == ("good", "scratched")
        assert np.array_equal(images.test.images, drawn["test_images"])
        assert len(images.train) + len(images.val) == 40 and len(images.val) == 4
        record = run(make_trial(dataset="screws", epochs=1, batch_size=8), layout)
        assert record.status == "done" and (record.data.train, record.data.classes) == (36, 2)
    assert "screws" not in DATASETS and "npy" not in READERS


@pytest.mark.usefixtures("tiny_images")
def test_the_examples_of_a_table_and_a_figure_show_what_the_records_hold(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [("dense", 0.0, 0), ("dense", 0.0, 1), ("random", 0.5, 0), ("random", 0.5, 1)]
    records = [run(make_trial(method=m, sparsity=s, seed=n, epochs=1, batch_size=16), layout) for m, s, n in asked]
    table, figure = run_example("def above_majority")["above_majority"], run_example("def every_trial")["every_trial"]
    section = collation.SECTIONS["01"]
    assert section is not None
    makers = (lambda source, study: [table(source), figure(source)],)
    monkeypatch.setitem(collation.SECTIONS, "01", replace(section, makers=makers))
    made = {e.name: e for e in collation.write("01", layout)}
    assert made.keys() == {"above_majority", "every_trial"}
    assert {frozenset(e.trials) for e in made.values()} == {frozenset(r.id for r in records)}
    assert all("n = 2 seeds" in e.caption and "stand-in" in e.caption for e in made.values())
    rows = pd.read_csv(layout.tables / "above_majority.csv").set_index("method")
    for method in ("dense", "random"):
        of = [r for r in records if r.trial.method == method]
        points = np.mean(
            [100 * (r.test.accuracy - r.data.test_majority) for r in of if r.test and r.data.test_majority]
        )
        assert rows.points[method] == pytest.approx(points, abs=0.06)


@pytest.mark.usefixtures("tiny_images")
def test_the_example_of_a_meter_meters_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = example("class Plug")
    # A reading every 0.1 ms, so that ten of them take no ten seconds for each variant.
    source = source.replace("update_s = 1.0", "update_s = 1e-4")
    monkeypatch.chdir(tmp_path)
    Path("plug.txt").write_text("50")
    names: dict[str, Any] = {}
    exec(compile(source, "adding.md", "exec"), names)
    (run,) = names["record"].runs
    for timing in (*run.step, *run.inference):
        assert timing.energy_source == "external" and timing.energy_j_per_image
    dense = run.step[0]  # 50 W over a step, shared among its 64 images; within 10, since the machine may do other work
    assert 0.1 < dense.energy_j_per_image / (50 * dense.median_s / 64) < 10


def test_the_example_of_a_meter_knows_its_limits(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(example("class Plug").partition("(record,) = ")[0], "adding.md", "exec"), names)
    (tmp_path / "plug").write_text("50")
    plug = names["Plug"](tmp_path / "plug")
    plug.begin()
    (tmp_path / "plug").write_text("70")
    plug.start -= 2
    assert plug.end() == pytest.approx(120, rel=0.2)
    plug.begin()
    assert plug.end() is None, "a window shorter than an update of the plug"


@pytest.mark.usefixtures("tiny_images")
def test_the_example_of_a_method_is_a_method(layout: Layout) -> None:
    with temporarily(METHODS):
        run_example("METHODS.register")
        record = run(make_trial(method="largest", sparsity=0.5, epochs=2, batch_size=16), layout)
    assert record.status == "done" and record.network is not None
    assert record.network.scope_sparsity == pytest.approx(0.5, abs=0.01)


def test_the_example_of_a_claim_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("X1", "X2"):  # taken out again at the end
        monkeypatch.setitem(CLAIMS, name, CLAIMS["C46"])
    run_example("Verdict, claim")
    words = {
        name: [v.base for v in verdicts(tidy, [find("X1"), find("X2")], costs)]
        for name, tidy, costs in (
            ("none", pd.DataFrame(), pd.DataFrame()),
            ("equal", claim_records.table(seeds=3), claim_records.costs()),
        )
    }
    assert words == {"none": ["inconclusive", "inconclusive"], "equal": ["no effect", "supported"]}


def test_the_page_on_ci_names_every_variable_and_parameter() -> None:
    page = (ROOT / "docs" / "ci.md").read_text()

    def variables(*folders: str) -> set[str]:
        files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
        return {name for path in files for name in re.findall(r"\bPAPERLIB_[A-Z_]+", path.read_text())}

    rows = {row.split("`")[1]: row for row in page.splitlines() if row.startswith("| `PAPERLIB_")}
    of_tests = {name for name, row in rows.items() if "tests only" in row}
    assert rows.keys() - of_tests == variables("paperlib") and of_tests <= variables("tests")
    for number, notebook in NOTEBOOKS.items():
        (row,) = (r for r in page.splitlines() if re.match(rf"\| (\d\d, )*{number}\b", r))
        cells = nbformat.read(notebook.source, as_version=4).cells
        (cell,) = (c.source for c in cells if "parameters" in c.metadata.get("tags", []))
        written = {name for name in re.findall(r"^(\w+) =", cell, re.MULTILINE) if name != "profile"}
        assert set(re.findall(r"`(\w+)`", row)) == written, number


def test_the_table_of_backends_is_the_one_in_code() -> None:
    table = (ROOT / "docs/measuring.md").read_text().partition("## What each backend skips")[2]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| `")]
    written = {name: row for row in rows for name in re.findall(r"`([a-z0-9+]+)`", row[0])}
    assert written.keys() == set(BACKENDS)
    for name, row in written.items():
        assert (row[2].strip() == "yes") == BACKENDS[name].exact
        assert (row[4].strip() == "any") == ("cuda" in BACKENDS[name].devices)


def test_measuring_names_every_source_of_energy() -> None:
    rows = (ROOT / "docs/measuring.md").read_text().splitlines()
    row = next(row for row in rows if row.startswith("| energy |"))
    assert {word for word in get_args(EnergySource) if f"`{word}`" not in row} == {"simulated"}, "for tests only"


def test_hints_install_this_checkout_and_not_another_project_of_this_name() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named: set[str] = set()
    for page in [*PAGES, *(ROOT / "paperlib").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"pip install [^`\n]*\bpaperlib\b", text), page
        named |= set(re.findall(r"pip install [^`\n]*\.\[(\w+)\]", text))
    assert "fast" in named and named <= set(extras)


def test_every_test_file_that_the_docs_name_is_there() -> None:
    files = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    named = {name for page in PAGES for name in re.findall(r"\btest_\w+\.py", page.read_text(encoding="utf-8"))}
    assert len(named) > 10 and named <= files
