"""The settings that the papers' claims are about: one arm each, grids of them, and the arms they are held against."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

from paperlib.studies.paper_f import SCENARIOS
from paperlib.studies.profiles import P_DATASETS as P_SETS

MODELS, SETS = ("vgg16", "resnet18"), ("bloodmnist", "industrial", "visa")
METHODS = ("pre-training", "in-training", "post-training", "set")
P_MODELS, P_METHODS = ("mlp-small", "mlp-medium"), ("pre-training", "post-training", "set")


class Setting(NamedTuple):
    """One arm: conv and linear are the shares (0 to 1) of filters and of linear weights that are removed."""

    dataset: str
    model: str
    method: str
    conv: float
    linear: float
    scope: str = "global"

    def __str__(self) -> str:
        if self.method == "dense":
            return f"{self.dataset} {self.model} dense"
        scope = "" if self.scope == "global" else f" {self.scope}"
        return f"{self.dataset} {self.model} {self.method} {self.conv:g}/{self.linear:g}{scope}"


Reference = Callable[[Setting], Setting]


def dense_of(setting: Setting) -> Setting:
    """The dense arm of the same data set and model."""
    return Setting(setting.dataset, setting.model, "dense", 0.0, 0.0)


def label(left: Setting, right: Setting) -> str:
    """The name of a comparison; dense of the same network, the same data set and model go without saying."""
    other = str(right).removeprefix(f"{left.dataset} ").removeprefix(f"{left.model} ")
    return str(left) if right == dense_of(left) else f"{left} against {other}"


def versus(scenario: str | None = None, **fields: str) -> Reference:
    """The same setting with other fields, such as `versus(method="set")`; dense changes its model only."""
    changed: dict[str, object] = dict(fields)
    if scenario is not None:
        changed |= {"conv": SCENARIOS[scenario].conv, "linear": SCENARIOS[scenario].linear}
    of_dense = {"model": fields["model"]} if "model" in fields else {}
    return lambda s: s._replace(**(of_dense if s.method == "dense" else changed))


def grid_f(
    methods: Sequence[str] = METHODS,
    scenarios: Sequence[str] = tuple(SCENARIOS),
    datasets: Sequence[str] = SETS,
    models: Sequence[str] = MODELS,
) -> list[Setting]:
    """Paper F's settings (section 3.4); method `dense` has no scenario and occurs once."""
    shares = [(SCENARIOS[name].conv, SCENARIOS[name].linear) for name in scenarios]
    settings = [Setting(d, m, a, *s) for d, m, s, a in product(datasets, models, shares, methods)]
    return list(dict.fromkeys(dense_of(s) if s.method == "dense" else s for s in settings))


def grid_p(
    scopes: Sequence[str] = ("layerwise",),
    sparsities: Sequence[float] = (0.5, 0.8),
    datasets: Sequence[str] = P_SETS,
    models: Sequence[str] = P_MODELS,
) -> list[Setting]:
    """Paper P's settings: linear layers only."""
    return [Setting(d, m, a, 0.0, p, s) for d, m, s, p, a in product(datasets, models, scopes, sparsities, P_METHODS)]
