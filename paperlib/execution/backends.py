"""The backends that run (model, masks) for real, and what each of them supports."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from paperlib.core.registry import Registry
from paperlib.execution.compact import check_masks, to_compact
from paperlib.execution.quantized import int8
from paperlib.execution.runtimes import OnnxModel, OpenVinoModel, RuntimeModel, to_onnx, to_runtime_compact
from paperlib.execution.sparse import SparseLinear, sparsify
from paperlib.schema.measurement import InferenceEngine

Network = Callable[[Tensor], Tensor]
"""Float images (N, C, H, W) -> float32 logits (N, classes)."""


@dataclass(frozen=True)
class Backend:
    """One way to compute a pruned network; what each does not compute stands in docs/measuring.md.

    make: (model in eval mode with masks applied, masks, example images) -> network; it leaves the model as it is.
    exact: same outputs up to float rounding. devices: where the network can run.
    """

    make: Callable[[nn.Module, dict[str, Tensor], Tensor], Network]
    exact: bool
    devices: tuple[str, ...]


class Bf16(nn.Module):
    """A copy of a network in bfloat16 that takes and gives float32."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = deepcopy(model).to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.to(torch.bfloat16)).float()


ANY, CPU = ("cpu", "cuda"), ("cpu",)
BACKENDS: Registry[Backend] = Registry("execution")
for _name, _backend in {
    "masked": Backend(lambda model, *_: deepcopy(model), True, ANY),
    "compact": Backend(lambda model, masks, _: to_compact(model, masks), True, ANY),
    "sparse": Backend(lambda model, _, images: sparsify(model, images)[0], True, CPU),
    "compact+sparse": Backend(lambda model, masks, images: sparsify(to_compact(model, masks), images)[0], True, CPU),
    "bf16": Backend(lambda model, *_: Bf16(model), False, ANY),
    "compact+bf16": Backend(lambda model, masks, _: Bf16(to_compact(model, masks)), False, ANY),
    "int8": Backend(lambda model, _, images: int8(model, images), False, CPU),
    "onnxruntime": Backend(lambda model, _, images: OnnxModel(to_onnx(model, images)), True, CPU),
    "openvino": Backend(lambda model, _, images: OpenVinoModel(to_onnx(model, images)), True, CPU),
    "openvino+bf16": Backend(lambda model, _, images: OpenVinoModel(to_onnx(model, images), None, "bf16"), False, CPU),
}.items():
    BACKENDS.register(_name)(_backend)


def _of_compact(make: Callable[[nn.Module, dict[str, Tensor], Tensor], Network]) -> Callable[..., Network]:
    return lambda model, masks, images: make(to_runtime_compact(model, masks), {}, images)


for _name in ("int8", "onnxruntime", "openvino", "openvino+bf16"):
    _of_dense = BACKENDS[_name]
    BACKENDS.register(f"compact+{_name}")(replace(_of_dense, make=_of_compact(_of_dense.make)))


def engine_of(network: Network) -> InferenceEngine:
    """What computes a network: torch, a runtime with its version, or the product that its sparse layers use."""
    if isinstance(network, RuntimeModel):
        return network.engine
    if isinstance(network, nn.Module):
        for layer in network.modules():
            if isinstance(layer, SparseLinear):
                return "llvm" if layer.compiled else "torch-csr"
    return "torch"


def to_backend(model: nn.Module, masks: dict[str, Tensor], backend: str, images: Tensor) -> Network:
    """A network for inference, made from `model` (masks applied) by one of `BACKENDS`; `model` is left as it is.

    masks: layer name -> bool, True = kept; (out, in) for linear layers, (out_channels,) for convolutions.
    images: real ones, normalised, float (N, C, H, W); N is the batch size that `sparse` chooses its layers for, and
    int8 reads its ranges off them. Raises PaperlibError for an unknown backend, bad masks, a network that compact
    cannot follow, and int8 and runtimes without their packages.
    """
    check_masks(model, masks)
    was_training = model.training
    try:
        return BACKENDS[backend].make(model.eval(), masks, images)
    finally:
        model.train(was_training)
