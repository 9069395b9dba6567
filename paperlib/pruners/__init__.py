"""Pruning in four parts: layers (where), criteria (what counts), allocation (how many), methods (when).

The names of the methods import no torch: what needs it loads when it is first looked up.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from paperlib.core.registry import Registry

if TYPE_CHECKING:
    from paperlib.pruners.layers import Layer, layers_of
    from paperlib.pruners.masks import MaskEnforcer, Masks, apply_masks
    from paperlib.pruners.methods import Method, Pruning

__all__ = ["METHODS", "Layer", "MaskEnforcer", "Masks", "Method", "Pruning", "apply_masks", "layers_of"]

METHODS: "Registry[type[Method]]" = Registry(
    "method",
    {
        "dense": "paperlib.pruners.methods:Dense",
        "random": "paperlib.pruners.methods:RandomMask",
        "pre-training": "paperlib.pruners.methods:PreTraining",
        "post-training": "paperlib.pruners.methods:PostTraining",
        "in-training": "paperlib.pruners.methods:InTraining",
        "set": "paperlib.pruners.methods:SET",
        "magnitude-gradual": "paperlib.pruners.baselines:MagnitudeGradual",
        "rigl": "paperlib.pruners.baselines:RigL",
        "small-dense": "paperlib.pruners.baselines:SmallDense",
        "majority": "paperlib.pruners.baselines:Majority",
        "post-training-random": "paperlib.pruners.baselines:PostTrainingRandom",
        "pre-training-coupled": "paperlib.pruners.baselines:PreTrainingCoupled",
        "post-training-coupled": "paperlib.pruners.baselines:PostTrainingCoupled",
        "threshold": "paperlib.pruners.baselines:Threshold",
        "iterative": "paperlib.pruners.baselines:Iterative",
    },
)


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = {"Layer": "layers", "layers_of": "layers", "Method": "methods", "Pruning": "methods"}.get(name, "masks")
    value: object = getattr(import_module(f"{__name__}.{module}"), name)
    return value
