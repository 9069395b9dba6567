"""What a reader sees in a cell that fails: one line for a mistake to mend, the traceback for a fault of ours."""

from pathlib import Path

import nbclient
import nbformat
import pytest


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
