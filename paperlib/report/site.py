"""The site: the report of the committed results and the documentation, one folder that any web server shows."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from paperlib.core import paths
from paperlib.core.io import write_atomically

_BESIDE = "</nav></details>"  # ends the table of contents of a report's page
_TABLE = '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>'


def documents() -> list[Path]:
    """The pages of documentation, relative to the project's folder, in the order in which the site lists them."""
    docs = sorted(path.relative_to(paths.root()) for path in (paths.root() / "docs").glob("*.md"))
    return [Path("README.md"), *docs, Path("CONTRIBUTING.md")]


def write(report: Path, target: Path) -> Path:
    """Copy a report into `target`, which is replaced, and render the documentation beside it; returns index.html.

    Every page lists the documents. What they link to in the repository and the site does not have becomes plain text.
    """
    from paperlib.report.pages import environment

    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(report, target, ignore=shutil.ignore_patterns(".*"))
    for picture in (paths.root() / "docs").rglob("*.png"):
        copy = target / picture.relative_to(paths.root())
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, copy)
    template, titles = environment().get_template("document.html.j2"), dict[Path, str]()
    for page in documents():
        titles[page], html = _rendered(page, target)
        text = template.render(root="../" * len(page.parent.parts), title=titles[page], html=html)
        write_atomically(target / page.with_suffix(".html"), text.encode())
    for path in target.rglob("*.html"):
        root = "../" * len(path.relative_to(target).parent.parts)
        links = "".join(f'<a href="{root}{p.with_suffix(".html").as_posix()}">{t}</a>' for p, t in titles.items())
        text = path.read_text(encoding="utf-8").replace(_BESIDE, f"<b>Documentation</b>{links}{_BESIDE}", 1)
        write_atomically(path, text.encode())
    return target / "index.html"


def _rendered(page: Path, target: Path) -> tuple[str, str]:
    """Title and HTML of a document; headings get the ids that links to them use."""
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse((paths.root() / page).read_text(encoding="utf-8"))
    title = ""
    for before, token in zip([None, *tokens], tokens, strict=False):
        if before and before.type == "heading_open":
            words = "".join(child.content for child in token.children or ())
            before.attrSet("id", re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-"))
            title = title or words
        for link, closing in _links(token):
            if (place := _place(str(link.attrs["href"]), page, target)) is not None:
                link.attrs["href"] = place
            else:
                link.attrs = {"title": f"In the repository: {link.attrs['href']}"}
                link.tag = closing.tag = "span"
    html = markdown.renderer.render(tokens, markdown.options, {})
    return title, html.replace("<table>", _TABLE).replace("</table>", "</table></div>")


def _links(token: Token) -> Iterator[tuple[Token, Token]]:
    """The links of a paragraph, each with the token that closes it."""
    children = token.children or []
    closing = (child for child in children if child.type == "link_close")
    yield from zip((child for child in children if child.type == "link_open"), closing, strict=True)


def _place(link: str, page: Path, target: Path) -> str | None:
    """Where a document's link leads on the site; None if nowhere."""
    path, mark, anchor = link.partition("#")
    if not path or re.match(r"\w+:", path):
        return link
    page_of = Path(path).with_suffix(".html") if path.endswith((".md", ".ipynb")) else Path(path)
    full = (paths.root() / page.parent / path).resolve()
    known = full.is_relative_to(paths.root()) and full.relative_to(paths.root()) in documents()
    return f"{page_of.as_posix()}{mark}{anchor}" if known or (target / page.parent / page_of).is_file() else None
