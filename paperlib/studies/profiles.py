"""What each profile can afford: seeds, epochs, images, width and which part of a grid, model by model."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Real
from typing import cast

from paperlib.core.errors import PaperlibError
from paperlib.core.registry import unknown
from paperlib.data import FOLDER, parse_name
from paperlib.pruners import METHODS
from paperlib.schema.trial import Fields, Trial, make_trial

P_DATASETS = ("mnist", "fashionmnist", "emnist", "cifar10", "octmnist")
GRID_METHODS = ("random", "pre-training", "in-training", "post-training", "set")
SPARSITIES = (0.0, 0.5, 0.8)
# What both papers lack; F's own four methods stand in GRID_METHODS.
BASELINES = ("small-dense", "magnitude-gradual", "rigl")
STACKED_METHODS = (*GRID_METHODS, "magnitude-gradual", "rigl")  # those whose networks of one shape train together
PAPER_F_DATASETS = ("bloodmnist", "industrial", "industrial-reduced", "visa")
F_DATASETS = (*PAPER_F_DATASETS, "elpv")  # with real industrial images that can be had without its sets
# P's two scopes, and the two that a fair comparison needs (docs/checklist.md, point 2).
GRID_SCOPES = ("global", "layerwise", "global-threshold", "layerwise-matched")


@dataclass(frozen=True)
class Budget:
    """What one trial of one model may cost.

    seeds: how many; images: training images, None for all; scopes and methods: what of the full grid is run;
    baselines: further methods, on the data sets `baselines_on` (None for all); published: methods that also run
    as P's VGG code prunes; on: trial fields that are others on a data set. The other fields are those of Trial.
    """

    seeds: int
    epochs: int
    train_images: int | None
    test_images: int | None
    width: float = 1.0
    batch_size: int = 64
    lr: float = 0.05
    datasets: tuple[str, ...] = P_DATASETS
    scopes: tuple[str, ...] = GRID_SCOPES
    methods: tuple[str, ...] = GRID_METHODS
    sparsities: tuple[float, ...] = SPARSITIES
    baselines: tuple[str, ...] = BASELINES
    baselines_on: tuple[str, ...] | None = None
    published: tuple[str, ...] = GRID_METHODS
    optimizer: str = "SGD"
    options: dict[str, float | bool] = field(default_factory=dict)
    schedule: str = "constant"
    augment: bool = False
    compute: str = "fp32"
    resolution: int | None = None
    real_images: bool = False
    on: dict[str, Fields] = field(default_factory=dict)


@dataclass(frozen=True)
class Profile:
    """A named budget for every model. stand_ins: whether its own study trains on drawn images, too."""

    name: str
    mlp: dict[str, Budget]
    vgg: Budget
    industrial: dict[str, Budget]
    stand_ins: bool = True


# Chosen by validation accuracy after ten epochs of five data sets, two seeds each; in table sensitivity_mlp stands
# what P's own setting gives.
_MLP_SMALL = Budget(
    5, 10, None, None, lr=0.01, options={"momentum": 0.9, "weight_decay": 5e-4}, schedule="cosine",
    methods=STACKED_METHODS,
)  # fmt: skip
_SMOKE = Budget(
    1, 2, 128, 128, width=0.125, batch_size=32, datasets=("bloodmnist",), optimizer="AdamW", lr=3e-3,
    schedule="cosine", compute="fp32-channels-last", resolution=28,
)  # fmt: skip
# Dense ResNet18 on rebuilt BloodMNIST, on an AMD EPYC (bf16-channels-last by calibration): 94.2 % test accuracy
# with these 2 epochs (39 s on one core), 95.9 % with 4, 97.0 % with 8.
_LAPTOP = replace(
    _SMOKE, seeds=3, epochs=2, train_images=None, test_images=None, width=0.25, batch_size=64,
    options={"weight_decay": 0.05}, augment=True, compute="auto", methods=GRID_METHODS, baselines=BASELINES,
    baselines_on=("bloodmnist",), datasets=("bloodmnist", "industrial", "visa"),
    on={"visa": {"epochs": 8}, "industrial": {"epochs": 8}},  # fewer images than BloodMNIST, or harder ones
)  # fmt: skip
# The papers' networks at width 1 on small images, as long as they gain: 10 epochs of ResNet18, 20 of VGG16.
_STATION = replace(_LAPTOP, width=1.0, epochs=10, lr=1e-3, methods=GRID_METHODS[1:], baselines=(), on={},
                   datasets=("bloodmnist",))  # fmt: skip
# F states 50 epochs, batch 64 and lr 1e-4, three runs; AdamW, 224 px and no augmentation are unknown there and
# chosen here (AdamW as Doerrich et al., whose lr and batch F shares).
_PAPER_F = Budget(
    3, 50, None, None, lr=1e-4, datasets=PAPER_F_DATASETS, optimizer="AdamW", compute="auto", resolution=224,
    real_images=True,
)  # fmt: skip
# P's VGG code: 32 px, AdamW with weight decay 1e-4, cosine, crop and flip; its command-line defaults otherwise.
_VGG = Budget(
    1, 2, 128, 128, width=0.125, batch_size=32, optimizer="AdamW", options={"weight_decay": 1e-4}, lr=1e-3,
    schedule="cosine", augment=True, compute="fp32-channels-last", resolution=32, datasets=("fashionmnist",),
    scopes=("global", "layerwise"), methods=("pre-training", "set"), published=("pre-training",), sparsities=(0.0, 0.5),
)  # fmt: skip
# Chosen by validation accuracy: the least with which dense learns. P's and F's VGG16 share dense and what both prune.
_QUICK_VGG = replace(
    _VGG, epochs=2, train_images=12_000, test_images=2_000, resolution=28, augment=False,
    methods=("pre-training", "post-training", "set"), published=(),
)  # fmt: skip


def _both(budget: Budget, vgg16: Budget) -> dict[str, Budget]:
    """F's two networks; VGG16 has no batch norms and learns at lower rates and with more steps only."""
    return {"vgg16": vgg16, "resnet18": budget}


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
            _VGG,
            _both(_SMOKE, replace(_SMOKE, lr=1e-3)),
        ),
        Profile(
            "quick",
            {
                "mlp-small": replace(_MLP_SMALL, datasets=("mnist", "fashionmnist")),
                "mlp-medium": Budget(
                    3, 2, 20_000, None, width=0.1, optimizer="AdamW", lr=2e-3, schedule="cosine",
                    options={"weight_decay": 0.05}, datasets=("mnist",), scopes=("global", "layerwise"),
                    methods=("pre-training", "post-training", "set"), sparsities=(0.0, 0.8),
                ),
            },
            _QUICK_VGG,
            {
                "vgg16": replace(_QUICK_VGG, methods=GRID_METHODS[1:], baselines=()),
                # Plain fp32: channels-last crashed natively in the backward pass of the last batch of 11 images.
                "resnet18": replace(
                    _SMOKE, epochs=3, train_images=None, test_images=None, datasets=("elpv",), compute="fp32",
                    resolution=80, methods=GRID_METHODS[1:], baselines=(),
                ),
            },
            stand_ins=False,
        ),
        Profile(
            "laptop",
            {
                "mlp-small": replace(_MLP_SMALL, seeds=10),
                # AdamW, since SGD would need more steps than there are: see table sensitivity_mlp.
                "mlp-medium": Budget(
                    3, 4, 12_000, None, width=0.25, batch_size=128, optimizer="AdamW", lr=1e-3, schedule="cosine",
                    options={"weight_decay": 0.05}, datasets=("mnist", "fashionmnist", "cifar10"),
                    scopes=("global", "layerwise"),
                ),
            },
            replace(
                _VGG, seeds=3, epochs=3, train_images=12_000, test_images=None, datasets=("fashionmnist", "cifar10"),
                methods=("pre-training", "post-training", "set"), sparsities=SPARSITIES, compute="auto",
                # P's 1e-3 is for ImageNet weights; from random ones 3e-4 learns more surely (table sensitivity_vgg).
                lr=3e-4, on={"cifar10": {"train_images": 24_000}},
            ),
            _both(
                _LAPTOP,
                replace(
                    _LAPTOP, lr=1e-3, batch_size=32,
                    on=_LAPTOP.on | {"industrial": {"epochs": 8, "lr": 3e-4}},  # 1e-3 stays at chance there
                ),
            ),
        ),
        Profile(
            "station",
            {
                "mlp-small": replace(_MLP_SMALL, seeds=10),
                "mlp-medium": Budget(
                    3, 10, None, None, batch_size=128, optimizer="AdamW", lr=1e-3, schedule="cosine",
                    options={"weight_decay": 0.05}, datasets=("mnist", "fashionmnist"), scopes=("global", "layerwise"),
                    methods=("pre-training", "post-training", "set"), baselines=(),
                ),
            },
            replace(
                _VGG, seeds=3, epochs=20, train_images=None, test_images=None, width=1.0, batch_size=64, lr=3e-4,
                datasets=("fashionmnist", "cifar10"), methods=("pre-training", "post-training", "set"),
                published=("pre-training",), sparsities=SPARSITIES, compute="auto",
            ),
            _both(_STATION, replace(_STATION, epochs=20, lr=3e-4)),
        ),
        Profile(
            # Defaults of P's published code: 10 epochs, batch 4, lr 1e-3 (what its own runs took is not said).
            "paper",
            dict.fromkeys(
                ("mlp-small", "mlp-medium"), Budget(5, 10, None, None, batch_size=4, lr=1e-3, real_images=True)
            ),
            replace(
                _VGG, seeds=5, epochs=10, train_images=None, test_images=None, width=1.0, batch_size=4,
                datasets=P_DATASETS, methods=GRID_METHODS, published=GRID_METHODS, sparsities=SPARSITIES,
                compute="auto", real_images=True,
            ),
            _both(_PAPER_F, _PAPER_F),
        ),
    )
}  # fmt: skip


