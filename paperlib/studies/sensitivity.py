"""How much hangs on what the papers leave open: optimiser, learning rate, batch size, resolution; by validation."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from paperlib.schema.trial import Fields, Trial, make_trial
from paperlib.studies.profiles import base, profile


def _rates(optimizer: str, others: Fields, *rates: float) -> tuple[Fields, ...]:
    return tuple({**others, "optimizer": optimizer, "lr": rate} for rate in rates)


_MOMENTUM: Fields = {"options": {"momentum": 0.9, "weight_decay": 5e-4}, "schedule": "cosine"}
_ADAMW: Fields = {"options": {"weight_decay": 0.05}, "schedule": "cosine"}
_PLAIN: Fields = {"options": {}, "schedule": "constant"}  # as P's published code has SGD
_SGD = _rates("SGD", _PLAIN, 0.01, 0.05, 0.2)
_SMALL_MLP = (*_SGD, *_rates("SGD", _MOMENTUM, 3e-3, 0.01, 0.03), *_rates("AdamW", _ADAMW, 1e-3, 3e-3, 1e-2))
_PUBLISHED: Fields = {**_PLAIN, "batch_size": 4, "lr": 1e-3}  # the defaults of its command line
_MEDIUM_MLP = (*_SGD, *_rates("SGD", _PLAIN, 0.5), *_rates("AdamW", _ADAMW, 3e-4, 1e-3, 3e-3, 1e-2))
_VGG = (*_rates("AdamW", _ADAMW, 3e-4, 1e-3, 3e-3), *_rates("SGD", _MOMENTUM, 0.01, 0.03))
_RESNET = (
    *_rates("AdamW", _ADAMW, 3e-4, 1e-3, 3e-3, 1e-2), *_rates("SGD", _MOMENTUM, 0.03, 0.1),
)  # fmt: skip


@dataclass(frozen=True)
class Sweep:
    """One model on one data set under every setting. study: whose budget it has (`mlp` and `vgg` of P,
    `industrial` of F); fixed: what differs from that budget in all settings; arm: the pruned trial beside the
    dense one, None for dense alone."""

    study: str
    model: str
    dataset: str
    settings: tuple[Fields, ...]
    seeds: int = 3
    fixed: Fields = field(default_factory=Fields)
    arm: Fields | None = None


_SET: Fields = {"method": "set", "sparsity": 0.5}
# Dense alone for the CNNs, and one epoch of ResNet18: what two cores can afford.
_ALL = (
    Sweep("mlp", "mlp-small", "fashionmnist", (*_SMALL_MLP, _PUBLISHED, {"epochs": 30}), arm=_SET),  # last: longer
    Sweep("mlp", "mlp-medium", "fashionmnist", _MEDIUM_MLP, arm=_SET),
    Sweep("vgg", "vgg16", "cifar10", ({"lr": 3e-4}, {"lr": 1e-3})),
    Sweep("industrial", "vgg16", "bloodmnist", _VGG),
    Sweep("industrial", "vgg16", "industrial", ({"lr": 3e-4}, {"lr": 1e-3})),
    Sweep("industrial", "resnet18", "bloodmnist", _RESNET, fixed={"epochs": 1}),
    Sweep("industrial", "resnet18", "visa", ({"resolution": 28}, {"resolution": 64})),
)
_SMALL = Sweep("mlp", "mlp-small", "fashionmnist", _SGD[1:], seeds=1, arm=_SET)
SWEEPS = {
    "smoke": (_SMALL,),
    "quick": (replace(_SMALL, settings=(_SGD[1], *_SMALL_MLP[4:6], *_SMALL_MLP[6:8]), seeds=2),),
    "laptop": _ALL,
    "station": _ALL[:1],
    "paper": tuple(replace(sweep, fixed={}) for sweep in _ALL),
}


def swept(sweep: Sweep, profile_name: str, setting: Fields) -> list[Trial]:
    """The trials of one row: dense for every seed, and the pruned arm where there is one."""
    plan = profile(profile_name)
    budget = plan.vgg if sweep.study == "vgg" else getattr(plan, sweep.study)[sweep.model]
    common: list[Fields] = [
        {**base(budget, sweep.dataset, sweep.model, seed), **sweep.fixed, **setting} for seed in range(sweep.seeds)
    ]
    arms: Sequence[Fields] = ({}, sweep.arm) if sweep.arm else ({},)
    return [make_trial({**fields, **arm}) for arm in arms for fields in common]


def sensitivity_trials(profile_name: str, study: str | None = None) -> list[Trial]:
    """The trials of the sweeps of a profile and study (`mlp`, `vgg`, `industrial`; None for all)."""
    return list(
        dict.fromkeys(
            trial
            for sweep in SWEEPS[profile_name]
            if study in (None, sweep.study)
            for setting in sweep.settings
            for trial in swept(sweep, profile_name, setting)
        )
    )
