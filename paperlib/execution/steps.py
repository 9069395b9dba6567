"""Training steps of one network alone: torch's autograd for every network, plain NumPy for a small MLP on the CPU.

A step of a small MLP takes torch some 300 µs, nearly all of it dispatch; the same arithmetic as some thirty
NumPy calls on flat buffers takes a third or less. The torch calls of a stack of one (`stacked`) take twice as long.
"""

from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.compact import is_worth_compacting
from paperlib.execution.compact_training import CompactTraining
from paperlib.execution.perceptron import is_perceptron
from paperlib.execution.stacked import Batches, Loss
from paperlib.pruners import MaskEnforcer
from paperlib.schema.measurement import TrainingEngine

Floats = NDArray[np.floating]
SMALL = 200_000  # parameters; above, arithmetic outweighs dispatch


class Steps(Protocol):
    """Trains one epoch on the batches and returns the logits of that pass, float (images, classes)."""

    engine: ClassVar[TrainingEngine]

    def epoch(self, batches: Batches) -> Tensor: ...


def is_small_mlp(model: nn.Module) -> bool:
    """Flatten, then linear layers with ReLU between and nothing else, below 200,000 parameters."""
    no_dropout = not any(isinstance(m, nn.Dropout) for m in model.modules())
    return no_dropout and is_perceptron(model) and sum(p.numel() for p in model.parameters()) < SMALL


def steps_for(
    model: nn.Module, optimizer: torch.optim.Optimizer, enforcer: MaskEnforcer, loss: Loss, bf16: bool = False
) -> Steps:
    """The fastest steps that compute the very same update (to float32 rounding); `bf16`: under autocast."""
    plain_sgd = isinstance(optimizer, torch.optim.SGD) and not (
        optimizer.defaults["nesterov"] or optimizer.defaults["dampening"] or optimizer.defaults["maximize"]
    )
    on_cpu = all(p.device.type == "cpu" and p.dtype == torch.float32 for p in model.parameters())
    if plain_sgd and on_cpu and not bf16 and loss is nn.functional.cross_entropy and is_small_mlp(model):
        return NumpySteps(model, optimizer, enforcer)
    return TorchSteps(model, optimizer, enforcer, loss, bf16)


