"""`paperlib run-batch N [--profile quick] [--of 8]`."""

from typing import Annotated

import typer

from paperlib.cli.trials import Of
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout, ProfileName


def command(
    number: Annotated[int, typer.Argument(min=0, help="Which batch, from 0.")],
    profile: Annotated[ProfileName, typer.Option()] = "quick",
    of: Of = 8,
) -> None:
    """Run one batch of a profile's trials; those with a record are left as they are."""
    from paperlib.studies.sections import all_trials, batches, with_images
    from paperlib.trials.runner import run_all

    made = batches(all_trials(profile), of)
    if number >= len(made):
        raise PaperlibError(f"there is no batch {number}: profile {profile} has 0 to {len(made) - 1} of {of}")
    run_all(with_images(made[number], profile), Layout.of(profile))
