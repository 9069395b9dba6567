"""What a reader sees in a cell: a record as a table, a mistake to mend as one line, a fault of ours as it is."""

from pathlib import Path
from xml.etree import ElementTree

import nbclient
import nbformat
import pytest

from paperlib.paths import Layout
from paperlib.run import run
from paperlib.trial import make_trial


@pytest.fixture(scope="module")
def outputs() -> list[nbformat.NotebookNode]:
    """The error outputs of a kernel that meets both kinds."""
    v4 = nbformat.v4
    cells = [
        v4.new_code_cell("from paperlib.trial import make_trial\nmake_trial(scope='globl')"),
        v4.new_code_cell("def f():\n    return 1 / 0\nf()"),
    ]
    notebook = v4.new_notebook(cells=cells)
    nbclient.NotebookClient(
        notebook, allow_errors=True, resources={"metadata": {"path": str(Path(__file__).parents[1])}}
    ).execute()
    return [output for cell in notebook.cells for output in cell.outputs]


def test_a_mistake_is_one_line_that_ends_with_the_cure(outputs: list[nbformat.NotebookNode]) -> None:
    mistake = outputs[0]
    assert (mistake.output_type, mistake.ename) == ("error", "PaperlibError")
    assert len(mistake.traceback) == 1 and "did you mean 'global'?" in mistake.traceback[0]


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
