"""Training and evaluation on tensors in memory: no DataLoader, no host synchronisation inside an epoch."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.core.progress import between_steps
from paperlib.execution.stacked import RandomSource
from paperlib.execution.steps import RealisedSteps, TorchSteps, steps_for
from paperlib.pruners import METHODS, Layer, MaskEnforcer, Masks, Method, Pruning
from paperlib.schema.measurement import TrainingEngine
from paperlib.schema.record import Epoch, Scores
from paperlib.schema.trial import Trial
from paperlib.trials.images import DeviceSplit
from paperlib.trials.metrics import scores
from paperlib.trials.optimizers import loss_of, make_optimizer

EVAL_BATCH = 512
DIVERGED = 100.0  # times the loss of a uniform guess


@dataclass(frozen=True)
class TrainingResult:
    """What training left: curve, seconds, masks, why it failed if it did, how many epochs ran compact, which engine.

    logits: (N, classes) of the test images, where a stack has answered them together.
    """

    curve: tuple[Epoch, ...]
    seconds: float
    masks: Masks
    failure: str | None = None
    compact_epochs: int | None = None
    engine: TrainingEngine | None = None
    logits: Tensor | None = None


class ShuffledImages:
    """The training images in the order that a seed gives, another one each epoch; networks of one seed share them.

    order: int64 (N,); labels: int64 (N,) in that order.
    """

    def __init__(self, trial: Trial, train: DeviceSplit) -> None:
        device = train.labels.device
        self.train, self.batch_size = train, trial.batch_size
        self._shuffle = torch.Generator().manual_seed(trial.seed + 2)
        self._augment = torch.Generator(device).manual_seed(trial.seed + 3) if trial.augment else None
        self.order, self.labels = torch.empty(0, dtype=torch.int64), train.labels

    def next_epoch(self) -> None:
        """Draw the order of the next epoch."""
        self.order = torch.randperm(len(self.train), generator=self._shuffle).to(self.train.labels.device)
        self.labels = self.train.labels[self.order]

    def batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The epoch's batches."""
        return self.train.batches(self.batch_size, self.order, self._augment)

    def first_batch(self) -> tuple[Tensor, Tensor]:
        """The epoch's first batch, without augmentation."""
        return next(self.train.batches(self.batch_size, self.order[: self.batch_size]))


class Training:
    """One network's training under way, alone or in a stack, as callbacks see it.

    masks_before: masks of the epoch before; logits: (N, classes) of this epoch's pass, in the order of
    `images.labels`; val_logits: (N, classes) of validation after it.
    pruned: validation scores right after new masks; epoch_s: seconds of this epoch.
    failure: a callback that sets it ends the training after this epoch.
    """

    def __init__(
        self,
        trial: Trial,
        model: nn.Module,
        layers: list[Layer],
        images: ShuffledImages,
        callbacks: Sequence["Callback"],
        random: RandomSource | None = None,
    ) -> None:
        self.trial, self.model, self.layers, self.images = trial, model, layers, images
        self.callbacks, self.random = callbacks, random
        self.method: Method = METHODS[trial.method]()
        self.optimizer, self.loss = make_optimizer(trial, model), loss_of(trial)
        self.enforcer = MaskEnforcer(layers, self.optimizer, stale="stale-regrowth" in trial.quirks)
        self.pruning = Pruning(trial, layers, torch.Generator().manual_seed(trial.seed + 1), self._gradients)
        self.epoch, self.epoch_s = 0, 0.0
        self.masks: Masks = {}
        self.masks_before: Masks = {}
        self.logits = self.val_logits = torch.empty(0)
        self.pruned: Scores | None = None
        self.curve: list[Epoch] = []
        self.failure: str | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Make the epoch's masks and put them in force. Raises PaperlibError for masks that leave a layer empty."""
        self.epoch, self.masks_before = epoch, self.masks
        self.model.train()
        masks = self.method.initial_masks(self.pruning) if epoch == 0 else self.masks
        masks = self.method.update_masks(self.pruning, masks, epoch)
        if epoch == 0 or masks is not self.masks:
            self.masks = _checked(masks)
            self.enforcer.set(masks)
        for callback in self.callbacks:
            callback.on_masks(self)

    def end_epoch(self, logits: Tensor, val_logits: Tensor, seconds: float) -> None:
        """Tell the callbacks what the epoch gave."""
        self.logits, self.val_logits, self.epoch_s = logits, val_logits, seconds
        for callback in self.callbacks:
            callback.on_epoch_end(self)
        self.logits = self.val_logits = torch.empty(0)

    def result(self, engine: TrainingEngine, compact_epochs: int = 0) -> TrainingResult:
        """What is left after the last epoch, with the method's final masks (not yet applied)."""
        masks = self.masks if self.failure else _checked(self.method.final_masks(self.pruning, self.masks))
        seconds = sum(epoch.time_s for epoch in self.curve)
        compact = None if self.failure else compact_epochs
        return TrainingResult(tuple(self.curve), seconds, masks, self.failure, compact, engine)

    def _gradients(self) -> dict[str, Tensor]:
        pixels, labels = self.images.first_batch()
        with self.enforcer.filters_restored(), self.random.active() if self.random else nullcontext():
            self.loss(self.model(pixels), labels).backward()
        dense = {x.name: x.module.weight.grad.clone() for x in self.layers if x.module.weight.grad is not None}
        self.optimizer.zero_grad()
        return dense


class Callback:
    """What happens beside the steps of a training; by itself nothing."""

    def on_masks(self, training: Training) -> None:
        """The epoch's masks are in force and no step was taken under them."""

    def on_epoch_end(self, training: Training) -> None:
        """After the epoch's last step."""


