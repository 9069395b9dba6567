"""Training and evaluation on tensors in memory: no DataLoader, no host synchronisation inside an epoch."""

import copy
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paperlib.core.errors import PaperlibError
from paperlib.core.progress import between_steps
from paperlib.core.registry import unknown
from paperlib.data.augmentation import crop_and_flip
from paperlib.data.imageset import Split
from paperlib.execution.steps import CompactSteps, TorchSteps, steps_for
from paperlib.meters import Meters
from paperlib.pruners import METHODS, Layer, MaskEnforcer, Masks, Pruning
from paperlib.schema.measurement import Measurement, TrainingEngine
from paperlib.schema.record import Epoch, Scores
from paperlib.schema.trial import Trial
from paperlib.trials.metrics import scores

CHUNK_BYTES = 2 * 2**20  # small enough to stay in the cache until its batches are used
MEAN = STD = 0.5  # of every channel, of pixels in 0..1
DIVERGED = 100.0  # times the loss of a uniform guess


@dataclass(frozen=True, eq=False)
class DeviceSplit:
    """A split on the device: pixels uint8 (N, C, H, W), normalised chunk by chunk, and labels (N,)."""

    pixels: Tensor
    labels: Tensor

    @classmethod
    def of(cls, split: Split, device: str) -> "DeviceSplit":
        """Move a split to the device."""
        pixels = torch.from_numpy(split.images).permute(0, 3, 1, 2).contiguous()
        return cls(pixels.to(device), torch.from_numpy(split.labels).to(device))

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, size: int, order: Tensor | None = None, augment: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised batches, in `order`; gathered in chunks, since a gather per batch outweighs a small step.

        augment: the random source of crops and flips, on the images' device; None for none.
        """
        per_chunk = max(1, CHUNK_BYTES // (4 * self.pixels[0].numel()) // size) * size
        for start in range(0, len(self) if order is None else len(order), per_chunk):
            part = slice(start, start + per_chunk)
            if order is None:
                pixels, labels = self.pixels[part], self.labels[part]
            else:  # index_select copies whole rows, four times faster than pixels[order]
                pixels, labels = (t.index_select(0, order[part]) for t in (self.pixels, self.labels))
            if augment is not None:
                pixels = crop_and_flip(pixels, augment)
            yield from zip(normalise(pixels).split(size), labels.split(size), strict=True)


def normalise(pixels: Tensor) -> Tensor:
    """uint8 0..255 to float32 -1..1, as both papers do: (pixels / 255 - MEAN) / STD."""
    return torch.mul(pixels, 1 / (255 * STD)).sub_(MEAN / STD)


@dataclass(frozen=True)
class TrainingResult:
    """What training left: curve, cost, masks, why it failed if it did, how many epochs ran compact, on what engine."""

    curve: tuple[Epoch, ...]
    reading: Measurement | None
    masks: Masks
    failure: str | None = None
    compact_epochs: int | None = None
    engine: TrainingEngine | None = None


def make_optimizer(trial: Trial, model: nn.Module) -> torch.optim.Optimizer:
    """Any torch optimiser by name (case does not matter), fused where it has that.

    Raises PaperlibError for unknown names and for options that it does not take.
    """
    kind, allowed = optimizer_of(trial)
    make: Callable[..., torch.optim.Optimizer] = kind
    fused = {"fused": True} if "fused" in allowed else {}
    try:
        return make(model.parameters(), lr=trial.lr, **fused, **trial.options)
    except (ValueError, TypeError) as error:
        raise PaperlibError(f"optimizer {kind.__name__}: {error}") from None


def optimizer_of(trial: Trial) -> tuple[type[torch.optim.Optimizer], list[str]]:
    """The class of the trial's optimiser and the options that it takes; raises as `make_optimizer` does."""
    names = {
        name.lower(): name
        for name, kind in vars(torch.optim).items()
        if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer)
    }
    for unusable in ("optimizer", "lbfgs", "sparseadam"):  # the base class; needs a closure; sparse gradients
        del names[unusable]
    if trial.optimizer.lower() not in names:
        raise unknown("optimizer", trial.optimizer, sorted(names.values()))
    name = names[trial.optimizer.lower()]
    kind: type[torch.optim.Optimizer] = getattr(torch.optim, name)
    allowed = [p for p in inspect.signature(kind).parameters if p not in {"params", "lr"}]
    for option in trial.options:
        if option not in allowed:
            raise unknown(f"{name} option", option, allowed)
    return kind, allowed


def loss_of(trial: Trial) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy on logits; P's medium MLP applies a softmax before it (quirk `double-softmax`)."""
    if "double-softmax" in trial.quirks:
        return lambda logits, labels: F.cross_entropy(logits.softmax(1), labels)
    return F.cross_entropy


