"""A page for each table and figure: the exhibit, its caption, what it rests on, the command that makes it again."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import jinja2
import pandas as pd
from PIL import Image

from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.exhibits.captions import provenance
from paperlib.exhibits.manifest import Exhibit, output_root
from paperlib.exhibits.trial_links import linked
from paperlib.studies.sections import NOTEBOOKS

# Figures that stand on the first page, one for a section.
KEY = ("pareto_mlp-small", "pareto_vgg16", "test_accuracy_i", "edge_ratio_t1", "profile")
# Type of 7 points in a PNG of 150 dots an inch is 11 pixels tall at this size.
SCALE = 0.755


@dataclass(frozen=True)
class Listed:
    """An exhibit on the first page. line: of its caption the first sentence; size: of the figure in dots, else None."""

    name: str
    kind: str
    title: str
    line: str
    href: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class Block:
    """A section of the first page; key: the figure that stands there."""

    number: str
    title: str
    key: Listed | None
    pages: tuple[Listed, ...]


def first_sentence(caption: str) -> str:
    """What a caption says first, in plain text: to a full stop before a capital letter or an n."""
    return re.split(r"(?<=\.)\s+(?=[A-Z]|n = )", caption, maxsplit=1)[0].replace("`", "")


def blocks(exhibits: Iterable[Exhibit], layout: Layout) -> list[Block]:
    """The sections in reading order, each with its exhibits in the manifest's."""
    sections: dict[str, list[Listed]] = {}
    for e in exhibits:
        size = None
        if e.kind == "figure":
            with Image.open(output_root(layout) / next(f for f in e.files if f.endswith(".png"))) as image:
                size = image.size
        listed = Listed(e.name, e.kind, e.title, first_sentence(e.caption), f"exhibits/{e.name}.html", size)
        sections.setdefault(e.section, []).append(listed)
    found = []
    for number, pages in sorted(sections.items()):
        figures = sorted((p for p in pages if p.size), key=lambda p: p.name not in KEY)
        found.append(Block(number, NOTEBOOKS[number].title, figures[0] if figures else None, tuple(pages)))
    return found


def write(
    layout: Layout, templates: jinja2.Environment, exhibits: list[Exhibit], shown: list[Block], table: pd.DataFrame
) -> None:
    """Write exhibits/<name>.html into the report. table: the tidy one, of which the words on images are."""
    template, rows = templates.get_template("exhibit.html.j2"), table.set_index("id", drop=False)
    order = [page for block in shown for page in block.pages]
    titles, by_name = {block.number: block.title for block in shown}, {e.name: e for e in exhibits}
    measured = {"cost records": layout.costs, "measurements of section 04": layout.edge}
    stored = {what: {path.stem for path in folder.glob("*.json")} for what, folder in measured.items()}
    for place, page in enumerate(order):
        e = by_name[page.name]
        trials = rows[rows.index.isin(e.trials)]
        counts = [(len(trials), "trials"), *((len(ids & set(e.trials)), what) for what, ids in stored.items())]
        html = ""
        if e.kind == "table":
            text = (output_root(layout) / next(f for f in e.files if f.endswith(".html"))).read_text()
            html = linked(re.sub(r"<style>.*?</style>| style=\"[^\"]*\"", "", text, flags=re.DOTALL), "../")
        context = {
            "root": "../", "e": {**vars(e), "line": page.line, "size": page.size}, "html": html, "counts": counts,
            "images": provenance(trials) if len(trials) else "", "section": titles[e.section],
            "files": [f"../{e.kind}s/{f.rpartition('/')[2]}" for f in e.files if not f.endswith(".html")],
            "before": order[place - 1].name if place else "",
            "after": order[place + 1].name if place + 1 < len(order) else "",
        }  # fmt: skip
        target = layout.report / "exhibits" / f"{e.name}.html"
        write_atomically(target, template.render(context).encode())
