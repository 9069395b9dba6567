"""What a reader sees in a cell: what the committed records give, a record as a table, a mistake as one line."""

import base64
import copy
import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import cast
from xml.etree import ElementTree

import nbclient
import nbformat
import numpy as np
import pytest
from PIL import Image

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.records import write_cost_table
from paperlib.exhibits.manifest import output_root, read_manifest
from paperlib.report.committed import DATA_FILES
from paperlib.schema.trial import make_trial
from paperlib.studies.sections import COLLATION, NOTEBOOKS
from paperlib.trials.archive import ARCHIVE, open_archive
from paperlib.trials.runner import run
from paperlib.trials.store import Store
from tests.committed_files import assert_committed
from tests.conftest import ROOT

# Run trials of the reader's own, of which no record is committed: what they show cannot be compared.
OWN_TRIAL = "own-trial"
# The records as they are, whichever images this machine has.
AS_THEY_ARE = """
import paperlib.trials.runner
from paperlib.studies import sections
from paperlib.trials.store import Store

def found(trials, layout):
    records = {record.id: record for record in Store(layout).records()}
    return [records[trial.id] for trial in trials]

paperlib.trials.runner.run_all = found
sections.with_images = lambda trials, profile: list(trials)
"""


def compared(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """The code cells whose outputs are made of the profile's records alone."""
    return [c for c in notebook.cells if c.cell_type == "code" and OWN_TRIAL not in c.metadata.get("tags", [])]


@pytest.fixture(scope="module")
def quick() -> Iterator[Layout]:
    """The committed records of the profile `quick`, in a folder that the notebooks then fill."""
    with open_archive(paths.root() / "results" / "quick" / ARCHIVE) as layout, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPERLIB_OUTPUT", str(output_root(layout)))
        patch.setenv("PAPERLIB_ROOT", str(paths.root()))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(paths.root()), os.environ.get("PYTHONPATH", "")]))
        yield layout


@pytest.fixture(scope="module")
def again(quick: Layout) -> Callable[[str], nbformat.NotebookNode]:
    """Notebooks executed on the committed records of their profile, without the cells that run other trials."""

    @cache
    def executed(number: str) -> nbformat.NotebookNode:
        if number == COLLATION:  # it shows what the others have written
            [executed(other) for other in NOTEBOOKS if other != COLLATION]
        notebook = nbformat.read(NOTEBOOKS[number].source, as_version=4)
        notebook.cells = [nbformat.v4.new_code_cell(AS_THEY_ARE), *compared(notebook)]
        folder = {"metadata": {"path": str(paths.root() / "notebooks")}}
        nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=folder).execute()
        del notebook.cells[0]
        return notebook

    return executed


def differences(stored: nbformat.NotebookNode, again: nbformat.NotebookNode) -> list[str]:
    """What the stored outputs show otherwise than the records: each text, number and picture."""
    found = []
    for old, new in zip(compared(stored), again.cells, strict=True):
        assert old.source == new.source
        shown, made = _texts(old.outputs), _texts(new.outputs)
        if len(shown) != len(made):
            found.append(f"{old.source.splitlines()[0]}: {len(shown)} outputs are stored, {len(made)} come again")
        found += [f"{a} is stored, {b} comes again" for a, b in zip(shown, made, strict=False) if not _same(a, b)]
    return found


def _texts(outputs: list[nbformat.NotebookNode]) -> list[dict[str, str]]:
    # A stream comes in as many parts as it pleases the kernel.
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    shown = [dict(output.get("data", {})) for output in outputs if output.output_type != "stream"]
    return [{"stream": printed}, *shown] if printed else shown


def _same(a: dict[str, str], b: dict[str, str]) -> bool:
    if a.keys() != b.keys():
        return False
    return all(_alike(a[kind], b[kind]) if kind == "image/png" else a[kind] == b[kind] for kind in a)


def _alike(a: str, b: str) -> bool:
    # Another CPU may draw a line a hair aside; other numbers draw another picture.
    if a.strip() == b.strip():
        return True
    if hashlib.sha256(base64.b64decode(a)).hexdigest() not in kept_files():
        return False  # what is stored is no committed figure: a dot that was moved is less than a hair of the page
    one, two = (np.asarray(Image.open(io.BytesIO(base64.b64decode(x))).convert("L"), float) for x in (a, b))
    return one.shape == two.shape and bool(np.abs(one - two).mean() < 1)


@cache
def kept_files() -> set[str]:
    """SHA-256 of every figure and table that is committed with the records of `quick`."""
    return set(json.loads((paths.root() / "results" / "quick" / "kept.json").read_text())["files"].values())


def cells_of(number: str) -> tuple[str, str]:
    """(parameters, the cell that runs) of a notebook."""
    code = [c for c in nbformat.read(NOTEBOOKS[number].source, as_version=4).cells if c.cell_type == "code"]
    assert "parameters" in code[0].metadata["tags"]
    return code[0].source, code[1].source


NAN = float("nan")
WRONG: dict[str, list[object]] = {
    "profile": [3, None, ["quick"], "nosuch", "", "../quick"],
    "datasets": ["mnist", 5, [], [3], [None], ["nosuch"], {"mnist": 1}, ["folder:/no/such/folder"], ["mnist:x"]],
    "models": ["mlp-small", 5, [], [1], ["nosuch"], {"resnet18": 1}],
    "sparsities": [0.9, "0.9", [], ["0.5"], [1.0], [-0.1], [NAN], [True], [None], {0.5: 1}],
    "scopes": ["global", 1, [], ["globl"], [1]],
    "methods": ["set", 1, [], ["sett"], [None], ["dense"]],
    "scenarios": ["i", "ii", 0.8, [], ["iv"], [0.8], [(0.3,)], [(0.3, 1.5)], [(0.3, "a")], [(0.1, 0.2, 0.3)]],
    "seeds": [0, -1, 2.5, "3", True, [1], NAN],
}
PARAMETERS = [
    (number, name) for number in NOTEBOOKS for name in re.findall(r"^(\w+) =", cells_of(number)[0], re.MULTILINE)
]


