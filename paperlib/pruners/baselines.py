"""The baselines that both papers lack: gradual magnitude, RigL, a small dense net, the constant predictor."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from paperlib.pruners import allocation, criteria
from paperlib.pruners.layers import Layer, layers_of
from paperlib.pruners.masks import Masks
from paperlib.pruners.methods import SET, Method, Pruning
from paperlib.schema.trial import Trial

RAMP = 0.75  # share of training after which the final sparsity stands


class MagnitudeGradual(Method):
    """At each epoch the smallest L1 go, by a cubic schedule from 0 to the target (https://arxiv.org/abs/1710.01878)."""

    def update_masks(self, pruning: Pruning, masks: Masks, epoch: int) -> Masks:
        ramp = max(1, int(RAMP * pruning.trial.epochs))
        share = 1 - (1 - min(1.0, epoch / ramp)) ** 3
        return pruning.remove_smallest_l1(lambda sparsity: sparsity * share)

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        return pruning.remove_lowest(criteria.l1)


class RigL(SET):
    """SET that grows where the gradient is largest (https://arxiv.org/abs/1911.11134); only the growth rule differs.

    A filter's score is the L1 norm of its weight gradient with all removed filters at their initial values.
    """

    def update_masks(self, pruning: Pruning, masks: Masks, epoch: int) -> Masks:
        if epoch == 0 and "swap-first" not in pruning.trial.quirks:
            return masks
        gradients = pruning.gradients()  # one batch for all layers
        return super().update_masks(replace(pruning, gradients=lambda: gradients), masks, epoch)

    def grow(self, pruning: Pruning, layer: Layer, mask: Tensor, count: int) -> Tensor:
        gradient = pruning.gradients()[layer.name].abs()
        score = gradient if layer.unit == "weight" else gradient.flatten(1).sum(1)
        return torch.topk(score.flatten().masked_fill(mask, -1), count).indices


class SmallDense(Method):
    """A dense net of as many parameters as the pruned one keeps, trained from scratch (checklist point 3).

    Its width is the one whose parameter count comes nearest; the record states the count that it reached.
    """

    prunes = False

    def width(self, trial: Trial, network: Callable[[float], nn.Module]) -> float:
        full = network(trial.width)
        layers = layers_of(full, trial)
        counts = allocation.uniform(layers)
        target = _parameters(full) - sum(counts[x.name] * x.weights_per_unit for x in layers if x.in_scope)
        low, high = 0.0, trial.width
        for _ in range(24):
            middle = (low + high) / 2
            low, high = (middle, high) if _parameters(network(middle)) <= target else (low, middle)
        return min((low, high), key=lambda width: abs(_parameters(network(width)) - target))


class Majority(Method):
    """The constant predictor with the training labels' frequencies."""

    weights_from = "nothing"
    prunes = False


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
