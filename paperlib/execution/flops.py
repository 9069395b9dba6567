"""Costs counted, not guessed: parameters, non-zeros, stored bytes and the FLOPs that zeros do not need.

FLOP counters see shapes and not zeros, so these are counted apart; `dense_*` agrees with
torch.utils.flop_counter. One multiply-add is two FLOPs; only convolutions and linear layers count.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from paperlib.execution.compact import to_compact
from paperlib.schema.record import Costs

_INDEX = 4  # bytes of one int32 index in a CSR matrix


def count(model: nn.Module, masks: dict[str, Tensor], shape: tuple[int, int, int]) -> Costs:
    """Costs of `model` with `masks` applied, for one image of `shape` (height, width, channels).

    FLOPs per image, bytes of the stored network; a training step is a forward pass and twice that backward, without
    the gradient of the first layer's input. Raises PaperlibError as `compact` does.
    """
    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    element = layers[0].weight.element_size()
    dense_bytes = csr_bytes = _bytes(model)
    for layer in layers:
        if isinstance(layer, nn.Linear):
            csr_bytes += bytes_as_csr(layer) - layer.weight.nbytes
    dense, dense_first = _flops(model, shape, _all)
    training, training_first = _flops(to_compact(model, masks, training=True), shape, _nonzeros)
    small = to_compact(model, masks)
    return Costs(
        parameters=sum(p.numel() for p in model.parameters()),
        nonzeros=sum(int(p.count_nonzero()) for p in model.parameters()),
        dense_bytes=dense_bytes,
        csr_bytes=csr_bytes,
        compact_bytes=_bytes(small),
        int8_bytes=dense_bytes - (element - 1) * sum(layer.weight.numel() for layer in layers),
        dense_inference_flops=dense,
        dense_training_flops=3 * dense - dense_first,
        inference_flops=_flops(small, shape, _nonzeros)[0],
        training_flops=3 * training - training_first,
    )


def bytes_as_csr(layer: nn.Linear) -> int:
    """Bytes of the layer's weights as CSR: values, int32 columns and row starts."""
    stored = int(layer.weight.count_nonzero()) * (layer.weight.element_size() + _INDEX)
    return stored + _INDEX * (len(layer.weight) + 1)


def linear_zeros_share(model: nn.Module, shape: tuple[int, int, int]) -> float:
    """Share of the FLOPs of a forward pass that are zeros of linear layers, which a sparse product would skip."""
    without = _flops(model, shape, lambda layer: (_nonzeros if isinstance(layer, nn.Linear) else _all)(layer))[0]
    return 1 - without / _flops(model, shape, _all)[0]


def _all(layer: nn.Module) -> int:
    return layer.weight.numel()  # type: ignore[operator]


def _nonzeros(layer: nn.Module) -> int:
    return int(layer.weight.count_nonzero())  # type: ignore[operator]


def _bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in model.state_dict().values())


def _flops(model: nn.Module, shape: tuple[int, int, int], weights_used: Callable[[nn.Module], int]) -> tuple[int, int]:
    """FLOPs of one forward pass of one image, and of its first layer (which needs no input gradient)."""
    each: list[int] = []

    def note(layer: nn.Module, _: object, output: Tensor) -> None:
        each.append(2 * weights_used(layer) * (output.numel() // output.shape[1]))

    layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    mode = model.training
    try:
        with torch.inference_mode():
            model.eval()(layers[0].weight.new_zeros(1, shape[2], *shape[:2]))
    finally:
        model.train(mode)
        for hook in hooks:
            hook.remove()
    return sum(each), each[0]
