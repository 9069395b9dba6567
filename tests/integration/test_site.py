"""The site: report and documentation in one folder, linked to each other, that asks no other host for anything."""

import re
from html import unescape
from pathlib import Path

import pytest

from paperlib.core.paths import Layout
from paperlib.report import site
from tests import report_links
from tests.conftest import ROOT

NOTEBOOK = "notebooks/01_mlp_global_vs_layerwise.html"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """A small report and a notebook, with the documentation beside them: the site is the report of this layout."""
    report = report_links.small_report(tmp_path_factory.mktemp("run")).report
    (report / "notebooks").mkdir()
    (report / NOTEBOOK).write_text("<p>as it ran</p>")
    folder = tmp_path_factory.mktemp("site")
    layout = Layout(folder / "results", folder / "figures")
    (layout.report / "old.html").parent.mkdir(parents=True)
    (layout.report / "old.html").write_text("of an earlier site")
    assert site.write(report, layout.report) == layout.report / "index.html"
    return layout


def test_every_document_is_a_page_that_every_page_lists(made: Layout) -> None:
    documents = {path.relative_to(ROOT) for path in (ROOT / "docs").glob("*.md")}
    documents |= {Path("README.md"), Path("CONTRIBUTING.md")}
    assert set(site.documents()) == documents
    assert not (made.report / "old.html").exists() and not list(made.report.rglob(".*"))
    for page in (page for page in report_links.pages(made) if page.parent.name != "tables"):  # parts of pages
        text, here = page.read_text(), page.relative_to(made.report)
        listed = re.findall(r'<a href="([./]*(?:docs/\w+|README|CONTRIBUTING)\.html)">', text.partition("</nav>")[0])
        found = {(here.parent / link).as_posix() for link in listed}
        assert len(found) == len(documents), here
    for document in documents:
        markdown = (ROOT / document).read_text()
        text = (made.report / document.with_suffix(".html")).read_text()
        (title,) = re.findall(r"<title>(.*?)</title>", text)
        assert unescape(title) == markdown.splitlines()[0].removeprefix("# ")
        assert text.count("<table>") >= len(re.findall(r"^\| ?-{3}|^\|-{3}", markdown, re.MULTILINE))


def test_all_links_lead_to_a_file_and_a_place_in_it(made: Layout) -> None:
    assert report_links.dead_links(made) == set()
    assert f'href="{NOTEBOOK}"' in (made.report / "README.html").read_text()
    for document in site.documents():
        page = made.report / document.with_suffix(".html")
        for link in re.findall(r'href="(?!\w+:)([^"]+#[^"]+)"', page.read_text().partition("</nav>")[2]):
            path, _, anchor = unescape(link).partition("#")
            assert re.search(rf'(?:id|name)="{re.escape(anchor)}"', (page.parent / path).read_text()), f"{page}: {link}"


def test_what_only_the_repository_has_is_no_link(made: Layout) -> None:
    text = (made.report / "docs" / "architecture.html").read_text()
    assert '<span title="In the repository: ../paperlib/core">core</span>' in text
    assert 'href="sparse.html"' in text and 'paperlib/core"' not in re.sub(r'title="[^"]*"', "", text)


def test_no_page_asks_another_host_for_anything(made: Layout) -> None:
    for page in made.report.rglob("*.html"):
        asked = re.findall(r'(?:\bsrc="|<link [^>]*href=")(https?:[^"]+)', page.read_text())
        assert asked == [], page
