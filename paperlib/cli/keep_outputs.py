"""`paperlib keep-outputs`."""

from typing import Annotated

import typer

from paperlib.core.paths import Layout, ProfileName


def command(profile: Annotated[ProfileName, typer.Option(help="Whose outputs.")] = "quick") -> None:
    """For maintainers: put the outputs of executed notebooks into notebooks/, to be committed."""
    from paperlib.report import notebooks

    for source in notebooks.keep_outputs(profile, Layout.of(profile)):
        typer.echo(source)