@dataclass
class TorchSteps:
    """Forward, backward, optimiser, masks: any network, optimiser, loss and device."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    enforcer: MaskEnforcer
    loss: Loss
    bf16: bool = False
    engine: ClassVar[TrainingEngine] = "torch"

    def epoch(self, batches: Batches) -> Tensor:
        logits = []
        for pixels, labels in batches:
            with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.bf16):
                output = self.model(pixels)
            output = output.float() if self.bf16 else output
            self.loss(output, labels).backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.enforcer.after_step()
            logits.append(output.detach())
        return torch.cat(logits)


class CompactSteps:
    """TorchSteps on the compact network, epoch by epoch, where that pays and can be followed; else on the full one.

    epochs: how many ran on the compact network.
    """

    engine: ClassVar[TrainingEngine] = "torch"

    def __init__(self, full: TorchSteps) -> None:
        self.full, self.epochs = full, 0
        self._refused: object = None

    def epoch(self, batches: Batches) -> Tensor:
        training = self._compact_training()
        if training is None:
            return self.full.epoch(batches)
        # The compact training masks by itself what is left to mask.
        enforcer = MaskEnforcer([], training.optimizer)
        small = replace(self.full, model=training.model, optimizer=training.optimizer, enforcer=enforcer)
        logits = small.epoch(batches)
        training.scatter_back()
        self.epochs += 1
        return logits

    def _compact_training(self) -> CompactTraining | None:
        layers, masks = self.full.enforcer.layers, self.full.enforcer.masks
        if not masks or masks is self._refused:
            return None
        try:
            training = CompactTraining(self.full.model, layers, masks, self.full.optimizer)
            if is_worth_compacting(training.model, self.full.model):
                return training
        except PaperlibError:  # a layer or an optimizer that it cannot follow
            pass
        self._refused = masks
        return None


class NumpySteps:
    """SGD (momentum, weight decay) on the cross-entropy of a small MLP, in NumPy on torch's own memory.

    Parameters and momentum are moved into flat buffers that the torch tensors then view, so masks, swaps
    and checkpoints see every update.
    """

    engine: ClassVar[TrainingEngine] = "numpy"

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, enforcer: MaskEnforcer) -> None:
        self.enforcer = enforcer
        group = optimizer.param_groups[0]
        self.group, self.momentum, self.decay = group, group["momentum"], group["weight_decay"]
        self.linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
        parameters = [p for m in self.linear for p in (m.weight, m.bias)]
        size, self.dtype = sum(p.numel() for p in parameters), parameters[0].detach().numpy().dtype
        self.flat, self.grad, self.velocity = (np.zeros(size, self.dtype) for _ in range(3))
        self.scratch = np.empty(size, self.dtype)
        self.ones = np.ones(0, self.dtype)
        self.weights: list[Floats] = []
        self.grads: list[Floats] = []
        start = 0
        for parameter in parameters:
            part = slice(start, start := start + parameter.numel())
            shape = tuple(parameter.shape)
            self.flat[part] = parameter.detach().numpy().ravel()
            parameter.data = torch.from_numpy(self.flat[part]).view(shape)
            self.weights.append(self.flat[part].reshape(shape))
            self.grads.append(self.grad[part].reshape(shape))
            if self.momentum:
                optimizer.state[parameter]["momentum_buffer"] = torch.from_numpy(self.velocity[part]).view(shape)

    def epoch(self, batches: Batches) -> Tensor:
        mask = self._flat_mask()
        classes = self.linear[-1].out_features
        one_hot = np.eye(classes, dtype=self.dtype)
        logits: list[Floats] = []
        buffers: dict[int, list[Floats]] = {}
        for pixels, labels in batches:
            n = len(labels)
            if n not in buffers:
                widths = [m.out_features for m in self.linear]
                self.ones = np.ones(max(n, classes, len(self.ones)), self.dtype)
                buffers[n] = [np.empty((n, w), self.dtype) for w in [*widths[:-1], *widths]]
            logits.append(np.empty((n, classes), self.dtype))
            with np.errstate(over="ignore", invalid="ignore"):  # a diverged training is told by its loss
                self._step(pixels.numpy().reshape(n, -1), one_hot[labels.numpy()], logits[-1], buffers[n])
            if mask is not None:
                np.multiply(self.flat, mask, out=self.flat)
                np.multiply(self.velocity, mask, out=self.velocity)
        return torch.from_numpy(np.concatenate(logits))

    def _flat_mask(self) -> Floats | None:
        """1 for each parameter that is kept, 0 for the removed ones, in the order of the flat buffers."""
        if not self.enforcer.masks:
            return None
        masks = {layer.module: self.enforcer.masks.get(layer.name) for layer in self.enforcer.layers}
        parts = []
        for module in self.linear:
            mask = masks.get(module)
            weight = torch.ones_like(module.weight) if mask is None else mask
            parts += [weight.detach().numpy().ravel(), np.ones(module.bias.numel())]
        return np.concatenate(parts).astype(self.dtype)

    def _step(self, x: Floats, target: Floats, out: Floats, buffers: list[Floats]) -> None:
        depth = len(self.linear)
        hidden, deltas = buffers[: depth - 1], buffers[depth - 1 :]
        inputs = [x, *hidden]
        for i in range(depth):
            y = hidden[i] if i < depth - 1 else out
            np.dot(inputs[i], self.weights[2 * i].T, out=y)
            y += self.weights[2 * i + 1]
            if i < depth - 1:
                np.maximum(y, 0, out=y)
        delta = deltas[-1]
        np.subtract(out, out.max(axis=1, keepdims=True), out=delta)
        np.exp(delta, out=delta)
        delta /= np.dot(delta, self.ones[: delta.shape[1]])[:, None]  # a dot sums small rows faster than sum()
        delta -= target
        delta *= 1 / len(x)
        for i in reversed(range(depth)):
            np.dot(delta.T, inputs[i], out=self.grads[2 * i])
            np.dot(self.ones[: len(delta)], delta, out=self.grads[2 * i + 1])
            if i:
                below = deltas[i - 1]
                np.dot(delta, self.weights[2 * i], out=below)
                below *= inputs[i] > 0
                delta = below
        self._descend()

    def _descend(self) -> None:
        update = self.grad
        if self.decay:
            np.multiply(self.flat, float(self.decay), out=self.scratch)
            update += self.scratch
        if self.momentum:
            self.velocity *= float(self.momentum)
            self.velocity += update
            update = self.velocity
        np.multiply(update, float(self.group["lr"]), out=self.scratch)
        self.flat -= self.scratch
