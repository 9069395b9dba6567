"""`paperlib keep-results PROFILE`."""

from typing import Annotated

import typer

from paperlib.core import paths
from paperlib.core.paths import Layout
from paperlib.report.committed import keep


def command(profile: Annotated[str, typer.Argument(help="Whose results, such as laptop.")]) -> None:
    """For maintainers: put a profile's records, and all that is made from them, where they are committed."""
    archive = keep(Layout.of(profile), paths.root())
    typer.echo(f"{archive}: {archive.stat().st_size:,} bytes; commit its folder and figures/{profile}")
