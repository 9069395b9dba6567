"""Training on the compact network between two mask changes, equal to masked training on the full one.

Weights of the full network that the compact one lacks but no mask removes (columns that read a removed
filter, say) receive a zero gradient in masked training, yet momentum and weight decay still move them. That
motion needs no network: it is replayed once, when the weights are scattered back.
"""

from typing import Any

import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.compact import ParameterSlice, cut_out
from paperlib.models.graph import followers

OPTIMIZERS = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
_REFUSED = ("dampening", "amsgrad", "maximize")


def removed(model: nn.Module, masks: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameter name -> bool tensor of its shape, True where a mask removes it (filters: batch-norm too)."""
    gone: dict[str, Tensor] = {}
    parameters, pairs = dict(model.named_parameters()), followers(model)
    for layer, mask in masks.items():
        if isinstance(model.get_submodule(layer), nn.Linear):
            gone[f"{layer}.weight"] = ~mask
            continue
        for owner in filter(None, (layer, pairs[layer])):
            for name in (f"{owner}.weight", f"{owner}.bias"):
                if (full := parameters.get(name)) is not None:
                    gone[name] = (~mask).view(-1, *[1] * (full.dim() - 1)).expand_as(full)
    return gone


class CompactTraining:
    """Use `.model` and `.optimizer` in an ordinary training loop, then call `scatter_back()`.

    Hyperparameters are read from the full optimizer before every step, so schedulers stay bound to it.
    Raises PaperlibError for optimizers other than SGD, Adam and AdamW, and for their rarer options.
    """

    def __init__(self, model: nn.Module, masks: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
        if type(optimizer) not in OPTIMIZERS:
            raise PaperlibError(
                f"compact training knows SGD, Adam and AdamW, not {type(optimizer).__name__}: "
                "use one of them or masked execution"
            )
        for option in _REFUSED:
            if any(group.get(option) for group in optimizer.param_groups):
                raise PaperlibError(f"compact training does not know {option!r}: use masked execution")
        self.full, self.full_optimizer = model, optimizer
        self.model, self._cuts = cut_out(model, masks, training=True)
        self._gone = removed(model, masks)
        names = {parameter: name for name, parameter in model.named_parameters()}
        small = dict(self.model.named_parameters())
        groups: list[dict[str, Any]] = []
        for group in optimizer.param_groups:
            mine = [small[names[p]] for p in group["params"] if names.get(p) in small]
            groups.append({**group, "params": mine})
        self.optimizer: torch.optim.Optimizer = type(optimizer)(groups)  # type: ignore[call-arg]
        self._full_of = {small[name]: p for p, name in names.items() if name in small}
        self._cut_of = {p: self._cuts.get(n.rpartition(".")[0], ParameterSlice()) for n, p in small.items()}
        self._name_of = {p: n for n, p in small.items()}
        for p, full in self._full_of.items():
            if state := optimizer.state.get(full):
                self.optimizer.state[p] = {k: self._slice(p, full, k, v) for k, v in state.items()}
        # Single weights that are removed inside the compact network; only those need a mask after a step.
        takes = ((p, self._cut_of[p].take(self._gone[n])) for n, p in small.items() if n in self._gone)
        self._keep = {p: (~gone).to(p.dtype) for p, gone in takes if gone.any()}
        self._lrs: list[list[float]] = [[] for _ in groups]
        self.optimizer.register_step_pre_hook(self._before)
        self.optimizer.register_step_post_hook(self._after)

    def _slice(self, p: nn.Parameter, full: Tensor, key: str, value: object) -> object:
        if isinstance(value, Tensor) and value.shape == full.shape:
            return self._cut_of[p].take(value)
        if value is None or (isinstance(value, Tensor) and value.dim() == 0):
            return value.clone() if isinstance(value, Tensor) else value
        raise PaperlibError(f"compact training does not know the optimizer state {key!r}: use masked execution")

    def _before(self, *_: object) -> None:
        for mine, theirs in zip(self.optimizer.param_groups, self.full_optimizer.param_groups, strict=True):
            mine.update({k: v for k, v in theirs.items() if k != "params"})

    @torch.no_grad()
    def _after(self, *_: object) -> None:
        self.full_optimizer._opt_called = True  # type: ignore[attr-defined]  # or schedulers warn
        for seen, group in zip(self._lrs, self.optimizer.param_groups, strict=True):
            seen.append(float(group["lr"]))
        for p, keep in self._keep.items():
            p.mul_(keep)
            for value in self.optimizer.state[p].values():
                if isinstance(value, Tensor) and value.dim():
                    value.mul_(keep)

    @torch.no_grad()
    def scatter_back(self) -> None:
        """Write weights, batch-norm statistics and optimizer state into the full model and optimizer."""
        for group, lrs in zip(self.optimizer.param_groups, self._lrs, strict=True):
            for p in group["params"]:
                self._put(p, group, lrs)
            lrs.clear()
        statistics = dict(self.full.named_buffers())
        for name, value in self.model.named_buffers():
            if name in statistics:
                self._cuts.get(name.rpartition(".")[0], ParameterSlice()).put(statistics[name], value)

    def _put(self, p: nn.Parameter, group: dict[str, Any], lrs: list[float]) -> None:
        full, cut, state = self._full_of[p], self._cut_of[p], self.optimizer.state.get(p, {})
        target = self.full_optimizer.state[full] if state else {}
        for key, value in state.items():
            if not isinstance(value, Tensor) or value.dim() == 0:
                continue
            if target.get(key) is None:
                target[key] = torch.zeros_like(full)
        gone = self._gone.get(self._name_of[p])
        if full.shape != p.shape:
            rest = torch.ones_like(full, dtype=torch.bool)
            cut.put(rest, False)
            if gone is not None:
                rest &= ~gone
            sgd = isinstance(self.optimizer, torch.optim.SGD)
            if lrs and (sgd or state) and rest.any():
                tensors = [full, *(target[k] for k in _MOVED if isinstance(target.get(k), Tensor))]
                parts = [t[rest] for t in tensors]
                step = target.get("step", torch.zeros(()))
                (_replay_zero_grad_sgd if sgd else _idle_adam)(
                    parts, group, lrs, float(step), isinstance(self.optimizer, torch.optim.AdamW)
                )
                for tensor, part in zip(tensors, parts, strict=True):
                    tensor[rest] = part
        moved = [(full, p), *((target[k], v) for k, v in state.items() if isinstance(v, Tensor) and v.dim())]
        for tensor, part in moved:
            if gone is not None:
                tensor.masked_fill_(gone, 0)
            cut.put(tensor, part)
        for key, value in state.items():
            if not isinstance(value, Tensor) or value.dim() == 0:
                target[key] = value.clone() if isinstance(value, Tensor) else value


_MOVED = ("momentum_buffer", "exp_avg", "exp_avg_sq")


def _replay_zero_grad_sgd(parts: list[Tensor], group: dict[str, Any], lrs: list[float], _step: float, _: bool) -> None:
    """SGD on a zero gradient: linear in (weight, momentum), so all steps are one 2 x 2 matrix."""
    decay, momentum = group["weight_decay"], group["momentum"]
    total = torch.eye(2, dtype=torch.float64)
    for lr in lrs:
        buffer = torch.tensor([decay, momentum], dtype=torch.float64)
        gradient = torch.tensor([decay, 0.0], dtype=torch.float64)
        step = gradient + momentum * buffer if group["nesterov"] else buffer
        total = torch.stack([torch.tensor([1.0, 0.0], dtype=torch.float64) - lr * step, buffer]) @ total
    (a, b), (c, d) = total.tolist()
    weight = parts[0].clone()
    if len(parts) == 1:
        parts[0].mul_(a)
    else:
        parts[0].mul_(a).add_(parts[1], alpha=b)
        parts[1].mul_(d).add_(weight, alpha=c)


def _idle_adam(parts: list[Tensor], group: dict[str, Any], lrs: list[float], step: float, own: bool) -> None:
    """Adam and AdamW on a zero gradient, step by step; only decay where nothing else can move."""
    weight, first, second = parts
    (b1, b2), decay, eps = group["betas"], group["weight_decay"], group["eps"]
    decoupled = own or group.get("decoupled_weight_decay", False)
    for lr in lrs:
        step += 1
        if decoupled:
            weight.mul_(1 - lr * decay)
        gradient = 0.0 if decoupled or not decay else weight * decay
        first.mul_(b1).add_(gradient, alpha=1 - b1)
        second.mul_(b2).add_(gradient * gradient, alpha=1 - b2)
        size = (second / (1 - b2**step)).sqrt_().add_(eps)
        weight.addcdiv_(first, size, value=-lr / (1 - b1**step))
