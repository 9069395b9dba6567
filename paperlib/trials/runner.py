"""The life of one trial: found or run; images, network, training, masks, test, costs, record."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from paperlib import data
from paperlib.core.errors import PaperlibError
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.core.progress import progress
from paperlib.data import Content
from paperlib.data.imageset import ImageSet
from paperlib.execution.flops import count
from paperlib.execution.stacked import RandomSource
from paperlib.models import build
from paperlib.models.constant import Constant
from paperlib.pruners import METHODS, apply_masks, layers_of
from paperlib.pruners.masks import count_layers, count_network
from paperlib.schema.record import Compute, Epoch, Record, ResourceAllocation
from paperlib.schema.trial import Trial
from paperlib.trials.autotune import apply_memory_format, autotune_compute
from paperlib.trials.environment import describe_environment, devices
from paperlib.trials.images import DeviceSplit, data_provenance, load_images
from paperlib.trials.metrics import scores
from paperlib.trials.optimizers import make_optimizer, optimizer_of
from paperlib.trials.predictions import pack
from paperlib.trials.resources import exclusive_resources, threads_for
from paperlib.trials.shared_training import dense_baseline, prune_trained
from paperlib.trials.stacks import Untrained, cut, fit_stack, groups_of, stack_size
from paperlib.trials.store import Store, checkpoint
from paperlib.trials.training import TrainingResult, eval_logits, fit

OnEpoch = Callable[[Epoch], None]


def run_all(trials: Sequence[Trial], layout: Layout) -> list[Record]:
    """Run every trial (or find its record), with progress and time left; the records in the same order.

    Data set by data set, but within one in random (fixed) order, so that a drift of the machine does not
    favour one method. Small perceptrons train together, in stacks of under a minute; records are stored when a stack
    ends. A post-training trial runs its dense trial first if that is not there yet.
    """
    order = list(dict.fromkeys(trials))
    random.Random(0).shuffle(order)
    order.sort(key=lambda t: (t.dataset, t.model))
    records = Store(layout).find(order)
    missing = [trial for trial in order if trial not in records]
    with progress(f"training networks, {len(records)} found", len(missing)) as step:
        for _, same in groupby(missing, key=lambda t: (t.dataset, t.model)):
            asked = list(same)
            for stack in _stacks(asked, layout):
                step.describe(f"{stack[0].dataset} {stack[0].model}, {len(stack)} networks in one training")
                stored = _run_stack(stack, layout)
                records |= stored
                step.advance(len(stored.keys() & set(asked)))
            for trial in asked:
                if trial not in records:
                    step.describe(f"{trial.dataset} {trial.model} {trial.method} {trial.sparsity:g} seed {trial.seed}")
                    records[trial] = run(trial, layout)
                    step.advance()
    return [records[trial] for trial in trials]


def _stacks(trials: Sequence[Trial], layout: Layout) -> Iterator[list[Trial]]:
    """Those of the trials, and of the dense trials whose networks they take, that train together, stack by stack."""
    dense = {dense_baseline(t): None for t in trials if METHODS[t.method].weights_from == "dense"}
    trained = Store(layout).find(dense)
    for group in groups_of(dict.fromkeys([*trials, *(t for t in dense if t not in trained)])):
        size = 1
        with suppress(PaperlibError):  # whatever is wrong shows when they run alone
            size = stack_size(group[0], load_images(group[0]), devices()[0])
        if size > 1:
            yield from cut(group, size)


def _run_stack(trials: Sequence[Trial], layout: Layout) -> dict[Trial, Record]:
    """Train these trials together and store their records; without those that raise, which `run` is left to say."""
    store, content = Store(layout), data.identify(trials[0].selection)
    store.check_writable()
    with exclusive_resources() as place:
        # Another process may have been at it while this one waited.
        records = {trial: record for trial in trials if (record := store.of(trial, content)) is not None}
        stack = _prepare_stack([trial for trial in trials if trial not in records], content, place.device)
        if not stack:
            return records
        results = fit_stack([prepared.network for prepared in stack], *_on_device(stack[0].images, place.device))
        with threads_for(stack[0].network.model):
            for prepared, result in zip(stack, results, strict=True):
                if isinstance(result, TrainingResult):
                    trial = prepared.network.trial
                    store.leave_other_images(trial, content)
                    records[trial] = _tested(prepared, layout, place, result, trial.method == "dense")
                    store.put(records[trial])
    return records


def run(
    trial: Trial,
    layout: Layout,
    on_epoch: OnEpoch = lambda epoch: None,
    *,
    keep_weights: bool = False,
    fresh: bool = False,
) -> Record:
    """The stored record of this trial on the images that are here, or a new one, computed and written atomically.

    keep_weights: store the trained and masked weights too (dense ones always are); without them a stored trial
    runs again. fresh: run again in any case (post-training with its dense trial). A record of other images is set
    aside, with a warning.

    A diverged training is a record with status `failed`. Raises PaperlibError for impossible trials
    (unknown names, a layer left empty, too few images); nothing is stored then.
    """
    optimizer_of(trial)  # a wrong name or option shows before any image is read
    store, content = Store(layout), data.identify(trial.selection)

    def stored() -> Record | None:
        record = store.of(trial, content)
        lacks = keep_weights and record and record.status == "done" and not checkpoint(layout, trial.id).exists()
        return None if lacks else record

    if not fresh and (record := stored()) is not None:
        return record
    store.check_writable()
    shared: Record | None = None
    if METHODS[trial.method].weights_from == "dense":
        dense = dense_baseline(trial)
        shared = run(dense, layout, on_epoch, fresh=fresh)
        if shared.status == "done" and not checkpoint(layout, dense.id).exists():
            with exclusive_resources() as place:  # same numbers again; only the checkpoint was lost
                _compute(dense, layout, place, None, on_epoch, True, content)
    with exclusive_resources() as place:
        record = None if fresh else stored()  # another process may have been at it while this one waited
        if record is None:
            store.leave_other_images(trial, content)
            keep = keep_weights or trial.method == "dense"
            record = _compute(trial, layout, place, shared, on_epoch, keep, content)
            store.put(record)
    return record


def build_network(trial: Trial, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The trial's untrained network for images of `shape` (height, width, channels)."""
    return build(trial.model, shape, classes, width_of(trial, shape, classes))


