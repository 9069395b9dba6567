"""`paperlib keep-results PROFILE`."""

from typing import Annotated

import typer

from paperlib.core import paths
from paperlib.core.paths import Layout
from paperlib.report.committed import keep, keep_records


def command(
    profile: Annotated[str, typer.Argument(help="Whose results, such as laptop.")],
    records_only: Annotated[bool, typer.Option("--records-only", help="Of a study that still runs.")] = False,
) -> None:
    """For maintainers: put a profile's records, and all that is made from them, where they are committed."""
    archive = (keep_records if records_only else keep)(Layout.of(profile), paths.root())
    typer.echo(
        f"{archive}: {archive.stat().st_size:,} bytes"
        + f"; commit its folder and figures/{profile}" * (not records_only)
    )
