"""Training and evaluation on tensors in memory: no DataLoader, no host synchronisation inside an epoch."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.core.progress import between_steps
from paperlib.execution.steps import CompactSteps, TorchSteps, steps_for
from paperlib.pruners import METHODS, Layer, MaskEnforcer, Masks, Method, Pruning
from paperlib.schema.measurement import TrainingEngine
from paperlib.schema.record import Epoch, Scores
from paperlib.schema.trial import Trial
from paperlib.trials.images import DeviceSplit
from paperlib.trials.metrics import scores
from paperlib.trials.optimizers import loss_of, make_optimizer

DIVERGED = 100.0  # times the loss of a uniform guess


@dataclass(frozen=True)
class TrainingResult:
    """What training left: curve, seconds, masks, why it failed if it did, how many epochs ran compact, which engine."""

    curve: tuple[Epoch, ...]
    seconds: float
    masks: Masks
    failure: str | None = None
    compact_epochs: int | None = None
    engine: TrainingEngine | None = None


@dataclass
class Training:
    """A training under way, as callbacks see it.

    masks_before: masks of the epoch before; logits: (N, classes) of this epoch's pass, in the order of labels (N,).
    pruned: validation scores right after new masks; epoch_s: seconds of this epoch.
    failure: a callback that sets it ends the training after this epoch.
    """

    trial: Trial
    model: nn.Module
    method: Method
    epoch: int = 0
    masks: Masks = field(default_factory=dict)
    masks_before: Masks = field(default_factory=dict)
    logits: Tensor = field(default_factory=lambda: torch.empty(0))
    labels: Tensor = field(default_factory=lambda: torch.empty(0))
    pruned: Scores | None = None
    epoch_s: float = 0.0
    curve: list[Epoch] = field(default_factory=list)
    failure: str | None = None


class Callback:
    """What happens beside the steps of a training; by itself nothing."""

    def on_epoch_begin(self, training: Training) -> None:
        """Before the epoch's masks are made."""

    def on_masks(self, training: Training) -> None:
        """The epoch's masks are in force and no step was taken under them."""

    def on_epoch_end(self, training: Training) -> None:
        """After the epoch's last step."""


class Stopwatch(Callback):
    """Wall time of the epochs with their mask updates."""

    def on_epoch_begin(self, training: Training) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, training: Training) -> None:
        training.epoch_s = time.perf_counter() - self._start


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

    def __init__(self, val: DeviceSplit, bf16: bool) -> None:
        self.val, self.bf16 = val, bf16

    def on_epoch_end(self, training: Training) -> None:
        masks, before = training.masks, training.masks_before
        training.curve.append(
            Epoch(
                epoch=training.epoch,
                train=scores(training.logits, training.labels),
                val=evaluate(training.model, self.val, bf16=self.bf16),
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
    device = train.labels.device
    training = Training(trial, model, METHODS[trial.method]())
    callbacks = (Stopwatch(), PrunedScores(val, bf16), Curve(val, bf16), Caller(on_epoch), Divergence())
    shuffle = torch.Generator().manual_seed(trial.seed + 2)
    augment = torch.Generator(device).manual_seed(trial.seed + 3) if trial.augment else None
    optimizer, loss_function = make_optimizer(trial, model), loss_of(trial)
    enforcer = MaskEnforcer(layers, optimizer, stale="stale-regrowth" in trial.quirks)

    def gradients() -> dict[str, Tensor]:
        pixels, labels = next(train.batches(trial.batch_size, order[: trial.batch_size]))
        with enforcer.filters_restored():
            loss_function(model(pixels), labels).backward()
        dense = {x.name: x.module.weight.grad.clone() for x in layers if x.module.weight.grad is not None}
        optimizer.zero_grad()
        return dense

    pruning = Pruning(trial, layers, torch.Generator().manual_seed(trial.seed + 1), gradients)
    steps = steps_for(model, optimizer, enforcer, loss_function, bf16)
    if trial.execution == "compact" and isinstance(steps, TorchSteps):
        steps = CompactSteps(steps)
    for epoch in range(trial.epochs):
        order = torch.randperm(len(train), generator=shuffle).to(device)
        training.epoch, training.labels, training.masks_before = epoch, train.labels[order], training.masks
        model.train()
        for callback in callbacks:
            callback.on_epoch_begin(training)
        masks = training.method.initial_masks(pruning) if epoch == 0 else training.masks
        masks = training.method.update_masks(pruning, masks, epoch)
        if epoch == 0 or masks is not training.masks:
            training.masks = _checked(masks)
            enforcer.set(masks)
        for callback in callbacks:
            callback.on_masks(training)
        batches = train.batches(trial.batch_size, order, augment)
        training.logits = steps.epoch(_scheduled(batches, trial, optimizer, epoch / trial.epochs, len(train)))
        for callback in callbacks:
            callback.on_epoch_end(training)
        if training.failure:
            break
    compact_epochs = None
    if not training.failure:
        compact_epochs = steps.epochs if isinstance(steps, CompactSteps) else 0
        training.masks = _checked(training.method.final_masks(pruning, training.masks))
    return TrainingResult(
        tuple(training.curve),
        sum(e.time_s for e in training.curve),
        training.masks,
        training.failure,
        compact_epochs,
        steps.engine,
    )


def _scheduled(
    batches: Iterator[tuple[Tensor, Tensor]], trial: Trial, optimizer: torch.optim.Optimizer, done: float, images: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of an epoch, the learning rate set before each; done: share of training before this epoch."""
    steps = trial.epochs * -(-images // trial.batch_size)
    check = between_steps.get()
    for step, batch in enumerate(batches):
        check()
        if trial.schedule == "cosine":
            for group in optimizer.param_groups:
                group["lr"] = trial.lr * (1 + math.cos(math.pi * (done + step / steps))) / 2
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
def predict(model: nn.Module, images: DeviceSplit, size: int = 512) -> Tensor:
    """Logits (N, classes) in the images' order."""
    check, logits = between_steps.get(), list[Tensor]()
    for pixels, _ in images.batches(size):
        check()
        logits.append(model(pixels))
    return torch.cat(logits)
