"""The methods of both papers: each is one class that says what its masks are and when they change.

A method of your own: subclass Method, decorate it with `@METHODS.register("name")`, and name it in a trial.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.pruners import allocation, criteria
from paperlib.pruners.allocation import Counts
from paperlib.pruners.layers import Layer
from paperlib.pruners.masks import Masks, remove_lowest
from paperlib.schema.trial import Trial


@dataclass(frozen=True, eq=False)
class Pruning:
    """What a method may look at: the trial, its layers, a random source on the CPU, and dense gradients.

    gradients: gives layer name -> gradient of its weight (same shape and dtype) on one batch, removed units
        included (for rigl).
    """

    trial: Trial
    layers: Sequence[Layer]
    generator: torch.Generator
    gradients: Callable[[], dict[str, Tensor]] = dict

    @property
    def targets(self) -> list[Layer]:
        return [layer for layer in self.layers if layer.in_scope]

    def counts(self, scores: dict[str, Tensor]) -> Counts:
        """Units to remove per layer, by the trial's scope; PaperlibError where that would empty a layer."""
        if self.trial.scope == "global-threshold":
            return allocation.by_threshold(self.targets, scores)
        if self.trial.scope == "erdos-renyi":
            return allocation.erdos_renyi(self.layers)
        if self.trial.scope == "random-ratios":
            return allocation.random_ratios(self.layers, torch.Generator().manual_seed(self.trial.draw))
        return allocation.uniform(self.layers)

    def remove_lowest(self, score: Callable[[Layer], Tensor]) -> Masks:
        """Masks that remove each layer's lowest scores (of its mask shape), as many as the scope says."""
        scores = {layer.name: score(layer) for layer in self.targets}
        counts = self.counts(scores)
        return {name: remove_lowest(scores[name], counts[name]) for name in scores}

    def remove_smallest_l1(self, sparsity: Callable[[float], float]) -> Masks:
        """Masks that remove each layer's smallest L1, up to `sparsity` of its nominal share (both 0 to 1)."""
        layers = [replace(layer, nominal=sparsity(layer.nominal)) for layer in self.layers]
        return replace(self, layers=layers).remove_lowest(criteria.l1)

    def random_score(self, layer: Layer) -> Tensor:
        return criteria.at_random(layer, self.generator)


class Method:
    """The base of all methods; by itself it never masks anything.

    A training asks for masks three times: `initial_masks` once, `update_masks` before every epoch, `final_masks`
    once. Each returns `Masks`: layer name -> bool tensor on the weight's device, True = kept, of shape (out, in) for
    a linear layer and (out_channels,) for a convolution; a layer without a mask stays dense. A step reads the weights
    (`pruning.layers`), changes none, and draws only from `pruning.generator`. It may raise PaperlibError (the
    training then ends with that one line), and so does the training where a mask removes a whole layer. Weights that
    come back start at zero, filters at their initial values; see `MaskEnforcer`.

    weights_from: "itself"; "dense" when it takes the dense trial's trained network (post-training); "nothing" for
        the constant predictor. prunes: whether any layer ever has a mask. in_rounds: whether it removes more at
        each boundary, so that what pruning alone does is worth an evaluation before the rest trains on.
    """

    weights_from: ClassVar[Literal["itself", "dense", "nothing"]] = "itself"
    prunes: ClassVar[bool] = True
    in_rounds: ClassVar[bool] = False

    def width(self, trial: Trial, network: Callable[[float], nn.Module]) -> float:
        """The width factor to build; `network(width)` gives the model without memory, for counting."""
        return trial.width

    def initial_masks(self, pruning: Pruning) -> Masks:
        """Masks at initialisation, before the first step; {} for a dense start."""
        return {}

    def update_masks(self, pruning: Pruning, masks: Masks, epoch: int) -> Masks:
        """Masks for `epoch` (0-based), called before every epoch, the first one too.

        `masks` are those in force. Returning that same object means no change; it must not be altered.
        """
        return masks

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        """Masks after the last step, for the network that is tested; `masks` are those in force."""
        return masks


class Dense(Method):
    """No mask at any time: the reference of both papers."""

    prunes = False


class RandomMask(Method):
    """Uniform random mask at initialisation, fixed; at sparsity 0 the control "mask at 0 % vs dense"."""

    def initial_masks(self, pruning: Pruning) -> Masks:
        return pruning.remove_lowest(pruning.random_score)


class PreTraining(Method):
    """Smallest L1 removed at initialisation, mask fixed (paper F, section 3.1.1)."""

    def initial_masks(self, pruning: Pruning) -> Masks:
        return pruning.remove_lowest(criteria.l1)


class PostTraining(Method):
    """Smallest L1 removed from the trained dense network, no fine-tuning (paper F, section 3.1.3)."""

    weights_from = "dense"

    def final_masks(self, pruning: Pruning, masks: Masks) -> Masks:
        return pruning.remove_lowest(criteria.l1)


class InTraining(RandomMask):
    """Random mask with exact counts; at each epoch boundary the weakest active units swap with random ones.

    Paper F, algorithm 1. Boundaries lie between epochs: none before the first (quirk `swap-first` adds it)
    and none after the last, where regrown units could not train.
    """

    def update_masks(self, pruning: Pruning, masks: Masks, epoch: int) -> Masks:
        if epoch == 0 and "swap-first" not in pruning.trial.quirks:
            return masks
        return {layer.name: self._swap(pruning, layer, masks[layer.name]) for layer in pruning.targets}

    def _swap(self, pruning: Pruning, layer: Layer, mask: Tensor) -> Tensor:
        active = int(mask.sum())
        # A dense layer has nothing to swap with, and one active unit must stay.
        count = min(round(pruning.trial.swap * active), active - 1) if active < layer.units else 0
        if count == 0:
            return mask
        swapped = mask.flatten().clone()
        swapped[criteria.weakest_active(layer, mask, count)] = False
        swapped[self.grow(pruning, layer, swapped, count)] = True
        return swapped.reshape(mask.shape)

    def grow(self, pruning: Pruning, layer: Layer, mask: Tensor, count: int) -> Tensor:
        """Flat int64 indices (count,) of inactive units that come back; the just-dropped ones may, as in SET.

        mask: bool (units,), flat, after the weakest active units were dropped.
        """
        inactive = torch.nonzero(~mask).flatten()
        order = torch.randperm(len(inactive), generator=pruning.generator)[:count]
        return inactive[order.to(inactive.device)]


class SET(InTraining):
    """In-training with an Erdős–Rényi start (https://doi.org/10.1038/s41467-018-04316-3).

    P's code draws the start uniformly (quirk `uniform-er`).
    """

    def initial_masks(self, pruning: Pruning) -> Masks:
        if "uniform-er" in pruning.trial.quirks:
            return {layer.name: pruning.random_score(layer) >= layer.nominal for layer in pruning.targets}
        if pruning.trial.scope in {"global-threshold", "random-ratios"}:
            raise PaperlibError("method 'set' allocates by Erdős–Rényi and in no other way; use scope 'global'")
        counts = allocation.erdos_renyi(pruning.layers)
        return {layer.name: remove_lowest(pruning.random_score(layer), counts[layer.name]) for layer in pruning.targets}
