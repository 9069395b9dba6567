"""A small report, and what its reader finds behind the numbers of a table, read from its pages alone."""

import json
import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import pytest

from paperlib.core.paths import Layout
from paperlib.report import committed
from paperlib.report import pages as report_pages
from paperlib.schema.trial import make_trial
from paperlib.trials.runner import run_all
from tests import measured_costs
from tests.conftest import served, tiny


def small_report(folder: Path, *, costs: bool = False) -> Layout:
    """The report on two seeds of dense and of two methods, tiny images; costs: also measured, briefly."""
    fields = {"epochs": 1, "batch_size": 16}
    trials = [make_trial(**fields, seed=seed) for seed in range(2)]
    trials += [make_trial(**fields, seed=s, method=m, sparsity=0.5) for m in ("set", "pre-training") for s in range(2)]
    images = tiny()
    with served(lambda selection: images), pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPERLIB_OUTPUT", str(folder))
        patch.setenv("PAPERLIB_DEVICE", "cpu")
        layout = Layout.of("scratch")
        run_all(trials, layout)
        if costs:
            measured_costs.write(layout)
        committed.regenerate(layout)
        report_pages.build(layout)
    return layout


@dataclass(frozen=True)
class Row:
    """One row of a table: its group's heading, texts by column, ids behind the columns that are links."""

    group: str
    texts: dict[str, str]
    ids: dict[str, set[str]]


def rows(layout: Layout, table: str) -> list[Row]:
    """The rows of a table as its page shows them."""
    page = (layout.report / "exhibits" / f"{table}.html").read_text()
    (section,) = re.findall(rf'<section [^>]*id="table-{table}">(.*?)</section>', page, re.DOTALL)
    heads = [unescape(h) for h in re.findall(r'<th class="gt_col_heading[^>]*>(.*?)</th>', section, re.DOTALL)]
    (body,) = re.findall(r"<tbody.*?</tbody>", section, re.DOTALL)
    found, group = [], ""
    for line in re.findall(r"<tr.*?</tr>", body, re.DOTALL):
        if heading := re.search(r'<th class="gt_group_heading"[^>]*>(.*?)</th>', line):
            group = heading[1]
            continue
        cells = dict(zip(heads, re.findall(r"<td[^>]*>(.*?)</td>", line, re.DOTALL), strict=True))
        texts = {head: unescape(re.sub(r"<.*?>", "", cell)) for head, cell in cells.items()}
        way = r'href="\.\./trials\.html\?only=([\w,]+)#(\w+)"'
        links = {head: re.search(way, cell) for head, cell in cells.items()}
        ids = {head: set(link[1].split(",")) for head, link in links.items() if link}
        assert all(link[2] in ids[head] for head, link in links.items() if link)
        found.append(Row(group, texts, ids))
    return found


def pages(layout: Layout) -> list[Path]:
    """All pages of the report, notebooks apart."""
    return [page for page in layout.report.rglob("*.html") if page.parent.name != "notebooks"]


def dead_ends(layout: Layout) -> set[str]:
    """Ids that a page of the report leads to and trials.html does not list, or trial.html does not know."""
    listed = (layout.report / "trials.html").read_text()
    there = set(re.findall(r'<tr id="(\w+)">', listed))
    texts = [page.read_text() for page in pages(layout)]
    asked = {i for text in texts for ids in re.findall(r"trials\.html\?only=([\w,]+)#", text) for i in ids.split(",")}
    jumps = {i for text in texts for i in re.findall(r'trials\.html[^"#]*#(\w+)"', text)}
    assert asked, "no page leads to trials"
    known = {i for part in (layout.report / "data").glob("*.js") for i in _trials(part)}
    return ((asked | jumps) - there) | (set(re.findall(r'"trial\.html#(\w+)"', listed)) ^ known)


def _trials(part: Path) -> dict[str, dict[str, object]]:
    trials: dict[str, dict[str, object]] = json.loads(part.read_text().removeprefix("show(").removesuffix(");\n"))
    return trials


def dead_links(layout: Layout) -> set[str]:
    """Links of the report's pages, notebooks apart, to files that are not there."""
    links = {
        (page, link.partition("#")[0].partition("?")[0])
        for page in pages(layout)
        for link in re.findall(r'(?:href|src)="(?!https?:|#|data:)([^"]+)"', page.read_text())
    }
    return {f"{page.name}: {link}" for page, link in links if not (page.parent / unescape(link)).is_file()}


def commands(layout: Layout) -> set[str]:
    """Every command that a page shows with a button to copy it."""
    boxes = (re.findall(r'<div class="command"><code[^>]*>(.+?)</code>', page.read_text()) for page in pages(layout))
    known = [trial for part in (layout.report / "data").glob("*.js") for trial in _trials(part).values()]
    return {unescape(command) for box in boxes for command in box} | {str(trial["command"]) for trial in known}