@pytest.mark.parametrize(("number", "name"), PARAMETERS)
def test_a_wrong_parameter_is_one_line_and_nothing_runs(number: str, name: str, layout: Layout) -> None:
    for value in WRONG[name]:
        space: dict[str, object] = {}
        exec(cells_of(number)[0], space)
        with pytest.raises(PaperlibError) as said:
            exec(cells_of(number)[1], space | {name: value})
        assert len(str(said.value).splitlines()) == 1 and len(str(said.value)) < 300, (name, value)
        assert not list(layout.results.parent.glob("*/trials/*")), f"{name} = {value!r} ran something"


@pytest.fixture(scope="module")
def outputs() -> list[nbformat.NotebookNode]:
    """The error outputs of a kernel that meets both kinds."""
    v4 = nbformat.v4
    parameters, running = cells_of("01")
    cells = [
        v4.new_code_cell(f"{parameters}\nsparsities = 0.9\n{running}"),
        v4.new_code_cell("def f():\n    return 1 / 0\nf()"),
    ]
    notebook = v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, allow_errors=True, resources={"metadata": {"path": str(ROOT)}}).execute()
    return [output for cell in notebook.cells for output in cell.outputs]


@pytest.mark.parametrize("number", NOTEBOOKS)
def test_the_stored_outputs_are_what_the_committed_records_give(
    number: str, again: Callable[[str], nbformat.NotebookNode]
) -> None:
    stored = nbformat.read(NOTEBOOKS[number].source, as_version=4)
    assert not differences(stored, again(number)), "`paperlib reproduce`, keep-outputs and keep-results"
    others = [c for c in stored.cells if OWN_TRIAL in c.metadata.get("tags", [])]
    runs = re.compile(r"\brun\(|measure\(|sparsity_curve\(|Explorer\(|timed\(|of_network\(")
    assert len(others) <= 4 and all(runs.search(cell.source) for cell in others)


def test_the_notebooks_write_the_committed_files(quick: Layout, again: Callable[[str], nbformat.NotebookNode]) -> None:
    """What test_committed.py shows for the other profiles: here without drawing `quick` a second time."""
    again(COLLATION)
    Store(quick).write_table()
    write_cost_table(quick)
    names = {name for exhibit in read_manifest(quick) for name in exhibit.files}
    names |= {f"results/quick/{name}" for name in DATA_FILES}
    assert_committed({name: output_root(quick) / name for name in names}, paths.root() / "results" / "quick" / ARCHIVE)


def test_one_other_digit_of_an_accuracy_is_noticed(again: Callable[[str], nbformat.NotebookNode]) -> None:
    stored, made = nbformat.read(NOTEBOOKS["01"].source, as_version=4), again("01")
    cells = [n for n, c in enumerate(stored.cells) if c.cell_type == "code" and '"accuracy_mlp"' in c.source]
    before = len(differences(stored, made))
    place = 0
    for _ in range(20):  # of the numbers of that table, one after the other
        tampered = copy.deepcopy(stored)
        data = next(o.data for o in tampered.cells[cells[0]].outputs if "text/html" in o.get("data", {}))
        html = cast(str, data["text/html"])
        number = re.compile(r"\d+\.\d+").search(html, place)
        assert number
        place = number.end()
        other = str((int(html[place - 1]) + 1) % 10)
        data["text/html"] = html[: place - 1] + other + html[place:]
        assert len(differences(tampered, made)) == before + 1, number[0]


def test_one_moved_dot_of_a_figure_is_noticed(again: Callable[[str], nbformat.NotebookNode]) -> None:
    stored, made = nbformat.read(NOTEBOOKS["01"].source, as_version=4), again("01")
    before = len(differences(stored, made))
    output = next(o for c in compared(stored) for o in c.outputs if "image/png" in o.get("data", {}))
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(output.data["image/png"]))).convert("RGB")).copy()
    pixels[100:104, 100:104] = 255 - pixels[100:104, 100:104]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    output.data["image/png"] = base64.b64encode(buffer.getvalue()).decode()
    assert len(differences(stored, made)) == before + 1


def test_a_mistake_is_one_line_that_ends_with_the_cure(outputs: list[nbformat.NotebookNode]) -> None:
    mistake = outputs[0]
    assert (mistake.output_type, mistake.ename) == ("error", "PaperlibError")
    assert len(mistake.traceback) == 1 and "must be a list of shares in [0, 1) such as" in mistake.traceback[0]


def test_a_fault_keeps_its_traceback(outputs: list[nbformat.NotebookNode]) -> None:
    assert outputs[1].ename == "ZeroDivisionError" and len(outputs[1].traceback) > 2


@pytest.mark.usefixtures("tiny_images")
def test_a_record_shows_as_a_table_that_a_screen_reader_can_read(layout: Layout) -> None:
    record = run(make_trial(method="set", sparsity=0.5, epochs=1, batch_size=16), layout)
    table = ElementTree.fromstring(record._repr_html_())
    shown = {row.findtext("th"): row.findtext("td") or "" for row in table.iter("tr")}
    assert table.findtext("caption") == f"Trial {record.id} (done)"
    assert shown["images"].startswith("tiny, stand-in")
    assert record.test is not None and shown["test accuracy"].startswith(f"{record.test.accuracy:.2%}")
    assert {head.get("scope") for head in table.iter("th")} == {"row"}
