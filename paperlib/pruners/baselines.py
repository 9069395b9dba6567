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
    """Zhu & Gupta (2017): at each epoch the smallest L1 go, by a cubic schedule from 0 to the target."""

    def update_masks(self, pruning: Pruning, masks: Masks, epoch: int) -> Masks:
        ramp = max(1, int(RAMP * pruning.trial.epochs))
        return self._at(pruning, 1 - (1 - min(1.0, epoch / ramp)) ** 3)

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        return self._at(pruning, 1.0)

    @staticmethod
    def _at(pruning: Pruning, share: float) -> Masks:
        scaled = [replace(layer, nominal=layer.nominal * share) for layer in pruning.layers]
        return replace(pruning, layers=scaled).remove_lowest(criteria.l1)


class RigL(SET):
    """SET that grows where the gradient is largest (Evci et al. 2020); only the growth rule differs.

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
        whole = network(trial.width)
        layers = layers_of(whole, trial)
        counts = allocation.uniform(layers)
        gone = sum(counts[x.name] * x.weights_per_unit for x in layers if x.in_scope)
        target = _parameters(whole) - gone
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
