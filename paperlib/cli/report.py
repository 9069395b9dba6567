"""`paperlib report [--profile quick]`."""

import typer

from paperlib.cli.figure import Profile
from paperlib.core.paths import Layout


def command(profile: Profile = "quick") -> None:
    """Build the report of own results, or that of the committed ones where there are none; nothing is run."""
    from paperlib.cli import reference
    from paperlib.report import pages

    layout = Layout.of(profile)
    if any(layout.trials.glob("*.json")):
        typer.echo(f"Report: {pages.build(layout)}")
        return
    typer.echo(f"paperlib: no own results in {layout.results}: this is the committed reference", err=True)
    reference.command(None)
