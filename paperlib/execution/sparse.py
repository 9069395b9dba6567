"""Linear layers as sparse matrices where that is faster, decided by measurement on real activations."""

import time
import timeit
import warnings
from collections.abc import Callable, Iterable
from copy import deepcopy
from statistics import median
from typing import cast

import torch
from torch import Tensor, nn

from paperlib.execution import sparse_kernel
from paperlib.execution.sparse_tiles import Tiles

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
HEIGHT = 256  # rows of a tile: their outputs stay in the second-level cache, and threads share the tiles out
ROUNDS = 9  # of a layer's timing, of which CSR must win all but one: of equal layers 1 in 51 does


class SparseLinear(nn.Module):
    """A linear layer for inference that stores and multiplies only its non-zero weights, with a ReLU if `relu`.

    By the kernel where it can be compiled and the layer is float32 or float64 on the CPU, else by torch's CSR
    product. batch: the number of images that its tiles are made for; others work, too.
    """

    values: Tensor
    bias: Tensor
    starts: Tensor
    columns: Tensor

    def __init__(self, layer: nn.Linear, batch: int = 64) -> None:
        super().__init__()
        weight, self.relu = layer.weight.detach(), False
        bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias
        self.register_buffer("bias", bias.detach().clone())
        self.compiled = sparse_kernel.available() and not weight.is_cuda and weight.dtype in sparse_kernel.ELEMENTS
        if self.compiled:
            kept = weight != 0
            self.tiles = Tiles(kept, HEIGHT, sparse_kernel.tile_width(batch, float(kept.float().mean())))
            self.register_buffer("values", weight.flatten()[self.tiles.places()])
        else:
            csr = weight.to_sparse_csr()
            self.shape = weight.shape
            self.register_buffer("starts", csr.crow_indices().int())  # MKL's own index type: no conversion
            self.register_buffer("columns", csr.col_indices().int())
            self.register_buffer("values", csr.values().clone())

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features) to (N, out_features), a transposed view: the next such layer transposes for free."""
        if self.compiled:
            return _multiplied([self], x)
        matrix = torch.sparse_csr_tensor(self.starts, self.columns, self.values, self.shape, check_invariants=False)
        product = torch.addmm(self.bias[:, None].expand(-1, len(x)), matrix, x.T.contiguous()).T
        return product.relu_() if self.relu else product


class SparseChain(nn.Sequential):
    """Compiled sparse layers, each on what the one before gave: one call, since calls cost more than small layers."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features of the first) to (N, out_features of the last), a transposed view."""
        return _multiplied(cast(Iterable[SparseLinear], self), x)


def _multiplied(layers: Iterable[SparseLinear], x: Tensor) -> Tensor:
    lying = sparse_kernel.lying(x)
    for layer in layers:
        tiles, values, bias = layer._modules["tiles"], layer._buffers["values"], layer._buffers["bias"]  # found fast
        assert isinstance(tiles, Tiles) and values is not None and bias is not None
        lying = sparse_kernel.multiply(tiles, values, bias, lying, layer.relu)
    return lying.T if lying.shape[1] == len(x) else lying[:, : len(x)].T


def best_time(run: Callable[[], object], repeats: int = 7) -> float:
    """The shortest of a few runs in seconds, after one run that is not counted."""
    run()
    return min(timeit.repeat(run, number=1, repeat=repeats))


def gain_of(
    sparse: Callable[[], object], dense: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> tuple[float, bool]:
    """Median speed-up of `sparse` over `dense` in alternation, and whether it is beyond noise: in all ROUNDS but one.

    One may be lost, since other work on the machine stops even the faster of the two now and then.
    """
    gains = list[float]()
    for _ in range(ROUNDS + 1):  # the first does not count
        times = [clock()]
        for run in (sparse, dense):
            run()
            times.append(clock())
        gains.append((times[2] - times[1]) / (times[1] - times[0]))
    return median(gains[1:]), sorted(gains[1:])[1] > 1


@torch.inference_mode()
def sparsify(model: nn.Module, example: Tensor) -> tuple[nn.Module, dict[str, float]]:
    """A copy for inference with CSR layers where they win beyond noise; and CSR's speed-up, per linear layer.

    example: float (N, C, H, W), of the batch size for which the choice is made; at batch 1 dense mostly wins.
    """
    result, gains = deepcopy(model).eval(), dict[str, float]()
    for name, dense in [(n, m) for n, m in result.named_modules() if isinstance(m, nn.Linear)]:
        inputs: list[Tensor] = []  # as they lie behind the layers before, which may be sparse by now
        hook = dense.register_forward_pre_hook(lambda _, args, to=inputs: to.append(args[0].clone()))
        result(example)
        hook.remove()
        if inputs:
            x, csr = inputs[0], SparseLinear(dense, len(inputs[0]))
            gains[name], wins = gain_of(lambda: csr(x), lambda: dense(x))  # noqa: B023 - called here
            if wins:
                result.set_submodule(name, csr)
    _chain(result)
    return result, gains


def _chain(model: nn.Module) -> None:
    """Fold ReLUs into the sparse layers before them, and join layers that follow each other into chains."""
    for parent in [m for m in model.modules() if type(m) is nn.Sequential]:
        chain: tuple[str, list[SparseLinear]] | None = None
        for name, module in list(parent.named_children()):
            if isinstance(module, SparseLinear) and module.compiled:
                chain = chain or (name, [])
                chain[1].append(module)
                parent.set_submodule(chain[0], SparseChain(*chain[1]))
                if name != chain[0]:
                    delattr(parent, name)
            elif chain and type(module) is nn.ReLU:
                chain[1][-1].relu = True
                delattr(parent, name)
            elif chain and type(module) in {nn.Dropout, nn.Identity}:
                delattr(parent, name)
            else:
                chain = None
