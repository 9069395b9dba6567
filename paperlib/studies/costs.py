"""Whose costs are measured: the papers' networks at their own width, and what each profile can afford of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

from paperlib.core.paths import Layout
from paperlib.core.registry import unknown
from paperlib.data import FOLDER, parse_name
from paperlib.schema.cost import MEASURED, CostRecord, CostSetting, Effort, make_cost_setting
from paperlib.studies.paper_f import SCENARIOS
from paperlib.studies.profiles import F_DATASETS, P_DATASETS

PERCEPTRONS = ("mlp-small", "mlp-medium")
# Sides of the images on which convolutional networks are measured, and batches small enough for rounds of seconds; on
# small images half of that, as at 224 px, where a profile has no more time.
SMALL_SIDE = {"vgg16": 32, "resnet18": 28, "resnet18-plain": 28}
LARGE_SIDE = 224
BATCH_SIZE = {"mlp-small": 64, "mlp-medium": 64, "vgg16": 16, "resnet18": 16, "resnet18-plain": 16}
FEW = 8
CLASSES = 10  # of a convolutional network: its last layer weighs next to nothing


@cache
def cost_settings(
    dataset: str,
    model: str,
    method: str = "dense",
    conv: float = 0.0,
    linear: float = 0.0,
    scope: str = "global",
    width: float = 1.0,
) -> tuple[CostSetting, ...]:
    """The settings whose costs stand for such an arm, best first: F's networks at 224 px, then small images.

    conv, linear: shares of filters and linear weights removed. Perceptrons take the images of their data set as they
    are, so sets of equal shape and number of classes share a setting; a convolutional network's costs hardly depend on
    the classes. Empty for arms whose costs are not measured.
    """
    if method not in MEASURED or model not in BATCH_SIZE or dataset.startswith(FOLDER):
        return ()
    pruned = {"method": method, "conv_sparsity": conv, "sparsity": linear, "scope": scope}
    if model in PERCEPTRONS:
        info, batch = parse_name(dataset).info, BATCH_SIZE[model]
        shape, classes = info.shape, len(info.classes)
        return (make_cost_setting(model=model, width=width, shape=shape, classes=classes, batch_size=batch, **pruned),)
    small = SMALL_SIDE[model]
    sizes = [(LARGE_SIDE, FEW)] * (dataset in F_DATASETS) + [(small, BATCH_SIZE[model]), (small, FEW)]
    return tuple(
        make_cost_setting(
            model=model, width=width, shape=(side, side, 3), classes=CLASSES, optimizer="AdamW",
            options={"weight_decay": 0.05}, batch_size=batch, **pruned,
        )
        for side, batch in sizes
    )  # fmt: skip


Arm = tuple[str, float, float, str]
"""Method, shares of filters and of linear weights removed, scope."""


@dataclass(frozen=True)
class CostBudget:
    """What a profile measures.

    widths: by model; datasets: whose inputs perceptrons take, by model; scopes: of P's arms, scopes_vgg: of its VGG-16;
    filters_vgg: arms of that with filters removed; large: effort at 224 px, where F's networks are measured there, too;
    few: small batches of small images, and no network of which only 224 px are asked.
    """

    widths: dict[str, float]
    datasets: dict[str, tuple[str, ...]]
    scopes: tuple[str, ...]
    scopes_vgg: tuple[str, ...]
    effort: Effort
    large: Effort | None = None
    filters_vgg: tuple[Arm, ...] = ()
    few: bool = False

    def measures(self, setting: CostSetting) -> bool:
        """Whether this profile measures a convolutional network in this size and batch."""
        if setting.shape[0] == LARGE_SIDE:
            return self.large is not None
        return not (self.few and setting.model == "resnet18-plain") and self.few == (setting.batch_size == FEW)


_FULL = dict.fromkeys(BATCH_SIZE, 1.0)
_BOTH = ("global", "layerwise")
_WITH_FILTERS = tuple((m, p, p, s) for m, p, s in product(("pre-training", "post-training", "set"), (0.5, 0.8), _BOTH))
BUDGETS = {
    "smoke": CostBudget(
        {"mlp-small": 1.0, "mlp-medium": 0.05, "vgg16": 0.125, "resnet18": 0.125, "resnet18-plain": 0.125},
        dict.fromkeys(PERCEPTRONS, ("mnist",)), _BOTH, ("layerwise",), Effort(5, 0.05, 0.05),
        few=True,
    ),
    "quick": CostBudget(
        _FULL, dict.fromkeys(PERCEPTRONS, ("mnist",)), _BOTH, ("layerwise",), Effort(4, 2.4), few=True,
    ),
    "paper": CostBudget(
        _FULL, dict.fromkeys(PERCEPTRONS, P_DATASETS), _BOTH, _BOTH, Effort(30, 10.0, 10.0), Effort(10, 30.0),
        _WITH_FILTERS,
    ),
}  # fmt: skip
BUDGETS["laptop"] = replace(
    BUDGETS["quick"], datasets={"mlp-small": P_DATASETS, "mlp-medium": ("mnist",)}, effort=Effort(40, 4.0, 9.0),
    large=Effort(3, 20.0), filters_vgg=_WITH_FILTERS, few=False,
)  # fmt: skip
BUDGETS["station"] = BUDGETS["laptop"]


def settings(profile_name: str, *numbers: str) -> list[CostSetting]:
    """What a profile measures, of these notebooks or of all. PaperlibError for an unknown profile."""
    if profile_name not in BUDGETS:
        raise unknown("profile", profile_name, list(BUDGETS))
    budget, by_notebook = BUDGETS[profile_name], dict[str, list[CostSetting]]()
    by_notebook["01"] = [
        setting
        for model in PERCEPTRONS
        for dataset in budget.datasets[model]
        for arm in _arms_of_p(budget.scopes)
        for setting in cost_settings(dataset, model, *arm, width=budget.widths[model])
    ]
    by_notebook["02"] = [
        setting
        for arm in (*_arms_of_p(budget.scopes_vgg), *budget.filters_vgg)
        for setting in cost_settings("cifar10", "vgg16", *arm, width=budget.widths["vgg16"])
        if budget.measures(setting)
    ]
    by_notebook["03"] = [
        setting
        for model in SMALL_SIDE
        for arm in (_arms_of_f() if model != "resnet18-plain" else _arms_of_f()[:1])
        for setting in cost_settings("bloodmnist", model, *arm, width=budget.widths[model])
        if budget.measures(setting)
    ]
    chosen = [s for n, of_notebook in by_notebook.items() if not numbers or n in numbers for s in of_notebook]
    return list(dict.fromkeys(chosen))


def _arms_of_p(scopes: Sequence[str]) -> list[Arm]:
    methods = ("pre-training", "post-training", "set")
    return [("dense", 0.0, 0.0, "global"), *((m, 0.0, p, s) for m, s, p in product(methods, scopes, (0.5, 0.8)))]


def _arms_of_f() -> list[Arm]:
    methods = ("pre-training", "in-training", "post-training", "set")
    pruned = [(m, s.conv, s.linear, "global") for s, m in product(SCENARIOS.values(), methods)]
    return [("dense", 0.0, 0.0, "global"), *pruned]


def effort_of(profile_name: str, setting: CostSetting) -> Effort:
    """How much of a setting a profile measures."""
    budget = BUDGETS[profile_name]
    return budget.large if budget.large is not None and setting.shape[0] == LARGE_SIDE else budget.effort


def run_cost_study(profile_name: str, layout: Layout, *numbers: str) -> list[CostRecord]:
    """The costs of a profile's networks (of these notebooks), measured or found under results/<profile>/costs."""
    from paperlib.costs.measurement import run_costs  # with torch, which a list of settings does not need

    by_effort = dict[Effort, list[CostSetting]]()
    for setting in settings(profile_name, *numbers):
        by_effort.setdefault(effort_of(profile_name, setting), []).append(setting)
    return [record for effort, chosen in by_effort.items() for record in run_costs(chosen, layout, effort)]