def profile(name: str) -> Profile:
    """The named profile; PaperlibError with the nearest name if there is none."""
    if not isinstance(name, str) or name not in PROFILES:
        raise unknown("profile", name, list(PROFILES))
    return PROFILES[name]


def base(budget: Budget, dataset: str, model: str, seed: int) -> Fields:
    """The trial fields that all trials of one data set, model and seed share."""
    shared = {f.name: getattr(budget, f.name) for f in fields(budget) if f.name in Trial.model_fields}
    return cast(Fields, {"dataset": dataset, "model": model, "seed": seed} | shared | budget.on.get(dataset, Fields()))


def budgeted(
    budgets: Mapping[str, Budget], datasets: Sequence[str] | None, models: Sequence[str] | None, seeds: int | None
) -> Iterator[tuple[Budget, Fields]]:
    """The budget and the shared trial fields of every model, data set and seed, in this order; None: the budget's own.

    Raises PaperlibError for a model without a budget.
    """
    for model in models or budgets:
        if model not in budgets:
            raise unknown("model of this study", model, list(budgets))
        budget = budgets[model]
        for dataset in datasets or budget.datasets:
            for seed in range(seeds or budget.seeds):
                yield budget, base(budget, dataset, model, seed)


def _is_share(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 <= float(value) < 1


def _is_scenario(value: object) -> bool:
    return isinstance(value, str) or (
        isinstance(value, tuple | list) and len(value) == 2 and all(map(_is_share, value))
    )


def _is_name(value: object) -> bool:
    return isinstance(value, str)


# Axis: what each of its values must be, in words with an example.
_AXES: dict[str, tuple[Callable[[object], bool], str]] = {
    "datasets": (_is_name, "names such as ['mnist', 'cifar10']"),
    "models": (_is_name, "names such as ['mlp-small']"),
    "sparsities": (_is_share, "shares in [0, 1) such as [0.5, 0.9]"),
    "scopes": (_is_name, "names such as ['global']"),
    "methods": (_is_name, "names such as ['set']"),
    "scenarios": (_is_scenario, "names or shares of (filters, weights) such as ['i', (0.3, 0.9)]"),
}
# Raises PaperlibError for an unknown name; models and scenarios are those of a study, which checks them.
_NAMED: dict[str, Callable[[str], object]] = {
    "datasets": lambda name: name.startswith(FOLDER) or parse_name(name),
    "methods": METHODS.__getitem__,
    "scopes": lambda name: make_trial(method="random", scope=name),
}


def check_axes(seeds: object = None, **axes: object) -> None:
    """PaperlibError, before anything runs, for an axis that is no list of what it takes, or a number of seeds below 1.

    None stands for the profile's own values.
    """
    if seeds is not None and (not isinstance(seeds, int) or isinstance(seeds, bool) or seeds < 1):
        raise PaperlibError(f"seeds must be a whole number from 1 on, or None for the profile's own, not {seeds!r}")
    for axis, values in axes.items():
        fits, what = _AXES[axis]
        if values is None:
            continue
        if not isinstance(values, list | tuple) or not all(fits(value) for value in values):
            raise PaperlibError(f"{axis} must be a list of {what}, or None for the profile's own, not {values!r}")
        if not values:
            raise PaperlibError(f"{axis} is empty: give at least one value, or None for the profile's own")
        for value in values if axis in _NAMED else ():
            _NAMED[axis](value)
