"""The papers' grids as lists of trials, and what each profile can afford of them."""

from collections.abc import Callable, Sequence
from typing import Any

from paperlib.schema.trial import Trial
from paperlib.studies.paper_f import SCENARIOS, Scenario, industrial
from paperlib.studies.paper_p import QUIRKS, mlp, quirks, vgg
from paperlib.studies.profiles import PROFILES, Budget, Profile, profile
from paperlib.studies.sensitivity import sensitivity
from paperlib.studies.tutorial import tutorial

__all__ = [
    "PROFILES",
    "QUIRKS",
    "SCENARIOS",
    "Budget",
    "Profile",
    "Scenario",
    "industrial",
    "mlp",
    "profile",
    "quirks",
    "sensitivity",
    "study",
    "tutorial",
    "vgg",
]

# By notebook: the grid that its parameters change, and the studies beside it.
_GRIDS: dict[str, Callable[..., list[Trial]]] = {"01": mlp, "02": vgg, "03": industrial}
_BESIDE: dict[str, Callable[[str], list[Trial]]] = {
    "01": lambda name: quirks(name) + tutorial(name) + sensitivity(name, "mlp"),
    "02": lambda name: sensitivity(name, "vgg"),
    "03": lambda name: sensitivity(name, "industrial"),
}


def study(number: str, profile_name: str, **axes: Any) -> list[Trial]:
    """All trials of notebook `number` in a profile; none for a notebook that trains nothing.

    axes: as in `mlp`, `vgg` and `industrial`; they replace axes of that grid, and of the studies beside it only the
    trials that lie within them stay. Raises PaperlibError for what the grid does not take.
    """
    if number not in _GRIDS:
        return []
    beside = _BESIDE[number](profile(profile_name).name)
    trials = _GRIDS[number](profile_name, **axes) + [trial for trial in beside if _within(trial, **axes)]
    return list(dict.fromkeys(trials))


def _within(
    trial: Trial,
    datasets: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    sparsities: Sequence[float] | None = None,
    scopes: Sequence[str] | None = None,
    scenarios: Sequence[str | tuple[float, float]] | None = None,
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
) -> bool:
    asked = (datasets, trial.dataset), (models, trial.model)
    if any(values is not None and value not in values for values, value in asked):
        return False
    if seeds is not None and trial.seed >= seeds:
        return False
    if trial.method == "dense":
        return True
    pruned = (sparsities, trial.sparsity), (scopes, trial.scope), (methods, trial.method)
    return scenarios is None and all(values is None or value in values for values, value in pruned)