class PrunedScores(Callback):
    """For methods that prune in rounds: what pruning alone does, before the rest trains on."""

    def __init__(self, val: DeviceSplit, bf16: bool) -> None:
        self.val, self.bf16 = val, bf16

    def on_masks(self, training: Training) -> None:
        training.pruned = None
        if training.method.in_rounds and training.masks and training.masks is not training.masks_before:
            training.pruned = evaluate(training.model, self.val, bf16=self.bf16)
            training.model.train()


class Curve(Callback):
    """Scores of the training pass and of validation after each epoch."""

    def __init__(self, val: DeviceSplit) -> None:
        self.val = val

    def on_epoch_end(self, training: Training) -> None:
        masks, before = training.masks, training.masks_before
        training.curve.append(
            Epoch(
                epoch=training.epoch,
                train=scores(training.logits, training.images.labels),
                val=scores(training.val_logits, self.val.labels),
                time_s=training.epoch_s,
                swapped=sum(
                    int((m & ~before[n]).sum()) for n, m in masks.items() if n in before and m is not before[n]
                ),
                removed=sum(int((~mask).sum()) for mask in masks.values()),
                pruned=training.pruned,
            )
        )


class Caller(Callback):
    """Gives each epoch's scores to whoever asked for the training."""

    def __init__(self, on_epoch: Callable[[Epoch], None]) -> None:
        self.on_epoch = on_epoch

    def on_epoch_end(self, training: Training) -> None:
        self.on_epoch(training.curve[-1])


class Divergence(Callback):
    """Ends a training with a loss that is no number, or a training loss 100 times that of a uniform guess."""

    def on_epoch_end(self, training: Training) -> None:
        train, val, classes = training.curve[-1].train.loss, training.curve[-1].val.loss, training.logits.shape[1]
        if math.isfinite(train) and math.isfinite(val) and train <= DIVERGED * math.log(max(2, classes)):
            return
        name, loss = ("validation", val) if math.isfinite(train) and not math.isfinite(val) else ("training", train)
        where = f"in epoch {training.epoch} (lr {training.trial.lr:g})"
        training.failure = f"diverged: {name} loss {loss:.4g} {where}; lower the lr"


def fit(
    trial: Trial,
    model: nn.Module,
    layers: list[Layer],
    train: DeviceSplit,
    val: DeviceSplit,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    bf16: bool = False,
) -> TrainingResult:
    """Train `model` in place as the trial says and return curve, seconds and final masks.

    on_epoch: is given each epoch's scores. bf16: autocast, in evaluations too. A diverged training ends early with
    `failure` set. Raises PaperlibError for masks that leave a layer empty.
    """
    images = ShuffledImages(trial, train)
    training = Training(trial, model, layers, images, callbacks_of(val, on_epoch, bf16))
    steps = steps_for(model, training.optimizer, training.enforcer, training.loss, bf16)
    if trial.execution == "compact" and isinstance(steps, TorchSteps):
        steps = RealisedSteps(steps)
    for epoch in range(trial.epochs):
        start = time.perf_counter()
        images.next_epoch()
        training.begin_epoch(epoch)
        logits = steps.epoch(scheduled(images.batches(), [training], epoch))
        seconds = time.perf_counter() - start
        training.end_epoch(logits, eval_logits(model, val, bf16=bf16), seconds)
        if training.failure:
            break
    return training.result(steps.engine, steps.epochs if isinstance(steps, RealisedSteps) else 0)


def callbacks_of(
    val: DeviceSplit, on_epoch: Callable[[Epoch], None] = lambda epoch: None, bf16: bool = False
) -> tuple[Callback, ...]:
    """What happens beside the steps of a trial's training."""
    return PrunedScores(val, bf16), Curve(val), Caller(on_epoch), Divergence()


def scheduled(
    batches: Iterator[tuple[Tensor, Tensor]], trainings: Sequence[Training], epoch: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of an epoch, the learning rates of all trainings (which share a schedule) set before each."""
    trial, check = trainings[0].trial, between_steps.get()
    steps = trial.epochs * -(-len(trainings[0].images.train) // trial.batch_size)
    for step, batch in enumerate(batches):
        check()
        if trial.schedule == "cosine":
            factor = (1 + math.cos(math.pi * (epoch / trial.epochs + step / steps))) / 2
            for training in trainings:
                for group in training.optimizer.param_groups:
                    group["lr"] = training.trial.lr * factor
        yield batch


def _checked(masks: Masks) -> Masks:
    for name, mask in masks.items():
        if not bool(mask.any()):
            raise PaperlibError(f"layer {name!r} was left without any active unit; choose a lower sparsity")
    return masks


@torch.inference_mode()
def evaluate(model: nn.Module, images: DeviceSplit, *, bf16: bool = False) -> Scores:
    """Scores of the model in eval mode on all images."""
    return scores(eval_logits(model, images, bf16=bf16), images.labels)


@torch.inference_mode()
def eval_logits(model: nn.Module, images: DeviceSplit, *, bf16: bool = False) -> Tensor:
    """Logits (N, classes) of the model in eval mode."""
    model.eval()
    with torch.autocast(images.labels.device.type, torch.bfloat16, enabled=bf16):
        return predict(model, images)


@torch.inference_mode()
def predict(model: nn.Module, images: DeviceSplit, size: int = EVAL_BATCH) -> Tensor:
    """Logits (N, classes) in the images' order."""
    check, logits = between_steps.get(), list[Tensor]()
    for pixels, _ in images.batches(size):
        check()
        logits.append(model(pixels))
    return torch.cat(logits)
