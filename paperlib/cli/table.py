"""`paperlib table NAME [--profile quick]`."""

from typing import Annotated

import typer

from paperlib.cli.figure import Profile, names, show


def _tables(incomplete: str) -> list[str]:
    return names("table", incomplete)


def command(
    name: Annotated[str, typer.Argument(help="As `paperlib list` says.", autocompletion=_tables)],
    profile: Profile = "quick",
) -> None:
    """Write one table: say what it takes, run what is missing of it, name its files."""
    show("table", name, profile)
