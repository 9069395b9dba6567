"""Perceptrons of one shape trained as one: a step takes some twenty calls, however many networks there are.

A step of a small perceptron takes torch some 300 µs, nearly all of it dispatch. Networks that take the same batches
share the matrix product of the first layer; the other layers are batched products. Forward and backward pass are
written out; updates are those of torch's own optimizers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from threading import Lock
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paperlib.execution.perceptron import StackedPass, linear_layers
from paperlib.pruners import MaskEnforcer
from paperlib.schema.measurement import TrainingEngine

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits, float (N, classes), and labels, int64 (N,), to their mean loss."""
Batches = Iterable[tuple[Tensor, Tensor]]
"""Pixels, float (N, C, H, W), and labels, int64 (N,)."""
# Their updates look at each weight alone, and leave a weight at zero whose gradient and state are zero.
ELEMENTWISE = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
_one_at_a_time = Lock()  # the global sequence is that of all threads


class RandomSource:
    """A place in a device's global random sequence, so that networks trained together draw what each would alone."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.state = device, _random_state(device)

    @contextmanager
    def active(self) -> Iterator[None]:
        """The global sequence goes on from this place inside the block, and afterwards from where it was."""
        with _one_at_a_time:
            before = _random_state(self.device)
            _set_random_state(self.device, self.state)
            try:
                yield
            finally:
                self.state = _random_state(self.device)
                _set_random_state(self.device, before)


def _random_state(device: torch.device) -> Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _set_random_state(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        torch.set_rng_state(state)


@dataclass(frozen=True, eq=False)
class Network:
    """A perceptron with its optimizer and masks; random: what its dropout draws from, None for the global source."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    enforcer: MaskEnforcer
    random: RandomSource | None = None


