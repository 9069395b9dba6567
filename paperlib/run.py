"""The whole life of one trial: data -> model -> pruner -> training -> evaluation -> meters -> record."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import nn

from paperlib.data import load, resplit_train
from paperlib.data.imageset import ImageSet
from paperlib.environment import device as choose_device
from paperlib.environment import environment
from paperlib.errors import PaperlibError
from paperlib.meters import Meters, compare, load_time
from paperlib.meters.reading import Timing
from paperlib.models import build
from paperlib.paths import Layout
from paperlib.progress import progress
from paperlib.pruners import METHODS, Layer, Masks, Pruning, apply_masks, layers_of
from paperlib.record import Data, Epoch, LayerSparsity, Network, Record
from paperlib.store import Store, write_atomically
from paperlib.training import Fit, Images, evaluate, fit, make_optimizer
from paperlib.trial import Trial

INFERENCE_BATCHES = (1, 64)
INFERENCE_ROUNDS = 40
INFERENCE_BUDGET_S = 0.4
ONE_THREAD_BELOW = 200_000  # parameters


def run_all(trials: Sequence[Trial], layout: Layout) -> list[Record]:
    """Run every trial (or find its record), with progress and time left; the records in the same order.

    Dense trials go first, since post-training ones share their checkpoints.
    """
    store = Store(layout)
    order = sorted(dict.fromkeys(trials), key=lambda t: (t.dataset, METHODS[t.method].trains == "dense"))
    found = {trial: record for trial in order if (record := store.get(trial.id)) is not None}
    missing = [trial for trial in order if trial not in found]
    with progress(f"{len(order)} trials, {len(found)} done before", len(missing)) as step:
        for trial in missing:
            step.describe(f"{trial.dataset} {trial.model} {trial.method} {trial.sparsity:g} seed {trial.seed}")
            found[trial] = run(trial, layout)
            step.advance()
    return [found[trial] for trial in trials]


def run(trial: Trial, layout: Layout, on_epoch: Callable[[Epoch], None] = lambda epoch: None) -> Record:
    """The stored record of this trial, or a new one, computed and written atomically.

    A diverged training is a record with status `failed`. Raises PaperlibError for impossible trials
    (unknown names, a layer left empty, too few images); nothing is stored then.
    """
    store = Store(layout)
    if (record := store.get(trial.id)) is not None:
        return record
    store.check_writable()
    method = METHODS[trial.method]
    shared: Record | None = None
    if method.trains == "dense":
        dense = dense_twin(trial)
        shared = run(dense, layout, on_epoch)
        if not (layout.checkpoints / f"{dense.id}.safetensors").exists() and shared.status == "done":
            _compute(dense, layout, None, on_epoch)  # same numbers again; only the checkpoint was lost
    record = _compute(trial, layout, shared, on_epoch)
    store.put(record)
    return record


def dense_twin(trial: Trial) -> Trial:
    """The dense trial of the same data, budget and seed, whose network post-training takes."""
    return Trial.model_validate(
        trial.model_dump() | {"method": "dense", "sparsity": 0.0, "conv_sparsity": 0.0, "scope": "global", "swap": 0.2}
    )


def _compute(trial: Trial, layout: Layout, shared: Record | None, on_epoch: Callable[[Epoch], None]) -> Record:
    device = choose_device()
    images = prepare(trial)
    torch.manual_seed(trial.seed)
    model = build(trial.model, images.shape, len(images.classes), trial.width).to(device)
    untrained = copy.deepcopy(model)
    layers = layers_of(model, trial)
    make_optimizer(trial, model)  # a wrong name or option shows before any data moves
    meters = Meters.for_device(device)
    if shared is None:
        result = fit(
            trial,
            model,
            layers,
            Images.of(images.train, device),
            Images.of(images.val, device),
            meters,
            on_epoch,
        )
    else:
        result = _prune_trained(trial, layout, shared, model, layers)
    apply_masks(layers, result.masks)
    checkpoint = layout.checkpoints / f"{trial.id}.safetensors"
    if trial.method == "dense" and result.failure is None:
        write_atomically(checkpoint, save({k: v.cpu().contiguous() for k, v in model.state_dict().items()}))
    done = result.failure is None
    return Record(
        id=trial.id,
        trial=trial,
        command=trial.command(layout.name),
        status="done" if done else "failed",
        reason=result.failure,
        data=describe(images),
        network=count_network(model, layers, result.masks),
        layers=count_layers(layers, result.masks),
        curve=result.curve,
        test=evaluate(model, Images.of(images.test, device), final=True) if done else None,
        training=result.reading,
        shared_training=shared.id if shared else None,
        load_s=_load_time(model, untrained, images, device) if done else None,
        inference=_inference(trial, untrained, model, images, device, meters) if done else (),
        environment=environment(device),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def prepare(trial: Trial) -> ImageSet:
    """The trial's images, with its split and limits."""
    split_seed = trial.seed if "test-from-train" in trial.quirks else None
    return _prepared(trial.dataset, split_seed, trial.train_images, trial.test_images)


