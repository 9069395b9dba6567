"""Masks: what is kept, how it is applied, that the removed stays removed, and how much that is, by counting."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.pruners.layers import Layer
from paperlib.schema.record import LayerSparsity, Network

Masks = dict[str, Tensor]
"""Layer name -> bool tensor, True = kept; (out, in) for linear layers, (out_channels,) for convolutions."""


def remove_lowest(scores: Tensor, count: int) -> Tensor:
    """Bool mask of the scores' shape that removes the `count` lowest (ties as `torch.nn.utils.prune` breaks them)."""
    if scores.device.type == "cpu" and 0 < count < scores.numel():
        # numpy's introselect is several times faster than topk; ties at the threshold are left to topk.
        values = scores.detach().numpy()
        kept = ~(values <= np.partition(values, count - 1, axis=None)[count - 1])
        if kept.size - np.count_nonzero(kept) == count:
            return torch.from_numpy(kept)
    mask = torch.ones(scores.numel(), dtype=torch.bool, device=scores.device)
    mask[torch.topk(scores.flatten(), count, largest=False).indices] = False
    return mask.reshape(scores.shape)


@torch.no_grad()
def apply_masks(layers: Sequence[Layer], masks: Mapping[str, Tensor]) -> None:
    """Zero what is removed in the layers' tensors; a removed filter then emits exactly zero."""
    for layer in layers:
        if layer.name in masks:
            for tensor in layer.tensors():
                tensor.mul_(layer.broadcast_mask(masks[layer.name], tensor))
            _reset_statistics(layer, ~masks[layer.name])


def _reset_statistics(layer: Layer, filters: Tensor) -> None:
    norm = layer.norm
    if norm is not None and norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean[filters] = 0
        norm.running_var[filters] = 1


class MaskEnforcer:
    """Keeps removed weights and their optimizer state at zero: call `after_step` after every step.

    Masking only the gradient would not do: momentum and Adam's moments go on moving a weight.
    A regrown weight starts at zero; with `stale` (quirk `stale-regrowth` of P's code) at the value that it
    had when it was removed. A regrown filter starts at its initial values: from zero it could never learn,
    since ReLU passes no gradient at exactly zero.
    `set` and `after_step` raise PaperlibError for an optimizer whose state masks cannot follow.
    """

    def __init__(self, layers: Sequence[Layer], optimizer: torch.optim.Optimizer, *, stale: bool = False) -> None:
        self.layers = layers
        self.optimizer = optimizer
        self.stale = stale
        self.masks: Masks = {}
        self._pruned_values: dict[str, Tensor] = {}
        self._initial = {x.name: [t.detach().clone() for t in x.tensors()] for x in layers if x.unit == "filter"}
        self._tensors: list[Tensor] = []
        self._factors: list[Tensor] = []

    def set(self, masks: Masks) -> None:
        """New masks from now on; applied at once to weights and state."""
        if self.stale:
            self._restore_pruned_values(masks)
        self._restart_filters(masks)
        self.masks = masks
        self._tensors = []
        apply_masks(self.layers, masks)
        if self.optimizer.state:
            self.after_step()

    @torch.no_grad()
    def after_step(self) -> None:
        """Multiply weights and optimizer state by the masks, in one fused call."""
        if not self.masks:
            return
        if not self._tensors:
            self._collect()
        torch._foreach_mul_(self._tensors, self._factors)

    @torch.no_grad()
    def _restart_filters(self, masks: Masks) -> None:
        for layer in self.layers:
            if layer.unit == "filter" and layer.name in masks and layer.name in self.masks:
                regrown = masks[layer.name] & ~self.masks[layer.name]
                for tensor, initial in zip(layer.tensors(), self._initial[layer.name], strict=True):
                    tensor[regrown] = initial[regrown]
                _reset_statistics(layer, regrown)

    @contextmanager
    def filters_restored(self) -> Iterator[None]:
        """All filters present inside the block, removed ones at their initial values; weights stay masked."""
        before = [(t, t.detach().clone()) for x in self.layers if x.unit == "filter" for t in x.tensors()]
        self._restart_filters({name: torch.ones_like(mask) for name, mask in self.masks.items()})
        try:
            yield
        finally:
            with torch.no_grad():
                for tensor, value in before:
                    tensor.copy_(value)

    @torch.no_grad()
    def _restore_pruned_values(self, masks: Masks) -> None:
        for layer in self.layers:
            if layer.name in masks and layer.unit == "weight":
                weight = layer.module.weight
                if layer.name in self._pruned_values:
                    removed = ~self.masks[layer.name]
                    weight[removed] = self._pruned_values[layer.name][removed]
                self._pruned_values[layer.name] = weight.detach().clone()

    def _collect(self) -> None:
        self._factors = []
        for layer in self.layers:
            if layer.name not in self.masks:
                continue
            for parameter in layer.tensors():
                factor = layer.broadcast_mask(self.masks[layer.name], parameter).contiguous()
                masked = [parameter, *self._state(parameter)]
                self._tensors += masked
                self._factors += [factor] * len(masked)

    def _state(self, parameter: Tensor) -> list[Tensor]:
        tensors = []
        for key, value in self.optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                tensors.append(value)
            elif isinstance(value, Tensor) and value.numel() > 1:
                name = type(self.optimizer).__name__
                raise PaperlibError(f"optimizer {name!r} keeps state {key!r} that masks cannot follow; use SGD or Adam")
        return tensors


def count_layers(layers: Sequence[Layer], masks: Masks) -> tuple[LayerSparsity, ...]:
    """Nominal and counted sparsity of every layer."""
    return tuple(
        LayerSparsity(
            name=layer.name,
            unit=layer.unit,
            shape=tuple(layer.module.weight.shape),
            units=layer.units,
            removed=int((~masks[layer.name]).sum()) if layer.name in masks else 0,
            nominal=layer.nominal,
            in_scope=layer.in_scope,
        )
        for layer in layers
    )


def count_network(model: nn.Module, layers: Sequence[Layer], masks: Masks) -> Network:
    """Sizes of the network; a removed filter counts with all its weights."""
    removed = {count.name: count.removed for count in count_layers(layers, masks)}
    return Network(
        parameters=sum(p.numel() for p in model.parameters()),
        weights=sum(layer.module.weight.numel() for layer in layers),
        prunable=sum(layer.module.weight.numel() for layer in layers if layer.in_scope),
        zeros=sum(removed[layer.name] * layer.weights_per_unit for layer in layers),
    )
