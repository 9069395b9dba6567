"""`paperlib reference [PROFILE]`."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.report.committed import regenerate
from paperlib.trials.archive import archives, open_archive


def command(
    profile: Annotated[str | None, typer.Argument(help="Whose results; the largest that are committed.")] = None,
) -> None:
    """Build the report of the committed results from their records; nothing is trained, own results are left alone."""
    typer.echo(f"Report: {built(profile) / 'index.html'}")


def built(profile: str | None) -> Path:
    """The folder of that report. PaperlibError where nothing, or nothing of this profile, is committed."""
    from paperlib.core.progress import progress
    from paperlib.report import pages

    by_name = {archive.parent.name: archive for archive in archives()}
    if not by_name:
        raise PaperlibError("no results are committed: `paperlib reproduce` makes your own")
    name = profile or next(iter(by_name))
    if name not in by_name:
        raise PaperlibError(f"no results of {name!r} are committed, only of {', '.join(by_name)}")
    target = Layout.of("reference").results / name
    with progress(f"report of results/{name}", 2) as step, open_archive(by_name[name]) as layout:
        if (notebooks := by_name[name].parent / "notebooks").is_dir():
            shutil.copytree(notebooks, layout.notebooks)
        regenerate(layout)
        step.advance()
        pages.build(layout)
        step.advance()
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(layout.report, target)
    return target
