"""Links between the notebooks and the contents of each: two generated cells, first below the title and last of all."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from paperlib.core.io import write_atomically

if TYPE_CHECKING:
    from nbformat import NotebookNode

TOP, END = "contents-top", "contents-end"


def link(sources: Sequence[Path]) -> list[Path]:
    """Write both cells anew into every notebook, in the order given; returns the files that changed."""
    import nbformat

    changed = []
    for place, source in enumerate(sources):
        notebook = nbformat.read(source, as_version=4)
        before = nbformat.writes(notebook)
        title, *others = written(notebook.cells)
        neighbours = _neighbours(sources, place)
        contents = " · ".join(f"[{name}](#{name.replace(' ', '-')})" for name in _headings([title, *others]))
        top, end = _cell(TOP, f"{neighbours}\n\n**Contents**: {contents}"), _cell(END, neighbours)
        notebook.cells = [title, top, *others, end]
        if (after := nbformat.writes(notebook)) != before:
            write_atomically(source, (after + "\n").encode())
            changed.append(source)
    return changed


def written(cells: Sequence["NotebookNode"]) -> list["NotebookNode"]:
    """The cells without the generated ones."""
    return [cell for cell in cells if cell.id not in {TOP, END}]


def _headings(cells: Sequence["NotebookNode"]) -> list[str]:
    """The second-level headings, in order."""
    lines = [line for cell in cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return [line.removeprefix("## ") for line in lines if line.startswith("## ")]


def _neighbours(sources: Sequence[Path], place: int) -> str:
    neighbours = (("Previous", sources[:place][-1:]), ("Next", sources[place + 1 :][:1]))
    return " · ".join(f"{word}: [{_title(source)}]({source.name})" for word, near in neighbours for source in near)


def _title(source: Path) -> str:
    import nbformat

    first: str = nbformat.read(source, as_version=4).cells[0].source
    return first.splitlines()[0].lstrip("# ")


def _cell(identity: str, text: str) -> "NotebookNode":
    import nbformat

    return nbformat.v4.new_markdown_cell(text, id=identity, metadata={"tags": ["contents"]})
