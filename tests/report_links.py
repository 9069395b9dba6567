"""What a reader of the report finds behind the numbers of a table, read from its pages alone."""

import re
from dataclasses import dataclass
from html import unescape

from paperlib.core.paths import Layout


@dataclass(frozen=True)
class Row:
    """One row of a table: its group's heading, texts by column, ids behind the columns that are links."""

    group: str
    texts: dict[str, str]
    ids: dict[str, set[str]]


def rows(layout: Layout, table: str) -> list[Row]:
    """The rows of a table as index.html shows them."""
    page = (layout.report / "index.html").read_text()
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
        links = {head: re.search(r'href="trials\.html\?only=([\w,]+)#(\w+)"', cell) for head, cell in cells.items()}
        ids = {head: set(link[1].split(",")) for head, link in links.items() if link}
        assert all(link[2] in ids[head] for head, link in links.items() if link)
        found.append(Row(group, texts, ids))
    return found


def dead_ends(layout: Layout) -> set[str]:
    """Ids that a page of the report leads to and trials.html does not list."""
    there = set(re.findall(r'<tr id="(\w+)">', (layout.report / "trials.html").read_text()))
    pages_of_results = (layout.report / "index.html", layout.report / "claims.html")
    pages = [page.read_text() for page in (*pages_of_results, *layout.report.glob("claims/*.html"))]
    asked = {i for page in pages for ids in re.findall(r"trials\.html\?only=([\w,]+)#", page) for i in ids.split(",")}
    jumps = {i for page in pages for i in re.findall(r'trials\.html[^"#]*#(\w+)"', page)}
    assert asked, "no page leads to trials"
    return (asked | jumps) - there


def dead_links(layout: Layout) -> set[str]:
    """Links of the report's pages, notebooks apart, to files that are not there."""
    pages = [*layout.report.glob("*.html"), *layout.report.glob("claims/*.html")]
    links = {
        (page, link.partition("#")[0].partition("?")[0])
        for page in pages
        for link in re.findall(r'(?:href|src)="(?!https?:|#|data:)([^"]+)"', page.read_text())
    }
    return {f"{page.name}: {link}" for page, link in links if not (page.parent / unescape(link)).is_file()}
