"""A profile's trials in batches, one batch per cluster job: `paperlib trials` and `paperlib run-batch`."""

import json
from typing import Annotated, Literal

import typer

from paperlib.core.errors import PaperlibError
from paperlib.schema.trial import Trial

Profile = Literal["smoke", "quick", "laptop", "paper"]


def batches(trials: list[Trial], count: int) -> list[list[Trial]]:
    """`count` batches (fewer for fewer trials) of about equal length, without repetition, the same every time.

    Trials that share a dense training stay together, so that no two jobs train the same network.
    """
    from paperlib.trials.runner import dense_baseline

    families: dict[Trial, list[Trial]] = {}
    for trial in dict.fromkeys(trials):
        families.setdefault(dense_baseline(trial), []).append(trial)
    found: list[list[Trial]] = [[] for _ in range(min(count, len(families)))]
    for family in sorted(families.values(), key=len, reverse=True):
        min(found, key=len).extend(family)
    return found


def _of(profile: str, count: int) -> list[list[Trial]]:
    from paperlib.studies.sections import NOTEBOOKS

    return batches([trial for notebook in NOTEBOOKS.values() for trial in notebook.trials(profile)], count)


Of = Annotated[int, typer.Option(min=1, help="How many batches to make.")]


def trials(profile: Annotated[Profile, typer.Option()] = "quick", of: Of = 8) -> None:
    """Print the notebooks of a profile and the ids of its trials, batch by batch, as JSON."""
    from paperlib.studies.sections import NOTEBOOKS

    ids = [[trial.id for trial in batch] for batch in _of(profile, of)]
    typer.echo(json.dumps({"notebooks": list(NOTEBOOKS), "batches": ids}, indent=1))


def run_batch(
    number: Annotated[int, typer.Argument(min=0, help="Which batch, from 0.")],
    profile: Annotated[Profile, typer.Option()] = "quick",
    of: Of = 8,
) -> None:
    """Run one batch of a profile's trials; those with a record are left as they are."""
    from paperlib.core.paths import Layout
    from paperlib.trials.runner import run_all

    found = _of(profile, of)
    if number >= len(found):
        raise PaperlibError(f"there is no batch {number}: profile {profile} has 0 to {len(found) - 1} of {of}")
    run_all(found[number], Layout.of(profile))
