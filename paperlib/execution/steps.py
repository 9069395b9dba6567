"""Training steps of one network alone: torch's autograd, or for a small perceptron those of a stack of one.

A step of a small perceptron takes torch some 300 µs, nearly all of it dispatch; written out it takes a quarter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.compact import is_worth_compacting
from paperlib.execution.compact_training import CompactTraining
from paperlib.execution.perceptron import is_perceptron
from paperlib.execution.sparse_training import SparseTraining, is_worth_sparse
from paperlib.execution.stacked import ELEMENTWISE, Batches, Loss, Network, StackedSteps
from paperlib.pruners import Layer, MaskEnforcer, Masks
from paperlib.schema.measurement import TrainingEngine

SMALL = 200_000  # parameters; above, arithmetic outweighs dispatch


class Steps(Protocol):
    """Trains one epoch on the batches and returns the logits of that pass, float (images, classes)."""

    engine: ClassVar[TrainingEngine]

    def epoch(self, batches: Batches) -> Tensor: ...


def is_small_mlp(model: nn.Module) -> bool:
    """A perceptron that can be stacked, of less than 200,000 parameters."""
    return is_perceptron(model) and sum(p.numel() for p in model.parameters()) < SMALL


def steps_for(
    model: nn.Module, optimizer: torch.optim.Optimizer, enforcer: MaskEnforcer, loss: Loss, bf16: bool = False
) -> Steps:
    """The fastest steps that compute the very same update (to float32 rounding); `bf16`: under autocast."""
    if type(optimizer) in ELEMENTWISE and not bf16 and is_small_mlp(model):
        return StackOfOne(model, optimizer, enforcer, loss)
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


class StackOfOne:
    """The steps of a stack for a perceptron alone."""

    engine: ClassVar[TrainingEngine] = "stacked"

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, enforcer: MaskEnforcer, loss: Loss) -> None:
        self.steps = StackedSteps([Network(model, optimizer, enforcer)], loss)

    def epoch(self, batches: Batches) -> Tensor:
        return self.steps.epoch(batches)[0]


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
        enforcer = self.full.enforcer
        if not enforcer.masks or enforcer.masks is self._refused:
            return None
        training = compact_training(self.full.model, enforcer.layers, enforcer.masks, self.full.optimizer)
        self._refused = None if training else enforcer.masks
        return training


def compact_training(
    model: nn.Module, layers: Sequence[Layer], masks: Masks, optimizer: torch.optim.Optimizer
) -> CompactTraining | None:
    """Compact training under these masks, which are in force; None where it pays nothing or cannot be followed."""
    try:
        training = CompactTraining(model, layers, masks, optimizer)
    except PaperlibError:  # a layer or an optimizer that it cannot follow
        return None
    return training if is_worth_compacting(training.model, model) else None


Realised = CompactTraining | SparseTraining


def realised_training(
    model: nn.Module, layers: Sequence[Layer], masks: Masks, optimizer: torch.optim.Optimizer
) -> Realised | None:
    """As `compact_training`; where only single weights go, sparse training if that may pay."""
    if masks and is_worth_sparse(model, masks):
        try:
            return SparseTraining(model, masks, optimizer)
        except PaperlibError:
            pass
    return compact_training(model, layers, masks, optimizer)
