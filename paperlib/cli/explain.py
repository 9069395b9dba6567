"""`paperlib explain`."""

from typing import Annotated

import typer


def command(
    trial: Annotated[str, typer.Argument(help="The id of a trial in any results folder, or how it begins.")],
) -> None:
    """Say why a trial's pruned network is not faster, and what would help: its network is timed now, on one thread."""
    from paperlib.trials.archive import find_record

    record = find_record(trial)  # before torch, so that a wrong id is told at once
    from paperlib.costs.diagnosis import explain

    typer.echo(explain(record))
