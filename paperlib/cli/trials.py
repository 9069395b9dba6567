"""`paperlib trials [--profile quick] [--of 8]`."""

import json
from typing import Annotated

import typer

from paperlib.core.paths import ProfileName

Of = Annotated[int, typer.Option(min=1, help="How many batches to make.")]


def command(profile: Annotated[ProfileName, typer.Option()] = "quick", of: Of = 8) -> None:
    """Print the notebooks of a profile and the ids of its trials, batch by batch, as JSON."""
    from paperlib.studies.sections import NOTEBOOKS, all_trials, batches

    ids = [[trial.id for trial in batch] for batch in batches(all_trials(profile), of)]
    typer.echo(json.dumps({"notebooks": list(NOTEBOOKS), "batches": ids}, indent=1))
