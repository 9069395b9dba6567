"""The generated links: in order, to files that are there, to sections that are there; and nothing is stale."""

import re
from pathlib import Path

import nbformat
import pytest

from paperlib.report.notebook_links import END, TOP, link
from paperlib.studies.sections import NOTEBOOKS

SOURCES = [notebook.source for notebook in NOTEBOOKS.values()]


def cells(source: Path) -> dict[str, str]:
    return {cell.id: cell.source for cell in nbformat.read(source, as_version=4).cells}


def test_a_reader_who_follows_next_sees_every_notebook_once_and_comes_back() -> None:
    there, back = [SOURCES[0]], [SOURCES[-1]]
    for word, path in (("Next", there), ("Previous", back)):
        while found := re.search(rf"{word}: \[[^]]+\]\(([^)]+)\)", cells(path[-1])[END]):
            path.append(path[-1].parent / found[1])
            assert len(path) <= len(SOURCES), "the links run in a circle"
    assert there == sorted(there) == SOURCES == back[::-1]


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_the_contents_name_every_section_and_one_invites(source: Path) -> None:
    every = cells(source)
    headings = [x for text in every.values() for x in re.findall(r"^## (.+)$", text, re.MULTILINE)]
    anchors = re.findall(r"\[([^]]+)\]\(#([^)]+)\)", every[TOP])
    assert [name for name, _ in anchors] == headings
    assert all(anchor == name.replace(" ", "-") for name, anchor in anchors)
    assert headings[0] == "Parameters" and any(name.startswith("Try it") for name in headings)


def test_what_is_committed_is_what_would_be_generated(tmp_path: Path) -> None:
    copies = [tmp_path / source.name for source in SOURCES]
    for source, copy in zip(SOURCES, copies, strict=True):
        copy.write_bytes(source.read_bytes())
    assert link(copies) == []
    book = nbformat.read(copies[1], as_version=4)
    book.cells = [cell for cell in book.cells if cell.id != END]
    book.cells[0].source = "# 02 · Another title"
    nbformat.write(book, copies[1])
    assert link(copies) == copies[:3]
    assert "Another title" in cells(copies[0])[END] and "Another title" in cells(copies[2])[TOP]
