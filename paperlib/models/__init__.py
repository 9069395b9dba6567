"""Networks by name. A model takes normalised images (N, C, H, W) and returns raw logits (N, classes)."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from paperlib.core.registry import Registry

if TYPE_CHECKING:
    from torch import nn

Builder = Callable[[tuple[int, int, int], int, float], "nn.Module"]
"""(shape of an image: height, width, channels), classes, width factor -> model."""
MODELS: Registry[Builder] = Registry(
    "model",
    {
        "mlp-small": "paperlib.models.mlp:mlp_small",
        "mlp-medium": "paperlib.models.mlp:mlp_medium",
        "vgg16": "paperlib.models.vgg:vgg16",
        "resnet18": "paperlib.models.resnet:resnet18",
        "resnet18-plain": "paperlib.models.resnet:resnet18_plain",
    },
)


def build(name: str, shape: tuple[int, int, int], classes: int, width: float = 1.0) -> "nn.Module":
    """The named model for images of `shape` (height, width, channels); hidden widths times `width`.

    Weights are float32 and come from torch's global random state: seed it first. Raises PaperlibError for unknown
    names and for images that are too small for the network.
    """
    return MODELS[name](shape, classes, width)
