"""Linear layers as sparse matrices where that is faster, decided by measurement on real activations."""

import timeit
import warnings
from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

from paperlib.execution import sparse_kernel

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")


class SparseLinear(nn.Module):
    """A linear layer for inference that stores and multiplies only its non-zero weights.

    By the register-blocked kernel where it is there and the layer is float32 on the CPU, else by torch's CSR product.
    """

    starts: Tensor
    columns: Tensor
    values: Tensor
    bias: Tensor

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.inputs = layer.in_features
        csr = layer.weight.detach().to_sparse_csr()
        self.register_buffer("starts", csr.crow_indices().int())  # MKL's own index type: no conversion
        self.register_buffer("columns", csr.col_indices().int())
        self.register_buffer("values", csr.values().clone())
        bias = layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
        self.register_buffer("bias", bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features) to (N, out_features), a transposed view: the next such layer transposes for free."""
        float32_on_cpu = self.values.device.type == "cpu" and self.values.dtype == x.dtype == torch.float32
        if float32_on_cpu and sparse_kernel.compiled():
            return sparse_kernel.multiply(self.starts, self.columns, self.values, self.bias, x.T).T
        matrix = torch.sparse_csr_tensor(
            self.starts, self.columns, self.values, (len(self.bias), self.inputs), check_invariants=False
        )
        return torch.addmm(self.bias[:, None].expand(-1, len(x)), matrix, x.T.contiguous()).T


def best_time(run: Callable[[], object], repeats: int = 7) -> float:
    """The shortest of a few runs in seconds, after one run that is not counted."""
    run()
    return min(timeit.repeat(run, number=1, repeat=repeats))


@torch.inference_mode()
def sparsify(model: nn.Module, example: Tensor) -> tuple[nn.Module, dict[str, float]]:
    """A copy for inference with CSR layers where they win; and CSR's speed-up over dense, per linear layer.

    example: float (N, C, H, W), of the batch size for which the choice is made; at batch 1 dense mostly wins.
    """
    result = deepcopy(model).eval()
    inputs: dict[str, Tensor] = {}
    layers = {n: m for n, m in result.named_modules() if isinstance(m, nn.Linear)}
    hooks = [
        layer.register_forward_pre_hook(lambda _, args, name=name: inputs.update({name: args[0].clone()}))
        for name, layer in layers.items()
    ]
    result(example)
    for hook in hooks:
        hook.remove()
    gains: dict[str, float] = {}
    for name, x in inputs.items():
        dense, csr = layers[name], SparseLinear(layers[name])
        gains[name] = best_time(lambda: dense(x)) / best_time(lambda: csr(x))  # noqa: B023 - called here
        if gains[name] > 1:
            result.set_submodule(name, csr)
    return result, gains
