"""Pruning in four parts: layers (where), criteria (what counts), allocation (how many), methods (when)."""

from paperlib.pruners import baselines as _baselines  # noqa: F401 - registers its methods
from paperlib.pruners import trained as _trained  # noqa: F401 - registers its methods
from paperlib.pruners.layers import Layer, layers_of
from paperlib.pruners.masks import MaskKeeper, Masks, apply_masks, remove_lowest
from paperlib.pruners.methods import METHODS, Method, Pruning

__all__ = [
    "METHODS",
    "Layer",
    "MaskKeeper",
    "Masks",
    "Method",
    "Pruning",
    "apply_masks",
    "layers_of",
    "remove_lowest",
]
