"""`paperlib explain`."""

from typing import Annotated, Any

import typer

from paperlib.cli.run import takes_trial, trial_of
from paperlib.core.errors import PaperlibError


@takes_trial
def command(
    *,
    identity: Annotated[
        str, typer.Argument(metavar="TRIAL", help="The id of a trial in any results folder, or how it begins.")
    ] = "",
    **fields: Any,
) -> None:
    """Say why a pruned network is not faster, and what would help: it is timed now, on one thread.

    The network is that of a trial that has run, by its id, or an untrained one of the options, which are those of
    `paperlib run`.
    """
    from paperlib.trials.archive import find_record

    asked = trial_of(fields)
    if identity and asked.chosen():
        raise PaperlibError("explain takes a trial's id or options such as --method set --sparsity 0.8, not both")
    if not identity and asked.method == "dense":
        raise PaperlibError(
            "explain takes a trial's id, or what is pruned, such as --method set --sparsity 0.8; "
            "`paperlib explain --help` says what it takes"
        )
    record = find_record(identity) if identity else None  # before torch, so that a wrong id is told at once
    from paperlib.costs.diagnosis import describe, explain, measure
    from paperlib.trials.images import shape_of

    if record:
        typer.echo(explain(record))
        return
    typer.echo("An untrained network of these options; no trial is looked up or run: which")
    typer.echo("weights are zero decides the speed, not what the others are.")
    typer.echo(describe(measure(asked, *shape_of(asked))))
