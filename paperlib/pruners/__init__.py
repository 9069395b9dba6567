"""Pruning in four parts: layers (where), criteria (what counts), allocation (how many), methods (when)."""

from importlib import import_module
from typing import TYPE_CHECKING

from paperlib.pruners.registry import METHODS

if TYPE_CHECKING:
    from paperlib.pruners.layers import Layer, layers_of
    from paperlib.pruners.masks import MaskEnforcer, Masks, apply_masks, remove_lowest
    from paperlib.pruners.methods import Method, Pruning

__all__ = [
    "METHODS",
    "Layer",
    "MaskEnforcer",
    "Masks",
    "Method",
    "Pruning",
    "apply_masks",
    "layers_of",
    "remove_lowest",
]
# These import torch, the names of the methods do not.
_HEAVY = {
    name: module
    for module, names in {
        "layers": ("Layer", "layers_of"),
        "masks": ("MaskEnforcer", "Masks", "apply_masks", "remove_lowest"),
        "methods": ("Method", "Pruning"),
    }.items()
    for name in names
}


def __getattr__(name: str) -> object:
    if name not in _HEAVY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    thing: object = getattr(import_module(f"{__name__}.{_HEAVY[name]}"), name)
    return thing
