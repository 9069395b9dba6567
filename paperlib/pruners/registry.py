"""The registry of methods."""

from typing import TYPE_CHECKING

from paperlib.core.registry import Registry

if TYPE_CHECKING:
    from paperlib.pruners.methods import Method

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
        "post-training-random": "paperlib.pruners.post_training:PostTrainingRandom",
        "threshold": "paperlib.pruners.post_training:Threshold",
        "iterative": "paperlib.pruners.post_training:Iterative",
    },
)
