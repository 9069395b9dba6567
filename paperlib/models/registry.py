"""The registry of models and the one way to build one."""

from collections.abc import Callable

from torch import nn

from paperlib.registry import Registry

Builder = Callable[[tuple[int, int, int], int, float], nn.Module]
MODELS: Registry[Builder] = Registry("model")


def build(name: str, shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """The named model for images of `shape` (height, width, channels); hidden widths times `width`.

    Weights come from torch's global random state: seed it first. Raises PaperlibError for unknown names
    and for images that are too small for the network.
    """
    return MODELS[name](shape, classes, width)
