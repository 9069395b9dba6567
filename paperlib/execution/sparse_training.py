"""Training that holds only the kept weights of pruned linear layers, with their gradients and optimizer state.

Equal to masked training up to rounding: a removed weight has no gradient, momentum or decay that could move it.
"""

from copy import deepcopy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution import sparse_kernel
from paperlib.execution.compact_training import check_optimizer, per_weight
from paperlib.execution.sparse_tiles import Tiles
from paperlib.pruners import Masks

SMALL, KEPT = 200_000, 0.6  # weights; below, a step is mostly dispatch. Share of them; above, dense products win
SIDE = 128  # rows and columns of a tile for training: the activations on both sides of it fit the caches


class SparseTraining:
    """Use `.model` and `.optimizer` in an ordinary training loop, then call `scatter_back()`.

    masks: layer name -> bool (out, in), True = kept, with `model` and the state of `optimizer` masked already. All
    that is not pruned is shared with `model`; hyperparameters are read from the full optimizer before every step.
    Raises PaperlibError for masks of other than linear layers, where nothing is compiled, and for optimizers as
    `CompactTraining`.
    """

    way = "sparse"

    def __init__(self, model: nn.Module, masks: Masks, optimizer: torch.optim.Optimizer) -> None:
        check_optimizer(optimizer)
        if not sparse_kernel.available() or any(p.is_cuda for p in model.parameters()):
            raise PaperlibError("sparse training needs llvmlite and a network on the CPU: use masked execution")
        pruned = {name: model.get_submodule(name) for name in masks}
        self.full_optimizer = optimizer
        self.model = deepcopy(model, {id(t): t for t in chain(model.parameters(), model.buffers())})
        self._layers: list[tuple[Tensor, Linear]] = []
        for name, layer in pruned.items():
            if not isinstance(layer, nn.Linear):
                raise PaperlibError(
                    f"sparse training knows linear layers, not {name!r}: use compact or masked execution"
                )
            sparse = Linear(layer, masks[name])
            self.model.set_submodule(name, sparse)
            self._layers.append((layer.weight, sparse))
        for name, layer in list(self.model.named_modules()):
            if type(layer) is nn.Dropout:
                self.model.set_submodule(name, Dropout(layer.p))
        values: dict[Tensor, nn.Parameter] = {full: sparse.values for full, sparse in self._layers}
        groups = [g | {"params": [values.get(p, p) for p in g["params"]]} for g in optimizer.param_groups]
        self.optimizer: torch.optim.Optimizer = type(optimizer)(groups)  # type: ignore[call-arg]
        for p, state in optimizer.state.items():
            self.optimizer.state[values.get(p, p)] = state
        for full, sparse in self._layers:
            if state := optimizer.state.get(full):
                places = sparse.tiles.places()
                self.optimizer.state[sparse.values] = {
                    k: v.flatten()[places] if k in per_weight(state) else deepcopy(v) for k, v in state.items()
                }
        self.optimizer.register_step_pre_hook(self._before)

    def _before(self, *_: object) -> None:
        for sparse, full in zip(self.optimizer.param_groups, self.full_optimizer.param_groups, strict=True):
            sparse.update({k: v for k, v in full.items() if k != "params"})
        self.full_optimizer._opt_called = True  # type: ignore[attr-defined]  # or schedulers warn

    @torch.no_grad()
    def scatter_back(self) -> None:
        """Write weights and optimizer state into the full model and optimizer."""
        states = dict(self.optimizer.state)
        for full, sparse in self._layers:
            places = sparse.tiles.places()
            full.zero_().view(-1)[places] = sparse.values
            state = {k: deepcopy(v) for k, v in states.pop(sparse.values, {}).items()}
            for key, value in per_weight(state).items():
                state[key] = torch.zeros_like(full)
                state[key].view(-1)[places] = value
            if state:
                self.full_optimizer.state[full] = state
        self.full_optimizer.state.update(states)


def is_worth_sparse(model: nn.Module, masks: Masks) -> bool:
    """Whether masks of large linear layers alone remove at least 40 % of them: where it may be faster than masked."""
    weights, kept = sum(m.numel() for m in masks.values()), sum(int(m.sum()) for m in masks.values())
    linear = all(isinstance(model.get_submodule(name), nn.Linear) for name in masks)
    return linear and weights >= SMALL and kept <= KEPT * weights


class Linear(nn.Module):
    """A linear layer that holds its kept weights, `values`, and where they are."""

    def __init__(self, layer: nn.Linear, kept: Tensor) -> None:
        super().__init__()
        self.tiles = Tiles(kept, SIDE, SIDE)
        self.transposed = self.tiles.transposed(kept)
        self.values = nn.Parameter(layer.weight.detach().flatten()[self.tiles.places()])
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features) to (N, out_features), a transposed view: the next such layer transposes for free."""
        bias = self.values.new_zeros(self.tiles.shape[0]) if self.bias is None else self.bias
        return _Product.apply(x.to(self.values.dtype), self.values, bias, self.tiles, self.transposed)


class _Product(torch.autograd.Function):
    """Sparse matrix times dense matrix: gradients of the kept weights and of nothing else."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, values: Tensor, bias: Tensor, tiles: Tiles, transposed: Tiles) -> Tensor:
        lying = sparse_kernel.lying(x, True)
        ctx.save_for_backward(lying, values)
        ctx.tiles, ctx.transposed = tiles, transposed
        return sparse_kernel.multiply(tiles, values, bias, lying)[:, : len(x)].T

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, values = ctx.saved_tensors
        lying, n = sparse_kernel.lying(dy, True), len(dy)
        dx = None
        if ctx.needs_input_grad[0]:
            none = values.new_zeros(ctx.tiles.shape[1])
            dx = sparse_kernel.multiply(ctx.transposed, values, none, lying)[:, :n].T
        return dx, sparse_kernel.gradient(ctx.tiles, x, lying), dy.sum(0), None, None


class Dropout(nn.Dropout):
    """Dropout that draws as torch's does for activations in rows, and lays the draw as the activations lie."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1:
            return super().forward(x)
        noise = torch.empty(x.shape, dtype=x.dtype).bernoulli_(1 - self.p).div_(1 - self.p)
        return x * noise.T.contiguous().T
