"""Paper P's two multilayer perceptrons (in-16-16-out and in-4000-1000-4000-out, as in its published code)."""

from collections import OrderedDict
from itertools import pairwise
from math import prod

from torch import nn


def scaled(units: int, width: float) -> int:
    """`units` (or channels) of a hidden layer times `width`, at least 1."""
    return max(1, round(units * width))


def build_mlp(
    inputs: int, hidden: tuple[int, ...], classes: int, dropout: float = 0.0, width: float = 1.0
) -> nn.Sequential:
    """Flatten, then linear layers with ReLU (and dropout) between them: (N, …) to raw logits (N, classes)."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    widths = [inputs, *(scaled(units, width) for units in hidden)]
    for number, (before, units) in enumerate(pairwise(widths), start=1):
        layers[f"fc{number}"] = nn.Linear(before, units)
        layers[f"relu{number}"] = nn.ReLU()
        if dropout:
            layers[f"dropout{number}"] = nn.Dropout(dropout)
    layers["out"] = nn.Linear(widths[-1], classes)
    return nn.Sequential(layers)


def mlp_small(shape: tuple[int, int, int], classes: int, width: float) -> nn.Sequential:
    """P's small MLP: in-16-16-out."""
    return build_mlp(prod(shape), (16, 16), classes, width=width)


def mlp_medium(shape: tuple[int, int, int], classes: int, width: float) -> nn.Sequential:
    """P's medium MLP: in-4000-1000-4000-out, dropout 0.3 (the network of SET with ReLU)."""
    return build_mlp(prod(shape), (4000, 1000, 4000), classes, dropout=0.3, width=width)