def fit(
    trial: Trial,
    model: nn.Module,
    layers: list[Layer],
    train: DeviceSplit,
    val: DeviceSplit,
    meters: Meters,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    bf16: bool = False,
) -> TrainingResult:
    """Train `model` in place as the trial says and return curve, cost and final masks.

    The reading covers the epochs with their mask updates, not the evaluations between them. Train scores
    are those of the training pass itself. A loss that is not finite, or a training loss 100 times that of a
    uniform guess, ends training; `failure` then says in which epoch. bf16: autocast, in evaluations too.
    """
    device = train.labels.device
    method = METHODS[trial.method]()
    shuffle = torch.Generator().manual_seed(trial.seed + 2)
    optimizer = make_optimizer(trial, model)
    keeper = MaskEnforcer(layers, optimizer, stale="stale-regrowth" in trial.quirks)
    loss_function = loss_of(trial)

    def gradients() -> dict[str, Tensor]:
        first = next(train.batches(trial.batch_size, order[: trial.batch_size]))
        with keeper.filters_restored():
            loss_function(model(first[0]), first[1]).backward()
        found = {x.name: x.module.weight.grad.clone() for x in layers if x.module.weight.grad is not None}
        optimizer.zero_grad()
        return found

    pruning = Pruning(trial, layers, torch.Generator().manual_seed(trial.seed + 1), gradients)
    steps = steps_for(model, optimizer, keeper, loss_function, bf16)
    if trial.execution == "compact" and isinstance(steps, TorchSteps):
        steps = CompactSteps(steps)
    augment = torch.Generator(device).manual_seed(trial.seed + 3) if trial.augment else None
    warm_up(trial, model, train, bf16)
    curve: list[Epoch] = []
    reading: Measurement | None = None
    masks: Masks = {}
    for epoch in range(trial.epochs):
        order = torch.randperm(len(train), generator=shuffle).to(device)
        model.train()
        meters.begin()
        changed = method.initial_masks(pruning) if epoch == 0 else masks
        changed = method.update_masks(pruning, changed, epoch)
        before = masks
        if epoch == 0 or changed is not masks:
            masks = _checked(changed)
            keeper.set(masks)
        pruned = None
        if method.in_rounds and masks and masks is not before:
            first = meters.end()  # what pruning alone does is a question, not a part of training
            pruned = evaluate(model, val, bf16=bf16)
            model.train()
            meters.begin()
        batches = train.batches(trial.batch_size, order, augment)
        logits = steps.epoch(_scheduled(batches, trial, optimizer, epoch / trial.epochs, len(train)))
        spent = meters.end() + first if pruned else meters.end()
        reading = spent if reading is None else reading + spent
        train_scores = scores(logits, train.labels[order])
        curve.append(
            Epoch(
                epoch=epoch,
                train=train_scores,
                val=evaluate(model, val, bf16=bf16),
                time_s=spent.time_s,
                swapped=_swapped(before, masks),
                removed=sum(int((~mask).sum()) for mask in masks.values()),
                pruned=pruned,
            )
        )
        on_epoch(curve[-1])
        if why := _divergence(curve[-1], trial, logits.shape[1]):
            return TrainingResult(tuple(curve), reading, masks, why, engine=steps.engine)
    compact = steps.epochs if isinstance(steps, CompactSteps) else 0
    masks = _checked(method.final_masks(pruning, masks))
    return TrainingResult(tuple(curve), reading, masks, compact_epochs=compact, engine=steps.engine)


def _divergence(epoch: Epoch, trial: Trial, classes: int) -> str | None:
    """Why training ends after this epoch: a loss that is no number, or 100 times that of a uniform guess."""
    train, val = epoch.train.loss, epoch.val.loss
    if math.isfinite(train) and math.isfinite(val) and train <= DIVERGED * math.log(max(2, classes)):
        return None
    name, loss = ("validation", val) if math.isfinite(train) and not math.isfinite(val) else ("training", train)
    return f"diverged: {name} loss {loss:.4g} in epoch {epoch.epoch} (lr {trial.lr:g}); lower the lr"


def _swapped(before: Masks, masks: Masks) -> int:
    return sum(int((m & ~before[n]).sum()) for n, m in masks.items() if n in before and m is not before[n])


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


def warm_up(trial: Trial, model: nn.Module, train: DeviceSplit, bf16: bool) -> None:
    """Two steps on copies: kernels, thread pools and lazy imports start here, not on the first epoch's bill."""
    with torch.random.fork_rng(devices=[train.labels.device] if train.labels.is_cuda else []):
        twin = copy.deepcopy(model).train()
        optimizer = make_optimizer(trial, twin)
        steps = steps_for(twin, optimizer, MaskEnforcer([], optimizer), loss_of(trial), bf16)
        few = torch.arange(min(len(train), 2 * trial.batch_size), device=train.labels.device)
        steps.epoch(train.batches(trial.batch_size, few))


def _checked(masks: Masks) -> Masks:
    for name, mask in masks.items():
        if not bool(mask.any()):
            raise PaperlibError(f"layer {name!r} was left without any active unit; choose a lower sparsity")
    return masks


@torch.inference_mode()
def evaluate(model: nn.Module, images: DeviceSplit, *, final: bool = False, bf16: bool = False) -> Scores:
    """Scores of the model in eval mode on all images."""
    return scores(eval_logits(model, images, bf16=bf16), images.labels, final=final)


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
