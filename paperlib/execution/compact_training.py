"""Training on the compact network between two mask changes, equal to masked training on the full one.

Weights of the full network that the compact one lacks but no mask removes (columns that read a removed
filter, say) receive a zero gradient in masked training, yet momentum and weight decay still move them. That
motion needs no network: it is replayed once, when the weights are scattered back.
"""

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.channels import ParameterSlice
from paperlib.execution.compact import cut_out
from paperlib.pruners import Layer, Masks

OPTIMIZERS = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
_REFUSED = ("dampening", "amsgrad", "maximize")
STILL = 1e-15
_MOVED = ("momentum_buffer", "exp_avg", "exp_avg_sq")


def check_optimizer(optimizer: torch.optim.Optimizer) -> None:
    """PaperlibError unless it is SGD, Adam or AdamW without their rarer options."""
    if type(optimizer) not in OPTIMIZERS:
        raise PaperlibError(
            f"compact training knows SGD, Adam and AdamW, not {type(optimizer).__name__}: "
            "use one of them or masked execution"
        )
    for option in _REFUSED:
        if any(group.get(option) for group in optimizer.param_groups):
            raise PaperlibError(f"compact training does not know {option!r}: use masked execution")


class CompactTraining:
    """Use `.model` and `.optimizer` in an ordinary training loop, then call `scatter_back()`.

    layers: of `model`. masks: as in `compact`, with `model` and the state of `optimizer` masked already.
    Hyperparameters are read from the full optimizer before every step, so schedulers stay bound to it. What
    `scatter_back` leaves in the full model and optimizer is what masked training would have left, up to rounding.
    Raises PaperlibError for optimizers other than SGD, Adam and AdamW, for their rarer options, and as `compact`.
    """

    way = "compact"

    def __init__(
        self, model: nn.Module, layers: Sequence[Layer], masks: Masks, optimizer: torch.optim.Optimizer
    ) -> None:
        check_optimizer(optimizer)
        self.full, self.full_optimizer = model, optimizer
        self.model, self._slices = cut_out(model, masks, training=True)
        names = {parameter: name for name, parameter in model.named_parameters()}
        small = dict(self.model.named_parameters())
        groups = [
            group | {"params": [small[names[p]] for p in group["params"] if names.get(p) in small]}
            for group in optimizer.param_groups
        ]
        self.optimizer: torch.optim.Optimizer = type(optimizer)(groups)  # type: ignore[call-arg]
        removed_parts = {
            tensor: layer.broadcast_mask(masks[layer.name], tensor) == 0
            for layer in layers
            if layer.name in masks
            for tensor in layer.tensors()
        }
        # Of each parameter of the compact network: the full one, the slice of it, and what masks remove of it.
        self._counterparts: dict[Tensor, tuple[nn.Parameter, ParameterSlice, Tensor | None]] = {
            small[name]: (full, self._slice_of(name), removed_parts.get(full))
            for full, name in names.items()
            if name in small
        }
        # Single weights that are removed inside the compact network; only those need a mask after a step.
        self._keep: dict[Tensor, Tensor] = {}
        for p, (full, part, removed_part) in self._counterparts.items():
            if state := optimizer.state.get(full):
                self.optimizer.state[p] = {k: _compact_state(part, full, k, v) for k, v in state.items()}
            if removed_part is not None and (inside := part.take(removed_part)).any():
                self._keep[p] = (~inside).to(p.dtype)
        self._lrs: list[list[float]] = [[] for _ in groups]
        self.optimizer.register_step_pre_hook(self._before)
        self.optimizer.register_step_post_hook(self._after)

    def _slice_of(self, name: str) -> ParameterSlice:
        return self._slices.get(name.rpartition(".")[0], ParameterSlice())

    def _before(self, *_: object) -> None:
        for compact, full in zip(self.optimizer.param_groups, self.full_optimizer.param_groups, strict=True):
            compact.update({k: v for k, v in full.items() if k != "params"})

    @torch.no_grad()
    def _after(self, *_: object) -> None:
        self.full_optimizer._opt_called = True  # type: ignore[attr-defined]  # or schedulers warn
        for lrs, group in zip(self._lrs, self.optimizer.param_groups, strict=True):
            lrs.append(float(group["lr"]))
        for p, keep in self._keep.items():
            for value in (p, *per_weight(self.optimizer.state[p]).values()):
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
                self._slice_of(name).put(statistics[name], value)

    def _put(self, p: nn.Parameter, group: dict[str, Any], lrs: list[float]) -> None:
        full, part, removed_part = self._counterparts[p]
        state = self.optimizer.state.get(p, {})
        moments = per_weight(state)
        target = self.full_optimizer.state[full] if state else {}
        for key in moments:
            if target.get(key) is None:
                target[key] = torch.zeros_like(full)
        if full.shape != p.shape:
            rest = torch.ones_like(full, dtype=torch.bool)
            part.put(rest, False)
            if removed_part is not None:
                rest &= ~removed_part
            sgd = isinstance(self.optimizer, torch.optim.SGD)
            if lrs and (sgd or state) and rest.any():
                tensors = [full, *(target[k] for k in _MOVED if isinstance(target.get(k), Tensor))]
                values = [tensor[rest] for tensor in tensors]
                replay = _replay_zero_grad_sgd if sgd else _replay_zero_grad_adam
                replay(values, group, lrs, float(target.get("step", 0)))
                for tensor, value in zip(tensors, values, strict=True):
                    tensor[rest] = value
        for tensor, value in [(full, p), *((target[key], value) for key, value in moments.items())]:
            if removed_part is not None:
                tensor.masked_fill_(removed_part, 0)
            part.put(tensor, value)
        for key in state.keys() - moments.keys():
            target[key] = deepcopy(state[key])


