"""Scores: which units count for little. Low scores go first."""

import torch
from torch import Tensor

from paperlib.pruners.layers import Layer


def l1(layer: Layer) -> Tensor:
    """|w| of single weights; for a filter the sum of |w| over it (paper F, equations 1 and 3)."""
    weight = layer.module.weight.detach()
    return weight.abs() if layer.unit == "weight" else weight.abs().flatten(1).sum(1)


def at_random(layer: Layer, generator: torch.Generator) -> Tensor:
    """Uniform scores in [0, 1): removing the lowest n removes exactly n at random (paper F, equation 2)."""
    return torch.rand(layer.mask_shape, generator=generator).to(layer.module.weight.device)


def weakest_active(layer: Layer, mask: Tensor, count: int) -> Tensor:
    """Flat indices of the `count` active units that a swap drops (paper F, algorithm 1).

    Weights: half the smallest positive, half the largest negative ones (all of one sign if the other runs
    out); filters: the smallest L1. Zero weights count as the smallest of the positive ones.
    """
    if layer.unit == "filter":
        score = l1(layer).masked_fill(~mask, torch.inf)
        return torch.topk(score, count, largest=False, sorted=False).indices
    weight, active = layer.module.weight.detach().flatten(), mask.flatten()
    positive = torch.nonzero(active & (weight >= 0)).flatten()
    negative = torch.nonzero(active & (weight < 0)).flatten()
    from_positive = min(count // 2, len(positive))
    from_negative = min(count - from_positive, len(negative))
    from_positive = count - from_negative
    return torch.cat(
        [
            positive[_smallest(weight[positive], from_positive)],
            negative[_smallest(-weight[negative], from_negative)],
        ]
    )


def _smallest(values: Tensor, count: int) -> Tensor:
    # On the CPU numpy's introselect is several times faster than topk for large counts.
    if values.device.type == "cpu" and 0 < count < len(values):
        import numpy as np

        return torch.from_numpy(np.argpartition(values.numpy(), count - 1)[:count])
    return torch.topk(values, count, largest=False, sorted=False).indices
