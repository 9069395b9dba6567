"""`paperlib crate PROFILE`."""

from typing import Annotated

import typer

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.trials.archive import ARCHIVE, open_archive


def command(
    profile: Annotated[str, typer.Argument(help="Whose results: own ones, else the committed ones.")] = "quick",
) -> None:
    """Write a profile's results as a Workflow Run RO-Crate, one archive that describes itself, to be deposited."""
    from paperlib.report import crate

    layout = Layout.of(profile)
    target = layout.results / "crate.zip"
    if any(layout.trials.glob("*.json")):
        crate.write(layout, layout, target)
    elif (archive := paths.root() / "results" / profile / ARCHIVE).exists():
        with open_archive(archive) as records:
            crate.write(records, Layout(archive.parent, paths.root() / "figures" / profile), target)
    else:
        raise PaperlibError(f"no records in {layout.trials}: run `paperlib reproduce --profile {profile}` first")
    typer.echo(f"Crate: {target}")