def per_weight(state: dict[str, Any]) -> dict[str, Tensor]:
    """What an optimizer's state of a parameter holds for each of its weights."""
    return {key: value for key, value in state.items() if isinstance(value, Tensor) and value.dim()}


def _compact_state(part: ParameterSlice, full: Tensor, key: str, value: object) -> object:
    if isinstance(value, Tensor) and value.shape == full.shape:
        return part.take(value)
    if value is None or (isinstance(value, Tensor) and value.dim() == 0):
        return deepcopy(value)
    raise PaperlibError(f"compact training does not know the optimizer state {key!r}: use masked execution")


def _replay_zero_grad_sgd(values: list[Tensor], group: dict[str, Any], lrs: list[float], _step: float) -> None:
    """SGD on a zero gradient: linear in (weight, momentum), so all steps are one 2 x 2 matrix.

    values: the weights and, if there is one, their momentum; changed in place.
    """
    decay, momentum = group["weight_decay"], group["momentum"]
    buffer, gradient = torch.tensor([[decay, momentum], [decay, 0.0]], dtype=torch.float64)
    step = gradient + momentum * buffer if group["nesterov"] else buffer
    identity = total = torch.eye(2, dtype=torch.float64)
    for lr in lrs:
        total = torch.stack([identity[0] - lr * step, buffer]) @ total
    (a, b), (c, d) = total.tolist()
    weight = values[0].clone()
    values[0].mul_(a)
    if len(values) > 1:
        values[0].add_(values[1], alpha=b)
        values[1].mul_(d).add_(weight, alpha=c)


def _replay_zero_grad_adam(values: list[Tensor], group: dict[str, Any], lrs: list[float], step: float) -> None:
    """Adam and AdamW on a zero gradient; values (weights, two moments) change in place.

    Where no gradient arrives, the first moment fades against the root of the second: a weight stands still once it
    moves by less than STILL learning rates a step, and only decays from then on. So few weights move, for few steps.
    """
    _, first, second = values
    (b1, b2), decay, eps = group["betas"], group["weight_decay"], group["eps"]
    decoupled = group["decoupled_weight_decay"]  # AdamW
    fading = b1 / b2**0.5
    if (decay and not decoupled) or fading >= 1:
        _adam_steps(values, group, lrs, step)
        return
    moving = first.abs() > STILL * (second.sqrt() + eps)
    parts = [tensor[moving] for tensor in values]
    last = math.ceil(math.log(STILL) / math.log(fading)) if fading else 1
    _adam_steps(parts, group, lrs[:last], step)
    _fade(parts, group, lrs[last:])
    _fade(values, group, lrs)
    for tensor, part in zip(values, parts, strict=True):
        tensor[moving] = part


def _fade(values: list[Tensor], group: dict[str, Any], lrs: list[float]) -> None:
    """The same for weights that stand still but for their decay, in one step."""
    (b1, b2), decay = group["betas"], group["weight_decay"]
    for tensor, factor in zip(
        values, (math.prod(1 - lr * decay for lr in lrs), b1 ** len(lrs), b2 ** len(lrs)), strict=True
    ):
        tensor.mul_(factor)


def _adam_steps(values: list[Tensor], group: dict[str, Any], lrs: list[float], step: float) -> None:
    weight, first, second = values
    (b1, b2), decay, eps = group["betas"], group["weight_decay"], group["eps"]
    decoupled = group["decoupled_weight_decay"]
    for lr in lrs:
        step += 1
        if decoupled:
            weight.mul_(1 - lr * decay)
        gradient = 0.0 if decoupled or not decay else weight * decay
        first.mul_(b1).add_(gradient, alpha=1 - b1)
        second.mul_(b2).add_(gradient * gradient, alpha=1 - b2)
        size = (second / (1 - b2**step)).sqrt_().add_(eps)
        weight.addcdiv_(first, size, value=-lr / (1 - b1**step))
