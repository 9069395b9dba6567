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
SHARE = 0.05  # of a network's parameters that must go
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
        _fold(self.model)
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
    """Whether masks of large linear layers alone remove 40 % of them and 5 % of the network: where it may be faster."""
    weights, kept = sum(m.numel() for m in masks.values()), sum(int(m.sum()) for m in masks.values())
    linear = all(isinstance(model.get_submodule(name), nn.Linear) for name in masks)
    removes = weights - kept >= SHARE * sum(p.numel() for p in model.parameters())
    return linear and weights >= SMALL and kept <= KEPT * weights and removes


def _fold(model: nn.Module) -> None:
    """Let sparse layers do the ReLU and the dropout behind them; other dropouts draw for activations in rows."""
    for parent in [m for m in model.modules() if isinstance(m, nn.Sequential)]:
        children = [*parent.named_children(), ("", nn.Identity()), ("", nn.Identity())]
        for (_, layer), (relu, after), (dropout, last) in zip(children, children[1:], children[2:], strict=False):
            if isinstance(layer, Linear) and type(after) is nn.ReLU:
                layer.relu = True
                parent.set_submodule(relu, nn.Identity())
                if type(last) is nn.Dropout and last.p < 1:
                    layer.dropout = last.p
                    parent.set_submodule(dropout, nn.Identity())
    for name, layer in list(model.named_modules()):
        if type(layer) is nn.Dropout:
            model.set_submodule(name, Dropout(layer.p))


class Linear(nn.Module):
    """A linear layer that holds its kept weights, `values`, and where they are; does the ReLU and dropout behind it."""

    def __init__(self, layer: nn.Linear, kept: Tensor) -> None:
        super().__init__()
        self.relu, self.dropout = False, 0.0
        few = 12 * int(kept.sum()) < kept.numel()  # weights in a row of a tile: wider ones then
        self.tiles = Tiles(kept, SIDE, 2 * SIDE if few else SIDE)
        self.transposed = self.tiles.transposed(kept)
        self.values = nn.Parameter(layer.weight.detach().flatten()[self.tiles.places()])
        self.bias = layer.bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_features) to (N, out_features), a transposed view: the next such layer transposes for free."""
        bias = self.values.new_zeros(self.tiles.shape[0]) if self.bias is None else self.bias
        dropout = self.dropout if self.training else 0.0
        x = x.to(self.values.dtype)
        return _Product.apply(x, self.values, bias, self.tiles, self.transposed, self.relu, dropout)


class _Product(torch.autograd.Function):
    """Sparse matrix times dense matrix: gradients of the kept weights and of nothing else."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, values: Tensor, bias: Tensor, tiles: Tiles, transposed: Tiles, relu: bool, dropout: float
    ) -> Tensor:
        lying, n = sparse_kernel.lying(x, True), len(x)
        y = sparse_kernel.multiply(tiles, values, bias, lying, relu)
        if dropout:
            y.mul_(sparse_kernel.lying(_draw(n, len(y), dropout, y), True))
        ctx.save_for_backward(lying, values, y if relu else None)
        ctx.tiles, ctx.transposed, ctx.dropout = tiles, transposed, dropout
        return y[:, :n].T

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, values, y = ctx.saved_tensors
        lying, n, dx = sparse_kernel.lying(dy, True), len(dy), None
        if y is not None:  # zero where the ReLU or the dropout left nothing
            lying = torch.ops.aten.threshold_backward(lying, y, 0)
        if ctx.dropout:
            lying.div_(1 - ctx.dropout)
        if ctx.needs_input_grad[0]:
            none = values.new_zeros(ctx.tiles.shape[1])
            dx = sparse_kernel.multiply(ctx.transposed, values, none, lying)[:, :n].T
        return dx, sparse_kernel.gradient(ctx.tiles, x, lying), lying.sum(1), None, None, None, None


def _draw(n: int, features: int, dropout: float, like: Tensor) -> Tensor:
    """What torch's dropout would multiply activations (N, F) by."""
    return like.new_empty(n, features).bernoulli_(1 - dropout).div_(1 - dropout)


class Dropout(nn.Dropout):
    """Dropout that draws as torch's does for activations in rows, and lays the draw as the activations lie."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1 or x.dim() != 2:
            return super().forward(x)
        return x * _draw(len(x), x.shape[1], self.p, x).T.contiguous().T
