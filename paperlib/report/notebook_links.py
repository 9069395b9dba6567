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

    notebooks = [nbformat.read(source, as_version=4) for source in sources]
    titles = [notebook.cells[0].source.splitlines()[0].lstrip("# ") for notebook in notebooks]
    links = [f"[{title}]({source.name})" for title, source in zip(titles, sources, strict=True)]
    changed = []
    for place, (source, notebook) in enumerate(zip(sources, notebooks, strict=True)):
        before = nbformat.writes(notebook)
        title, *others = written(notebook.cells)
        near = {"Previous": links[:place][-1:], "Next": links[place + 1 :][:1]}
        neighbours = " · ".join(f"{word}: {to}" for word, links_there in near.items() for to in links_there)
        lines = [x for cell in [title, *others] if cell.cell_type == "markdown" for x in cell.source.splitlines()]
        headings = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
        contents = " · ".join(f"[{name}](#{name.replace(' ', '-')})" for name in headings)
        top, end = (
            nbformat.v4.new_markdown_cell(text, id=identity, metadata={"tags": ["contents"]})
            for identity, text in ((TOP, f"{neighbours}\n\n**Contents**: {contents}"), (END, neighbours))
        )
        notebook.cells = [title, top, *others, end]
        if (after := nbformat.writes(notebook)) != before:
            write_atomically(source, (after + "\n").encode())
            changed.append(source)
    return changed


def written(cells: Sequence["NotebookNode"]) -> list["NotebookNode"]:
    """The cells without the generated ones."""
    return [cell for cell in cells if cell.id not in {TOP, END}]