def width_of(trial: Trial, shape: tuple[int, int, int], classes: int) -> float:
    """The width factor that the trial's method builds, for images of `shape` (height, width, channels)."""

    def empty(width: float) -> nn.Module:
        with torch.device("meta"):
            return build(trial.model, shape, classes, width)

    return METHODS[trial.method]().width(trial, empty)


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A trial about to be trained: its images, and its untrained network on its device."""

    network: Untrained
    images: ImageSet
    compute: Compute

    @property
    def bf16(self) -> bool:
        return self.compute.choice.startswith("bf16")


def _prepare(trial: Trial, content: Content, device: str, compute: Compute | None = None) -> _Prepared:
    """Raises PaperlibError for impossible trials."""
    images = load_images(trial, content)
    torch.manual_seed(trial.seed)
    model = build_network(trial, images.shape, len(images.classes)).to(device)
    random_source = RandomSource(torch.device(device))
    few = images.train.take(np.arange(min(len(images.train), 2 * trial.batch_size)))
    compute = compute or autotune_compute(trial, model, DeviceSplit.of(few, device))
    model = apply_memory_format(model, compute.choice)
    layers = layers_of(model, trial if METHODS[trial.method].prunes else dense_baseline(trial))
    make_optimizer(trial, model)  # a wrong value of an option shows before any data moves
    return _Prepared(Untrained(trial, model, layers, random_source), images, compute)


def _prepare_stack(trials: Sequence[Trial], content: Content, device: str) -> list[_Prepared]:
    """Without impossible trials."""
    prepared = list[_Prepared]()
    for trial in trials:
        with suppress(PaperlibError):
            prepared.append(_prepare(trial, content, device))
    return prepared


def _on_device(images: ImageSet, device: str) -> tuple[DeviceSplit, DeviceSplit, DeviceSplit]:
    """Train, validation and test split."""
    train, val, test = (DeviceSplit.of(split, device) for split in (images.train, images.val, images.test))
    return train, val, test


def _compute(
    trial: Trial,
    layout: Layout,
    place: ResourceAllocation,
    shared: Record | None,
    on_epoch: OnEpoch,
    keep: bool,
    content: Content,
) -> Record:
    prepared = _prepare(trial, content, place.device, shared.compute if shared else None)
    model, layers, images = prepared.network.model, prepared.network.layers, prepared.images
    with threads_for(model):
        if METHODS[trial.method].weights_from == "nothing":
            constant = Constant(images.train.labels, len(images.classes)).to(place.device)
            prepared = replace(prepared, network=replace(prepared.network, model=constant))
            result = TrainingResult((), 0.0, {})
        elif shared is None:
            train, val, _ = _on_device(images, place.device)
            result = fit(trial, model, layers, train, val, on_epoch, prepared.bf16)
        else:
            result = prune_trained(trial, layout, shared, model, layers)
        return _tested(prepared, layout, place, result, keep, shared)


def _tested(
    prepared: _Prepared,
    layout: Layout,
    place: ResourceAllocation,
    result: TrainingResult,
    keep: bool,
    shared: Record | None = None,
) -> Record:
    """The record of a trained network, with its final masks applied; keep: store its weights."""
    network, images = prepared.network, prepared.images
    trial, model, layers, device = network.trial, network.model, network.layers, place.device
    apply_masks(layers, result.masks)
    logits = result.logits
    if result.failure is None:
        if logits is None:
            logits = eval_logits(model, DeviceSplit.of(images.test, device), bf16=prepared.bf16)
        if not bool(logits.isfinite().all()):
            result = replace(result, failure="diverged: its answers to the test images are no numbers; lower the lr")
    done = result.failure is None
    labels = torch.from_numpy(images.test.labels).to(device)
    if keep and done:
        weights = {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()}
        write_atomically(checkpoint(layout, trial.id), save(weights))
    prunes = done and METHODS[trial.method].weights_from != "nothing"
    return Record(
        id=trial.id,
        trial=trial,
        command=trial.command(layout.name),
        status="done" if done else "failed",
        reason=result.failure,
        data=data_provenance(images),
        network=count_network(model, layers, result.masks),
        layers=count_layers(layers, result.masks),
        curve=result.curve,
        test=scores(logits, labels, final=True) if done and logits is not None else None,
        predictions=pack(logits) if done and logits is not None else None,
        costs=count(model, result.masks, images.shape) if prunes else None,
        train_s=result.seconds if result.curve else None,
        engine=result.engine,
        compact_epochs=result.compact_epochs,
        compute=prepared.compute,
        shared_training=shared.id if shared else None,
        environment=describe_environment(device),
        place=place,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
