"""Paper P's two multilayer perceptrons (in-16-16-out and in-4000-1000-4000-out, as in its published code)."""

from collections import OrderedDict
from math import prod

from torch import nn


def mlp(inputs: int, hidden: tuple[int, ...], classes: int, dropout: float = 0.0) -> nn.Sequential:
    """Flatten, then linear layers with ReLU (and dropout) between them; raw logits come out."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    before = inputs
    for number, units in enumerate(hidden, start=1):
        layers[f"fc{number}"] = nn.Linear(before, units)
        layers[f"relu{number}"] = nn.ReLU()
        if dropout:
            layers[f"dropout{number}"] = nn.Dropout(dropout)
        before = units
    layers["out"] = nn.Linear(before, classes)
    return nn.Sequential(layers)


def scaled(widths: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """Hidden widths times `factor`, at least one unit each."""
    return tuple(max(1, round(w * factor)) for w in widths)


def mlp_small(shape: tuple[int, int, int], classes: int, width: float) -> nn.Sequential:
    """P's small MLP: in-16-16-out."""
    return mlp(prod(shape), scaled((16, 16), width), classes)


def mlp_medium(shape: tuple[int, int, int], classes: int, width: float) -> nn.Sequential:
    """P's medium MLP: in-4000-1000-4000-out, dropout 0.3 (the network of SET with ReLU)."""
    return mlp(prod(shape), scaled((4000, 1000, 4000), width), classes, dropout=0.3)
