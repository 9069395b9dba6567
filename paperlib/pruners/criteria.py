"""Scores: which units count for little. Low scores go first."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from paperlib.pruners.layers import Layer


def l1(layer: Layer) -> Tensor:
    """|w| of single weights, (out, in); for filters the sum of |w| over each, (out_channels,).

    Floats of the weight's dtype and device. Source: paper F, equations 1 and 3.
    """
    weight = layer.module.weight.detach()
    return weight.abs() if layer.unit == "weight" else weight.abs().flatten(1).sum(1)


def stream_l1(layer: Layer, layers: Sequence[Layer]) -> Tensor:
    """`l1` of single weights; of a filter the sum over those of `layers` that share its channel, (out_channels,)."""
    return torch.stack([l1(other) for other in layers if other is layer or other.stream == layer.stream != ""]).sum(0)


def at_random(layer: Layer, generator: torch.Generator) -> Tensor:
    """Uniform float scores in [0, 1) of the layer's mask shape, drawn on the CPU.

    Removing the lowest n removes exactly n at random (paper F, equation 2).
    """
    return torch.rand(layer.mask_shape, generator=generator).to(layer.module.weight.device)


def weakest_active(layer: Layer, mask: Tensor, count: int) -> Tensor:
    """Flat int64 indices (count,) of the active units that a swap drops (paper F, algorithm 1).

    Weights: half the smallest positive, half the largest negative ones (all of one sign if the other runs
    out); filters: the smallest L1. Zero weights count as the smallest of the positive ones. `mask` is bool and at
    least `count` of it are active.
    """
    if layer.unit == "filter":
        score = l1(layer).masked_fill(~mask, torch.inf)
        return torch.topk(score, count, largest=False, sorted=False).indices
    weight, active = layer.module.weight.detach().flatten(), mask.flatten()
    positive = torch.nonzero(active & (weight >= 0)).flatten()
    negative = torch.nonzero(active & (weight < 0)).flatten()
    from_negative = min(count - min(count // 2, len(positive)), len(negative))
    smallest_positive = positive[_smallest(weight[positive], count - from_negative)]
    return torch.cat([smallest_positive, negative[_smallest(-weight[negative], from_negative)]])


def _smallest(values: Tensor, count: int) -> Tensor:
    # On the CPU numpy's introselect is several times faster than topk for large counts.
    if values.device.type == "cpu" and 0 < count < len(values):
        return torch.from_numpy(np.argpartition(values.numpy(), count - 1)[:count])
    return torch.topk(values, count, largest=False, sorted=False).indices
