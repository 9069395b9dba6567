"""`paperlib reproduce`."""

from typing import Annotated

import typer

from paperlib.core.errors import FailedError
from paperlib.core.paths import Layout, ProfileName


def command(
    profile: Annotated[ProfileName, typer.Option(help="Budget: smoke and quick take minutes, laptop hours.")] = "quick",
    only: Annotated[list[str] | None, typer.Option(help="Notebook number, such as 01; may be repeated.")] = None,
) -> None:
    """Run the notebooks of a profile and build its tables, figures and report; what is done is kept."""
    from paperlib.core.progress import wide_console
    from paperlib.exhibits.expected import problems
    from paperlib.report import notebooks, pages
    from paperlib.report.agreement import agreement_lines
    from paperlib.report.bundle import zip_report

    layout = Layout.of(profile)
    notebooks.execute(only, profile, layout)
    page = pages.build(layout)
    console = wide_console()
    console.print(pages.headline(layout))
    console.print(pages.tally(layout), soft_wrap=True)
    for line in agreement_lines(layout):
        console.print(line, soft_wrap=True)
    console.print(f"Report: {page}", soft_wrap=True)
    console.print(f"The same as one file: {zip_report(layout)}", soft_wrap=True)
    if not only and (wrong := problems(layout, page.read_text())):
        raise FailedError(f"the manifest has {len(wrong)} faults: {'; '.join(wrong)}")