class StackedSteps:
    """Steps of perceptrons of one shape, with one loss, on one device, each with its own optimizer and masks.

    Parameters and optimizer state are moved into flat buffers that the networks' own tensors then view, so masks,
    swaps and checkpoints see every update. The buffers hold the layers one after the other, and in each the networks.

    shared: how many adjacent networks take the first batches given to `epoch`, how many the second, and so on.
    """

    engine: ClassVar[TrainingEngine] = "stacked"

    def __init__(self, networks: Sequence[Network], loss: Loss, shared: Sequence[int] = (1,)) -> None:
        self.networks, self.loss = networks, loss
        self.runs = [slice(*ends) for ends in pairwise(accumulate(shared, initial=0))]
        self.dropout = next((m.p for m in networks[0].model.modules() if isinstance(m, nn.Dropout)), 0.0)
        self.linear = [linear_layers(network.model) for network in networks]
        self.parameters = [[p for m in linear for p in (m.weight, m.bias)] for linear in self.linear]
        self.starts = [*accumulate((len(networks) * p.numel() for p in self.parameters[0]), initial=0)]
        self.flat = torch.cat([p.detach().flatten() for same in zip(*self.parameters, strict=True) for p in same])
        self.grad = torch.zeros_like(self.flat)
        self.weights, self.biases = self._split(self.flat)
        self.weight_grads, self.bias_grads = self._split(self.grad)
        for own, views in zip(self.parameters, zip(*self._views(self.flat), strict=True), strict=True):
            for parameter, view in zip(own, views, strict=True):
                parameter.data = view
        self.parts, self.optimizers = self._stack_optimizers()
        self.shares_state = False
        self.passes: dict[int, StackedPass] = {}

    def _views(self, flat: Tensor) -> list[Tensor]:
        """One tensor (networks, …) for each parameter of a network."""
        shapes = [(len(self.networks), *p.shape) for p in self.parameters[0]]
        parts = (flat[start:end] for start, end in pairwise(self.starts))
        return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]

    def _split(self, flat: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Weights (networks, out, in) and biases (networks, out, 1) of each layer."""
        views = self._views(flat)
        return views[::2], [bias.unsqueeze(2) for bias in views[1::2]]

    def _stack_optimizers(self) -> "tuple[list[_Part], list[_StackedOptimizer]]":
        """Parts of `flat` with the same options, as long as possible, and an optimizer of each kind on them."""
        spans: dict[str, list[tuple[int, int]]] = {}
        firsts: dict[str, torch.optim.Optimizer] = {}
        for start, parameter in zip(self.starts, self.parameters[0], strict=False):
            for place, network in enumerate(self.networks):
                group = network.optimizer.param_groups[0]
                options = f"{type(network.optimizer)} {[(n, v) for n, v in group.items() if n != 'params']}"
                firsts.setdefault(options, network.optimizer)
                same, first = spans.setdefault(options, []), start + place * parameter.numel()
                begin = same.pop()[0] if same and same[-1][1] == first else first
                same.append((begin, first + parameter.numel()))
        parts, stacked = list[_Part](), dict[type, _StackedOptimizer]()
        for options, followed in firsts.items():
            tensors = [self.flat[begin:end] for begin, end in spans[options]]
            for tensor, (begin, end) in zip(tensors, spans[options], strict=True):
                tensor.grad = self.grad[begin:end]
            group, kind = {**followed.param_groups[0], "params": tensors}, type(followed)
            if kind in stacked:
                stacked[kind].optimizer.add_param_group(group)
            else:
                make: Callable[..., torch.optim.Optimizer] = kind
                stacked[kind] = _StackedOptimizer(make([group]))
            stacked[kind].followed.append(followed)
            states = [stacked[kind].optimizer.state[tensor] for tensor in tensors]
            parts += [_Part(*span, state) for span, state in zip(spans[options], states, strict=True)]
        return parts, list(stacked.values())

    @torch.no_grad()
    def epoch(self, *batches: Batches) -> Tensor:
        """One epoch on one sequence of batches for each of `shared`; logits (networks, images, classes) of that pass.

        The learning rates are those that the networks' own optimizers have when a batch is taken.
        """
        mask, logits = self._flat_mask(), list[Tensor]()
        for parts in zip(*batches, strict=True):
            images, labels = [pixels.flatten(1) for pixels, _ in parts], [labels for _, labels in parts]
            now = self._pass(len(labels[0]))
            noise = self._dropout_noise(len(labels[0])) if self.dropout else []
            logits.append(now.forward(images, noise))
            if self.loss is F.cross_entropy:
                now.cross_entropy(labels)
            else:
                self._loss_gradient(logits[-1], labels, now)
            now.backward(images, noise)
            if mask is not None:  # weights and state were masked when the masks came; without a gradient they stay so
                self.grad.mul_(mask)
            for optimizer in self.optimizers:
                optimizer.step()
            if not self.shares_state:
                self._share_state()
                self.shares_state = True
        return torch.cat(logits, 2).transpose(1, 2)

    @torch.no_grad()
    def predict(self, batches: Batches) -> Tensor:
        """Logits (networks, images, classes) in eval mode; all networks take the same batches."""
        logits = [self._pass(len(y)).forward([x.flatten(1)] * len(self.runs), []) for x, y in batches]
        return torch.cat(logits, 2).transpose(1, 2)

    def _loss_gradient(self, logits: Tensor, labels: Sequence[Tensor], now: StackedPass) -> None:
        """The gradient of the loss by the logits, in the last of `now.deltas`."""
        with torch.enable_grad():
            for run, answers, its in zip(self.runs, now.answers, labels, strict=True):
                rows = logits[run].transpose(1, 2).flatten(0, 1).requires_grad_()
                count = len(answers)  # the loss is a mean over all of them
                gradient = torch.autograd.grad(count * self.loss(rows, its.repeat(count)), rows)[0]
                answers.copy_(gradient.view(count, -1, logits.shape[1]).transpose(1, 2))

    def _share_state(self) -> None:
        """The state of the networks' own optimizers views that of the stacked ones."""
        for start, block in zip(self.starts, zip(*self.parameters, strict=True), strict=False):
            for place, (network, parameter) in enumerate(zip(self.networks, block, strict=True)):
                first = start + place * parameter.numel()
                part = next(part for part in self.parts if part.start <= first < part.end)
                network.optimizer.state[parameter] = {
                    name: value[first - part.start :][: parameter.numel()].view(parameter.shape)
                    for name, value in part.elementwise()
                }

    def _flat_mask(self) -> Tensor | None:
        """1 for each parameter that is kept, 0 for the removed ones, in the order of `flat`; None without any mask."""
        if not any(network.enforcer.masks for network in self.networks):
            return None
        mask = torch.ones_like(self.flat)
        views, _ = self._split(mask)
        for place, (network, linear) in enumerate(zip(self.networks, self.linear, strict=True)):
            for layer in network.enforcer.layers:
                if layer.name in network.enforcer.masks:
                    views[[id(m) for m in linear].index(id(layer.module))][place] = network.enforcer.masks[layer.name]
        return mask

    def _dropout_noise(self, images: int) -> list[Tensor]:
        """For each hidden layer (networks, units, images): 0 or 1 / (1 - p), as nn.Dropout draws for each network."""
        widths = [m.out_features for m in self.linear[0][:-1]]
        noise = [self.flat.new_empty(len(self.networks), width, images) for width in widths]
        for place, network in enumerate(self.networks):
            with network.random.active() if network.random else nullcontext():
                for layer in noise:
                    layer[place] = F.dropout(self.flat.new_ones(images, layer.shape[1]), self.dropout).t()
        return noise

    def _pass(self, images: int) -> StackedPass:
        if images not in self.passes:
            self.passes[images] = StackedPass(
                self.weights, self.biases, self.weight_grads, self.bias_grads, self.runs, images
            )
        return self.passes[images]


@dataclass(frozen=True, eq=False)
class _Part:
    """Elements `start` to `end` of the flat buffers, and the optimizer's state of them."""

    start: int
    end: int
    state: dict[str, object]

    def elementwise(self) -> Iterator[tuple[str, Tensor]]:
        """Name and tensor (end - start,) of what the state holds for each element."""
        return ((name, value) for name, value in self.state.items() if isinstance(value, Tensor) and value.dim())


@dataclass(frozen=True, eq=False)
class _StackedOptimizer:
    """A torch optimizer whose groups take their learning rates from other optimizers.

    fused: for SGD, what the kernel of a step takes for each group; the way there through torch.optim takes 20 µs.
    """

    optimizer: torch.optim.Optimizer
    followed: list[torch.optim.Optimizer] = field(default_factory=list)
    fused: list[Callable[..., object]] = field(default_factory=list)

    def step(self) -> None:
        if self.fused:
            for update, followed in zip(self.fused, self.followed, strict=True):
                update(lr=followed.param_groups[0]["lr"])
            return
        for group, followed in zip(self.optimizer.param_groups, self.followed, strict=True):
            group["lr"] = followed.param_groups[0]["lr"]
        self.optimizer.step()
        if isinstance(self.optimizer, torch.optim.SGD):  # whose first step has made its state
            self.fused.extend(_fused_sgd(group, self.optimizer.state) for group in self.optimizer.param_groups)


def _fused_sgd(group: dict[str, Any], state: Mapping[Tensor, dict[str, Tensor]]) -> Callable[..., object]:
    params, options = group["params"], ("weight_decay", "momentum", "dampening", "nesterov", "maximize")
    momenta = [state[p]["momentum_buffer"] for p in params] if group["momentum"] else []
    given = {name: group[name] for name in options}
    return partial(torch._fused_sgd_, params, [p.grad for p in params], momenta, is_first_step=False, **given)