@lru_cache(maxsize=2)
def _prepared(dataset: str, split_seed: int | None, train: int | None, test: int | None) -> ImageSet:
    images = load(dataset)
    if split_seed is not None:
        images = resplit_train(images, split_seed)
    return images.limited(train, test)


def _prune_trained(trial: Trial, layout: Layout, shared: Record, model: nn.Module, layers: list[Layer]) -> Fit:
    if shared.status == "failed":
        return Fit(shared.curve, shared.training, {}, f"its dense trial {shared.id} {shared.reason}")
    _load(model, layout.checkpoints / f"{shared.id}.safetensors")
    pruning = Pruning(trial, layers, torch.Generator().manual_seed(trial.seed + 1))
    return Fit(shared.curve, shared.training, METHODS[trial.method]().finish(pruning, {}))


def _load(model: nn.Module, path: Path) -> None:
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:
        first = str(error).splitlines()[0]
        raise PaperlibError(f"damaged checkpoint {path} ({first}); delete it, and its trial trains again") from None


def describe(images: ImageSet) -> Data:
    """The provenance part of a record."""
    return Data(
        name=images.name,
        source=images.provenance.source,
        note=images.provenance.note,
        content_hash=images.content_hash,
        shape=images.shape,
        classes=len(images.classes),
        train=len(images.train),
        val=len(images.val),
        test=len(images.test),
    )


def count_layers(layers: Sequence[Layer], masks: Masks) -> tuple[LayerSparsity, ...]:
    """Nominal and counted sparsity of every layer."""
    return tuple(
        LayerSparsity(
            name=layer.name,
            unit=layer.unit,
            shape=tuple(layer.module.weight.shape),
            units=layer.units,
            removed=int((~masks[layer.name]).sum()) if layer.name in masks else 0,
            nominal=layer.nominal,
            in_scope=layer.in_scope,
        )
        for layer in layers
    )


def count_network(model: nn.Module, layers: Sequence[Layer], masks: Masks) -> Network:
    """Sizes by counting; a removed filter counts with all its weights."""
    removed = {c.name: c.removed for c in count_layers(layers, masks)}
    return Network(
        parameters=sum(p.numel() for p in model.parameters()),
        weights=sum(layer.module.weight.numel() for layer in layers),
        prunable=sum(layer.module.weight.numel() for layer in layers if layer.in_scope),
        zeros=sum(removed[layer.name] * layer.weights_per_unit for layer in layers),
    )


def _inference(
    trial: Trial, dense: nn.Module, model: nn.Module, images: ImageSet, device: str, meters: Meters
) -> tuple[Timing, ...]:
    """Masked beside dense at batch 1 and 64; the second dense copy is the A/A control."""
    networks = {"dense": dense.eval(), "dense-again": copy.deepcopy(dense).eval(), "masked": model.eval()}
    if trial.method == "dense":
        del networks["masked"]
    found: list[Timing] = []
    for size in INFERENCE_BATCHES:
        batch = _example(images, size, device)
        calls = {name: _call(network, batch) for name, network in networks.items()}
        found += compare(
            calls,
            batch_size=size,
            meters=meters,
            rounds=INFERENCE_ROUNDS,
            budget_s=INFERENCE_BUDGET_S,
            seed=trial.seed,
        )
    return tuple(found)


def _example(images: ImageSet, size: int, device: str) -> torch.Tensor:
    pixels = Images.of(images.test, device).pixels
    return pixels.repeat(-(-size // len(pixels)), 1, 1, 1)[:size].clone()


def _call(network: nn.Module, batch: torch.Tensor) -> Callable[[], object]:
    def call() -> object:
        with torch.inference_mode():
            return network(batch)

    return call


def _load_time(model: nn.Module, empty: nn.Module, images: ImageSet, device: str) -> float:
    """Seconds to read the weights from bytes and give the first answer, apart from steady state."""
    from safetensors.torch import load as parse

    stored = save({k: v.cpu().contiguous() for k, v in model.state_dict().items()})
    batch = _example(images, 1, device)
    target = copy.deepcopy(empty).eval()

    def first_answer() -> object:
        target.load_state_dict(parse(stored))
        return _call(target, batch)()

    return load_time(first_answer, Meters.for_device(device), repeats=3)
