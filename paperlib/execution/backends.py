"""One function that makes (model, masks) run for real, and one table of what each way supports."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from paperlib.core.registry import Registry
from paperlib.execution import sparse_kernel
from paperlib.execution.compact import check_masks, compact
from paperlib.execution.quantized import OnnxModel, int8
from paperlib.execution.sparse import SparseLinear, sparsify
from paperlib.schema.measurement import InferenceEngine

Network = Callable[[Tensor], Tensor]
Maker = Callable[[nn.Module, dict[str, Tensor], Tensor], Network]


@dataclass(frozen=True)
class Backend:
    """make: (model, masks, example images) -> network; exact: same outputs up to float rounding."""

    make: Maker
    exact: bool
    trains: bool  # whether trials can also train this way
    devices: tuple[str, ...]
    skips: str  # which pruned work it does not do


class Bf16(nn.Module):
    """A copy of a network in bfloat16 that takes and gives float32."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = deepcopy(model).to(torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x.to(torch.bfloat16)).float()


ANY, CPU = ("cpu", "cuda"), ("cpu",)
UNITS, WEIGHTS = "filters and neurons", "single weights of linear layers where measured faster"
BACKENDS: Registry[Backend] = Registry("execution")
for _name, _way in {
    "masked": Backend(lambda m, _, __: deepcopy(m), True, True, ANY, "nothing"),
    "compact": Backend(lambda m, k, _: compact(m, k), True, True, ANY, UNITS),
    "sparse": Backend(lambda m, _, x: sparsify(m, x)[0], True, False, CPU, WEIGHTS),
    "compact+sparse": Backend(lambda m, k, x: sparsify(compact(m, k), x)[0], True, False, CPU, f"{UNITS}, {WEIGHTS}"),
    "bf16": Backend(lambda m, _, __: Bf16(m), False, False, ANY, "nothing"),
    "compact+bf16": Backend(lambda m, k, _: Bf16(compact(m, k)), False, False, ANY, UNITS),
    "int8": Backend(lambda m, _, x: int8(m, x), False, False, CPU, "nothing"),
    "compact+int8": Backend(lambda m, k, x: int8(compact(m, k), x), False, False, CPU, UNITS),
}.items():
    BACKENDS.register(_name)(_way)


def engine_of(network: Network) -> InferenceEngine:
    """What computes a network: torch, onnxruntime, or the product that its sparse layers use here."""
    if isinstance(network, OnnxModel):
        return "onnxruntime"
    if isinstance(network, nn.Module) and any(isinstance(layer, SparseLinear) for layer in network.modules()):
        return "llvm" if sparse_kernel.compiled() else "torch-csr"
    return "torch"


def to_backend(model: nn.Module, masks: dict[str, Tensor], how: str, example: Tensor) -> Network:
    """A network for inference, made from `model` (masks applied) by one of `WAYS`; `model` is left as it is.

    `example` (N, C, H, W): real images; their number is the batch size that `sparse` chooses for, and int8
    reads its ranges off them. Raises PaperlibError for an unknown way or bad masks.
    """
    check_masks(model, masks)
    was = model.training
    try:
        network = BACKENDS[how].make(model.eval(), masks, example)
    finally:
        model.train(was)
    return network
