"""Sizes and sparsities by counting, never by the nominal share."""

from collections.abc import Sequence

from torch import nn

from paperlib.pruners.layers import Layer
from paperlib.pruners.masks import Masks
from paperlib.schema.record import LayerSparsity, Network


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
