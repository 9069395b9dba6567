"""`paperlib findings [--profile quick] [--write README.md]`."""

from pathlib import Path
from typing import Annotated

import typer

from paperlib.core.errors import PaperlibError
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.report.committed import describe_committed
from paperlib.trials.archive import archives, open_archive


def command(
    write: Annotated[Path | None, typer.Option(help="A page with the two markers, such as README.md.")] = None,
    profile: Annotated[str, typer.Option(help="Whose own results; without any, the committed ones.")] = "quick",
) -> None:
    """What own results say, or the committed ones where there are none; --write puts the committed ones in a page.

    --write also writes docs/findings.md and its picture beside that page, and its part of docs/appendix.md.
    """
    from paperlib.report import readme  # with what draws, which the help of this command does not need

    layout = Layout.of(profile)
    if write is None and any(layout.trials.glob("*.json")):
        typer.echo(f"paperlib: these are your own results in {layout.results}", err=True)
        typer.echo(readme.told(layout, complete=True).page, nl=False)
        return
    pages = [write, write.parent / "docs" / "appendix.md"] if write else []
    texts = list[str]()
    for page in pages:
        texts.append(_read(page))
        readme.written(texts[-1], "")  # it says which marker is missing before anything is computed
    if not (largest := next(iter(archives()), None)):
        raise PaperlibError("no results are committed: `paperlib keep-results quick` after a run")
    reason = "" if write else f"no own results in {layout.results}: "
    typer.echo(f"paperlib: {reason}{describe_committed(largest)}", err=True)
    with open_archive(largest) as unpacked:
        told = readme.told(unpacked)
    if not write:
        typer.echo(told.page, nl=False)
        return
    for page, text, part in zip(pages, texts, (told.front, told.appendix), strict=True):
        write_atomically(page, readme.written(text, part).encode())
    write_atomically(write.parent / "docs" / "findings.md", told.page.encode())
    if told.picture:
        write_atomically(write.parent / "docs" / "found" / "balance.png", told.picture)


def _read(path: Path) -> str:
    """The page at `path`; PaperlibError if it cannot be read."""
    try:
        page = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise PaperlibError(f"cannot read {path}: {reason}; --write takes a page such as README.md") from None
    return page
