"""The numbered notebooks, which are the sections of the report, and the trials that each asks for."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from paperlib.core import paths
from paperlib.core.paths import Layout
from paperlib.core.registry import unknown
from paperlib.data import find_images, parse_name
from paperlib.schema.trial import Trial
from paperlib.studies.paper_f import industrial, limit
from paperlib.studies.paper_p import mlp, quirks, vgg
from paperlib.studies.profiles import profile
from paperlib.studies.sensitivity import sensitivity_trials
from paperlib.studies.tutorial import tutorial_trials


@dataclass(frozen=True)
class Notebook:
    """A numbered notebook: the trials that it asks for under a profile, the title of its section in the report,
    and what it measures beside trials."""

    name: str
    trials: Callable[[str], list[Trial]]
    title: str = ""
    measure: Callable[[str, Layout], object] = lambda profile_name, layout: None

    @property
    def source(self) -> Path:
        return paths.root() / "notebooks" / f"{self.name}.ipynb"


# By notebook: the grid whose axes its parameters replace, and the studies beside it.
_GRIDS: dict[str, Callable[..., list[Trial]]] = {"01": mlp, "02": vgg, "03": industrial}
_BESIDE: dict[str, Callable[[str], list[Trial]]] = {
    "01": lambda name: quirks(name) + tutorial_trials(name) + sensitivity_trials(name, "mlp"),
    "02": lambda name: sensitivity_trials(name, "vgg"),
    "03": lambda name: limit(name) + sensitivity_trials(name, "industrial"),
}
# Trial fields by axis; `scenarios` are pairs of fields.
_FIELDS = {
    "datasets": "dataset", "models": "model", "sparsities": "sparsity", "scopes": "scope", "methods": "method",
}  # fmt: skip


def study(number: str, profile_name: str, **axes: Any) -> list[Trial]:
    """All trials of notebook `number` in a profile; none for a notebook that trains nothing.

    axes: as in `mlp`, `vgg` and `industrial`; they replace axes of that grid, and of the studies beside it only the
    trials that lie within them stay. Raises PaperlibError for what the grid does not take.
    """
    if number not in _GRIDS:
        return []
    beside = _BESIDE[number](profile(profile_name).name)
    trials = _GRIDS[number](profile_name, **axes) + [trial for trial in beside if _is_within(trial, axes)]
    return list(dict.fromkeys(trials))


def with_images(trials: Sequence[Trial], profile_name: str) -> list[Trial]:
    """Those whose images are here; a profile that draws none leaves out the others, and says so in a line on stderr."""
    if profile(profile_name).stand_ins:
        return list(trials)
    missing = [d for d in {t.dataset: None for t in trials} if find_images(parse_name(d)).source == "stand-in"]
    if missing:
        cure = f"`paperlib data fetch {' '.join(missing)}` gets them"
        print(f"paperlib: left out, since no real images of {', '.join(missing)} are here: {cure}", file=sys.stderr)
    return [trial for trial in trials if trial.dataset not in missing]


def _is_within(trial: Trial, axes: Mapping[str, Any]) -> bool:
    replaced = {axis: values for axis, values in axes.items() if values is not None}
    if trial.seed >= replaced.pop("seeds", trial.seed + 1):
        return False
    if trial.method == "dense":
        replaced = {axis: values for axis, values in replaced.items() if axis in {"datasets", "models"}}
    return "scenarios" not in replaced and all(getattr(trial, _FIELDS[a]) in values for a, values in replaced.items())


def _run_cpu_study(profile_name: str, layout: Layout) -> object:
    from paperlib.studies.cpu import run_cpu_study  # with torch, which a list of notebooks does not need

    return run_cpu_study(profile_name, layout)


CPU_STUDY, COLLATION = "04", "05"
NOTEBOOKS = {
    notebook.name[:2]: notebook
    for notebook in (
        Notebook("01_mlp_global_vs_layerwise", partial(study, "01"), "Paper P: perceptrons, global and layer-wise"),
        Notebook("02_vgg16_cnn", partial(study, "02"), "Paper P: VGG-16"),
        Notebook(
            "03_industrial_resnet", partial(study, "03"), "Paper F: VGG16 and ResNet18 on medical and industrial images"
        ),
        Notebook(
            "04_edge_cpu", partial(study, CPU_STUDY), "On the edge: what pruned work costs on a CPU", _run_cpu_study
        ),
        Notebook("05_collate", partial(study, COLLATION), "All data sets and networks at once"),
    )
}


def chosen(only: Sequence[str] | None) -> dict[str, Notebook]:
    """The notebooks of these numbers, all for none; PaperlibError for a number that no notebook has."""
    for number in only or ():
        if number not in NOTEBOOKS:
            raise unknown("notebook", number, list(NOTEBOOKS))
    return {n: notebook for n, notebook in NOTEBOOKS.items() if not only or n in only}


def all_trials(profile_name: str) -> list[Trial]:
    """The trials of every notebook in a profile, each once."""
    return list(dict.fromkeys(trial for notebook in NOTEBOOKS.values() for trial in notebook.trials(profile_name)))


def batches(trials: Sequence[Trial], count: int) -> list[list[Trial]]:
    """`count` batches for as many cluster jobs (fewer for fewer trials), of about equal length, always the same.

    No trial is in two of them. Trials that share a dense training stay together, so that no two jobs train the same
    network.
    """
    from paperlib.trials.shared_training import dense_baseline

    families: dict[Trial, list[Trial]] = {}
    for trial in dict.fromkeys(trials):
        families.setdefault(dense_baseline(trial), []).append(trial)
    made: list[list[Trial]] = [[] for _ in range(min(count, len(families)))]
    for family in sorted(families.values(), key=len, reverse=True):
        min(made, key=len).extend(family)
    return made
