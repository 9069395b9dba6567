"""Training steps of one network alone: torch's autograd, or for a small perceptron those of a stack of one.

A step of a small perceptron takes torch some 300 µs, nearly all of it dispatch; written out it takes a quarter.
"""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
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
TRIES = 3  # steps of each way, of which the shortest counts
FASTER = 0.9  # of a masked step: what a sparse one must stay below, so that no draw decides which rounding a trial has
Batch = tuple[Tensor, Tensor]
Realised = CompactTraining | SparseTraining


class Steps(Protocol):
    """Trains one epoch on the batches and returns the logits of that pass, float (images, classes)."""

    @property
    def engine(self) -> TrainingEngine: ...

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
        return torch.cat([self.step(batch) for batch in batches])

    def step(self, batch: Batch) -> Tensor:
        """One update on (images, labels); its logits."""
        pixels, labels = batch
        with torch.autocast(pixels.device.type, torch.bfloat16, enabled=self.bf16):
            output = self.model(pixels)
        output = output.float() if self.bf16 else output
        self.loss(output, labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.enforcer.after_step()
        return output.detach()


class StackOfOne:
    """The steps of a stack for a perceptron alone."""

    engine: ClassVar[TrainingEngine] = "stacked"

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, enforcer: MaskEnforcer, loss: Loss) -> None:
        self.steps = StackedSteps([Network(model, optimizer, enforcer)], loss)

    def epoch(self, batches: Batches) -> Tensor:
        return self.steps.epoch(batches)[0]


class RealisedSteps:
    """TorchSteps on the compact or the sparse network, epoch by epoch, where that pays and can be followed.

    A sparse network is taken where it is faster: both ways train some batches of an epoch, which costs nothing, since
    they compute the same. engine: `sparse` once it was. epochs: how many ran on the compact network.
    """

    def __init__(self, full: TorchSteps) -> None:
        self.full, self.epochs = full, 0
        self.engine: TrainingEngine = "torch"
        self._training: Realised | None = None
        self._masks: Masks = {}
        self._refused: object = None  # masks that compact cannot follow
        self._too_many: float = math.inf  # kept weights, with which masked was faster

    def epoch(self, batches: Batches) -> Tensor:
        rest, logits, masks = iter(batches), list[Tensor](), self.full.enforcer.masks
        if not isinstance(self._training, SparseTraining) or masks is not self._masks:
            self._masks, self._training = masks, self._sparse(rest, logits) or self._compact()
        steps = self._on(self._training) if self._training else self.full
        logits += [steps.step(batch) for batch in rest]
        if self._training is not None:
            self._training.scatter_back()
            self.epochs += isinstance(self._training, CompactTraining)
        return torch.cat(logits)

    def _on(self, training: Realised) -> TorchSteps:
        # What is left to mask, the training masks by itself.
        enforcer = MaskEnforcer([], training.optimizer)
        return replace(self.full, model=training.model, optimizer=training.optimizer, enforcer=enforcer)

    def _sparse(self, rest: Iterator[Batch], logits: list[Tensor]) -> SparseTraining | None:
        full, masks = self.full, self.full.enforcer.masks
        kept = sum(int(mask.sum()) for mask in masks.values())
        if not masks or full.bf16 or kept >= self._too_many or not is_worth_sparse(full.model, masks):
            return None
        masked_s = math.inf if self.engine == "sparse" else _shortest(full, rest, logits)
        try:
            training = SparseTraining(full.model, masks, full.optimizer)
        except PaperlibError:  # an optimizer or a device that it does not know
            self._too_many = 0
            return None
        if _shortest(self._on(training), rest, logits) < FASTER * masked_s:
            self.engine = "sparse"
            return training
        training.scatter_back()
        self._too_many = kept
        return None

    def _compact(self) -> CompactTraining | None:
        enforcer = self.full.enforcer
        if not enforcer.masks or enforcer.masks is self._refused:
            return None
        training = compact_training(self.full.model, enforcer.layers, enforcer.masks, self.full.optimizer)
        self._refused = None if training else enforcer.masks
        return training


def _shortest(steps: TorchSteps, batches: Iterator[Batch], logits: list[Tensor]) -> float:
    """Seconds of the shortest step of the next few, whose answers go to `logits`; infinite where no batch is left."""
    seconds = math.inf
    for batch in islice(batches, TRIES):
        start = time.perf_counter()
        logits.append(steps.step(batch))
        seconds = min(seconds, time.perf_counter() - start)
    return seconds


def compact_training(
    model: nn.Module, layers: Sequence[Layer], masks: Masks, optimizer: torch.optim.Optimizer
) -> CompactTraining | None:
    """Compact training under these masks, which are in force; None where it pays nothing or cannot be followed."""
    try:
        training = CompactTraining(model, layers, masks, optimizer)
    except PaperlibError:  # a layer or an optimizer that it cannot follow
        return None
    return training if is_worth_compacting(training.model, model) else None


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
