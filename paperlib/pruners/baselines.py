"""What both papers lack: gradual magnitude, RigL, a small dense net, the constant predictor, methods of tutorials,
whole channels of residual streams."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.pruners import allocation, criteria
from paperlib.pruners.layers import Layer, layers_of
from paperlib.pruners.masks import Masks
from paperlib.pruners.methods import SET, Method, PostTraining, Pruning
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


class PostTrainingRandom(PostTraining):
    """Random weights removed from the trained dense network: what `post-training` is worth beyond its count."""

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        return pruning.remove_lowest(pruning.random_score)


class PreTrainingCoupled(Method):
    """`pre-training` that removes whole channels of a residual stream, so that its sums shrink, too.

    A channel goes from all convolutions that write to it together, smallest L1 over all of them first. (Coupled groups
    as in DepGraph, https://arxiv.org/abs/2301.12900, but found for convolutions alone.)
    """

    def initial_masks(self, pruning: Pruning) -> Masks:
        return _coupled(pruning)


class PostTrainingCoupled(PostTraining):
    """`post-training` that removes whole channels of a residual stream; see `PreTrainingCoupled`."""

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        return _coupled(pruning)


class Threshold(PostTraining):
    """All weights with |w| below the trial's threshold removed from the trained dense network.

    The sparsity is what comes out, layer by layer, but each keeps its largest weight: none is empty. Filters stay.
    """

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        scores = {x.name: criteria.l1(x) for x in pruning.targets if x.unit == "weight"}
        return {name: score >= min(pruning.trial.threshold, float(score.max())) for name, score in scores.items()}


class Iterative(Method):
    """Prune and fine-tune in rounds (Han et al. 2015, https://arxiv.org/abs/1506.02626): the first half of the epochs
    trains densely, then each epoch is one round: the smallest L1 go, by the same factor of what is left each time,
    and the rest trains on.

    The budget equals that of the other methods. With one epoch there is no fine-tuning, as in `post-training`.
    """

    in_rounds = True

    def update_masks(self, pruning: Pruning, masks: Masks, epoch: int) -> Masks:
        rounds = pruning.trial.epochs // 2
        done = epoch + 1 - (pruning.trial.epochs - rounds)
        if not rounds or done <= 0:
            return masks
        return pruning.remove_smallest_l1(lambda sparsity: 1 - (1 - sparsity) ** (done / rounds))

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        return masks or pruning.remove_smallest_l1(lambda sparsity: 1 - (1 - sparsity) ** 1.0)


def _coupled(pruning: Pruning) -> Masks:
    if pruning.trial.scope == "erdos-renyi":
        raise PaperlibError("scope 'erdos-renyi' removes unequally many filters of coupled layers; use scope 'global'")
    return pruning.remove_lowest(lambda layer: criteria.stream_l1(layer, pruning.layers))


def _parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
