"""The papers' grids as lists of trials, and what each profile can afford of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch

from paperlib.data import DATASETS, load
from paperlib.errors import PaperlibError
from paperlib.models import build
from paperlib.pruners import layers_of
from paperlib.pruners.allocation import uniform
from paperlib.registry import unknown
from paperlib.trial import Trial, make_trial

P_DATASETS = ("mnist", "fashionmnist", "emnist", "cifar10", "octmnist")
METHODS = ("random", "pre-training", "in-training", "post-training", "set")
SPARSITIES = (0.0, 0.5, 0.8)
# P's two scopes, and the two that a fair comparison needs (checklist point 2).
SCOPES = ("global", "layerwise", "global-threshold", "layerwise-matched")
# Arms of the authors' code that concern MLPs; `set` is the method that all of them touch.
QUIRKS = ("double-softmax", "uniform-er", "swap-first", "stale-regrowth", "test-from-train")


@dataclass(frozen=True)
class Budget:
    """What one trial of one model may cost.

    seeds: how many; images: training images, None for all; scopes and methods: what of the full grid is run.
    """

    seeds: int
    epochs: int
    train_images: int | None
    test_images: int | None
    width: float = 1.0
    batch_size: int = 64
    lr: float = 0.05
    datasets: tuple[str, ...] = P_DATASETS
    scopes: tuple[str, ...] = SCOPES
    methods: tuple[str, ...] = METHODS
    sparsities: tuple[float, ...] = SPARSITIES


@dataclass(frozen=True)
class Profile:
    """A named budget for every model. stand_ins: whether drawn images may take the place of real ones."""

    name: str
    mlp: dict[str, Budget]
    stand_ins: bool = True


PROFILES = {
    p.name: p
    for p in (
        Profile(
            "smoke",
            {
                "mlp-small": Budget(
                    2, 2, 1_000, 500, batch_size=16, datasets=("mnist", "fashionmnist", "cifar10"),
                    scopes=("global", "layerwise"), methods=("pre-training", "post-training", "set"),
                    sparsities=(0.0, 0.5),
                ),
                "mlp-medium": Budget(
                    2, 2, 1_000, 500, batch_size=16, width=0.05, datasets=("mnist",), scopes=("global", "layerwise"),
                    methods=("pre-training",), sparsities=(0.0, 0.5),
                ),
            },
        ),
        Profile(
            "quick",
            {
                "mlp-small": Budget(3, 5, 6_000, 2_000, batch_size=16, scopes=("global", "layerwise")),
                "mlp-medium": Budget(
                    3, 4, 3_000, 2_000, width=0.1, batch_size=32, lr=0.1, datasets=("mnist", "fashionmnist"),
                    methods=("random", "pre-training", "post-training", "set"),
                ),
            },
        ),
        Profile(
            "laptop",
            {
                "mlp-small": Budget(5, 15, None, None),
                "mlp-medium": Budget(3, 3, 12_000, None, width=0.5, lr=0.1, batch_size=128),
            },
        ),
        Profile(
            # P's command-line defaults: 10 epochs, batch 4, lr 1e-3 (facts 1.2; the runs themselves are unknown).
            "paper",
            {name: Budget(5, 10, None, None, batch_size=4, lr=1e-3) for name in ("mlp-small", "mlp-medium")},
            stand_ins=False,
        ),
    )
}  # fmt: skip


def profile(name: str) -> Profile:
    """The named profile; PaperlibError with the nearest name if there is none."""
    if name not in PROFILES:
        raise unknown("profile", name, list(PROFILES))
    return PROFILES[name]


def mlp(
    profile_name: str,
    *,
    datasets: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    sparsities: Sequence[float] | None = None,
    scopes: Sequence[str] | None = None,
    methods: Sequence[str] | None = None,
    seeds: int | None = None,
) -> list[Trial]:
    """Paper P's MLP grid in a profile; any axis may be replaced.

    Dense once per data set, model and seed; `random` at sparsity 0 is the A/A control "mask at 0 %".
    Scopes are asked for only where they are possible: `layerwise-matched` needs enough hidden weights,
    `set` has no threshold. Raises PaperlibError for an axis without values.
    """
    given: dict[str, Sequence[Any] | None] = {
        "datasets": datasets, "models": models, "sparsities": sparsities, "scopes": scopes, "methods": methods,
    }  # fmt: skip
    for axis, values in given.items():
        if values is not None and not values:
            raise PaperlibError(f"{axis} is empty: give at least one value, or None for the profile's own")
    chosen = profile(profile_name)
    budgets = chosen.mlp
    trials: list[Trial] = []
    for model in models or budgets:
        if model not in budgets:
            raise unknown("model of this study", model, list(budgets))
        budget = budgets[model]
        for dataset in datasets or budget.datasets:
            for seed in range(seeds if seeds is not None else budget.seeds):
                base = _base(budget, dataset, model, seed, real_images=not chosen.stand_ins)
                trials.append(make_trial(**base))
                trials.append(make_trial(**base, method="random"))
                trials += [
                    make_trial(**base, method=method, sparsity=sparsity, scope=scope)
                    for sparsity in sparsities or budget.sparsities
                    for scope in scopes or budget.scopes
                    for method in methods or budget.methods
                    if sparsity and _possible(model, budget.width, dataset, method, scope, sparsity)
                ]
    return list(dict.fromkeys(trials))


def quirks(profile_name: str) -> list[Trial]:
    """The as-published arms: SET at 50 % global on the small MLP and MNIST, each quirk alone and all of them."""
    chosen = profile(profile_name)
    budget = chosen.mlp["mlp-small"]
    arms: list[tuple[str, ...]] = [(), *((quirk,) for quirk in QUIRKS), tuple(sorted(QUIRKS))]
    return [
        make_trial(
            **_base(budget, "mnist", "mlp-small", seed, not chosen.stand_ins), method="set", sparsity=0.5, quirks=arm
        )
        for seed in range(budget.seeds)
        for arm in arms
    ]


def _base(budget: Budget, dataset: str, model: str, seed: int, real_images: bool) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "model": model,
        "seed": seed,
        "width": budget.width,
        "epochs": budget.epochs,
        "batch_size": budget.batch_size,
        "lr": budget.lr,
        "train_images": budget.train_images,
        "test_images": budget.test_images,
        "real_images": real_images,
    }


@lru_cache
def _possible(model: str, width: float, dataset: str, method: str, scope: str, sparsity: float) -> bool:
    # Asked of the pruner itself, on a model without memory.
    if method == "set" and scope == "global-threshold":
        return False
    trial = make_trial(model=model, method="random", scope=scope, sparsity=sparsity)
    known = DATASETS[dataset] if dataset in DATASETS else load(dataset)  # a folder of one's own
    with torch.device("meta"):
        network = build(model, known.shape, len(known.classes), width)
    try:
        uniform(layers_of(network, trial))
    except PaperlibError:
        return False
    return True
