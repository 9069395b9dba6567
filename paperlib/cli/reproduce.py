"""`paperlib reproduce`."""

import time
from typing import Annotated

import typer

from paperlib.core.errors import FailedError
from paperlib.core.paths import Layout, ProfileName


def command(
    profile: Annotated[ProfileName, typer.Option(help="Budget: smoke and quick take minutes, laptop hours.")] = "quick",
    only: Annotated[list[str] | None, typer.Option(help="Notebook number, such as 01; may be repeated.")] = None,
) -> None:
    """Run the notebooks of a profile and build its tables, figures and report; what is done is kept."""
    from paperlib.exhibits.expected import problems
    from paperlib.report import notebooks, pages
    from paperlib.report.bundle import zip_report
    from paperlib.report.ending import ending

    layout, start = Layout.of(profile), time.monotonic()
    notebooks.execute(only, profile, layout)
    page = pages.build(layout)
    typer.echo("\n".join(ending(layout, time.monotonic() - start, (page, zip_report(layout)))))
    if not only and (wrong := problems(layout, page.read_text())):
        raise FailedError(f"the manifest has {len(wrong)} faults: {'; '.join(wrong)}")
