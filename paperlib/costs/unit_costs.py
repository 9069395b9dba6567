"""What a training step, an epoch boundary and an evaluated image cost here: recorded, or measured by a few steps."""

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import torch

from paperlib.costs.memory import count_step_memory
from paperlib.costs.records import BATCHES, cost_table
from paperlib.costs.training_step import MaskedTraining, TrainableNetwork, build_network, make_masks
from paperlib.execution.flops import count
from paperlib.execution.steps import is_small_mlp, steps_for
from paperlib.meters import Meters
from paperlib.pruners import MaskEnforcer, layers_of
from paperlib.schema.cost import CostRecord, CostSetting
from paperlib.schema.measurement import EnergySource, Measurement
from paperlib.schema.trial import Compute
from paperlib.trials.autotune import apply_memory_format, autotune_compute
from paperlib.trials.environment import cpu_name, devices
from paperlib.trials.images import DeviceSplit
from paperlib.trials.metrics import scores
from paperlib.trials.optimizers import loss_of
from paperlib.trials.resources import threads_for
from paperlib.trials.subprocess_runner import in_fresh_process
from paperlib.trials.training import evaluate

WINDOW_S = 0.15  # of steps that are timed at once
FORWARD_S = 0.5  # at most, of the forward pass of a batch that is tried


class Kind(NamedTuple):
    """Trainings that cost the same: network, pruning and optimiser, and the number format that the trial asks for."""

    setting: CostSetting
    compute: Compute = "fp32"


@dataclass(frozen=True)
class UnitCosts:
    """What one kind costs, recorded or measured.

    step_s: seconds of a training step; boundary_s: of an epoch's new masks and of cutting out the compact network;
    image_s: of the forward pass of one image in evaluation; building_s: of building, counting and scoring a network.
    watts: mean power of the steps, None where no meter answers. memory_bytes: counted peak of a dense step.
    """

    step_s: float
    boundary_s: float
    image_s: float
    building_s: float
    watts: float | None
    source: EnergySource | None
    memory_bytes: int
    weights_bytes: int


def units_of(kinds: Iterable[Kind], records: Iterable[CostRecord]) -> dict[Kind, UnitCosts]:
    """By kind: from its cost record where there is one of this processor; the others are measured in a fresh process.

    A record knows torch's steps; small perceptrons, whose training takes others, are always measured. Raises
    FailedError if the process dies.
    """
    kinds = list(dict.fromkeys(kinds))
    found = {Kind(r.setting, r.setting.compute): r for r in records if r.runs[0].environment.cpu == cpu_name()}
    known = {k: from_record(found[k]) for k in kinds if k in found and not _is_small_mlp(k.setting)}
    missing = [k for k in kinds if k not in known]
    return known | (dict(zip(missing, in_fresh_process(measure, missing), strict=True)) if missing else {})


def _is_small_mlp(setting: CostSetting) -> bool:
    with torch.device("meta"):
        return is_small_mlp(build_network(setting))


def from_record(record: CostRecord) -> UnitCosts:
    """What a cost record says of the fastest exact training, medians over its processes."""
    table, setting = cost_table([record]), record.setting
    row = table.median(numeric_only=True)
    watts = row.get("realised_step_energy_j", math.nan) * setting.batch_size / row.realised_step_s
    return UnitCosts(
        step_s=row.realised_step_s,
        boundary_s=row.realised_boundary_s,
        image_s=row[f"inference_b{max(BATCHES)}_s"] / max(BATCHES),
        building_s=row.dense_cold_s,
        watts=None if math.isnan(watts) else watts,
        source=table.step_energy_source[0],
        memory_bytes=int(row.dense_memory_bytes),
        weights_bytes=record.costs.dense_bytes,
    )


def measure(kinds: Sequence[Kind]) -> list[UnitCosts]:
    """Some steps and an evaluation of each kind on random images, in this process.

    Where `auto` is asked for, the first network of a model decides which number format is fastest for all of them.
    """
    meters, formats, units = Meters.for_device(devices()[0]), dict[tuple[str, Compute], str](), list[UnitCosts]()
    for setting, compute in kinds:
        if (setting.model, compute) not in formats:
            few = _random(setting, 8, meters.device)
            trial = setting.trial().model_copy(update={"compute": compute, "batch_size": 4})
            chosen = autotune_compute(trial, build_network(setting).to(meters.device), few, steps=1)
            formats[setting.model, compute] = chosen.choice
        units.append(_measure(setting, formats[setting.model, compute], meters))
    return units


def _measure(setting: CostSetting, number_format: str, meters: Meters) -> UnitCosts:
    """The batch is smaller than the setting's where a step would take long: seconds are then an upper bound."""
    device, bf16, trial = meters.device, number_format.startswith("bf16"), setting.trial()
    building_s, memory_bytes = _of_network(setting.network)
    model = apply_memory_format(build_network(setting).to(device), number_format)
    with threads_for(model):
        few = _random(setting, 8, device)  # fewer would be charged with reading all weights
        evaluate(model, few)
        image_s = meters.measure(lambda: evaluate(model, few)).time_s / len(few)
        size = min(setting.batch_size, 2 ** max(1, int(math.log2(max(2, FORWARD_S / image_s)))))
        batch = next(_random(setting, size, device).batches(size))
        network = TrainableNetwork(setting.model_copy(update={"compute": number_format[:4]}), model, batch)
        trained, optimizer, boundary_s = model, network.optimizer, 0.0
        if setting.method != "dense":
            masks = make_masks(setting, layers_of(model, trial), 0)
            training = MaskedTraining.of(network.setting, network, masks, 0)
            boundary_s = training.update_seconds() + training.rebuild_seconds()
            if training.realised is not None:
                trained, optimizer = training.realised.model, training.realised.optimizer
        steps = steps_for(trained, optimizer, MaskEnforcer([], optimizer), loss_of(trial), bf16)

        def train(count: int) -> Measurement:
            images = _random(setting, count * size, device)
            return meters.measure(lambda: steps.epoch(images.batches(size, torch.randperm(len(images), device=device))))

        train(1)
        spent, number = train(2), 2
        if spent.time_s < WINDOW_S:
            number = min(200, int(2 * WINDOW_S / spent.time_s))
            spent = train(number)
        sample = _random(setting, number * size, device)
        image_s = meters.measure(lambda: evaluate(model, sample, bf16=bf16)).time_s / len(sample)
    return UnitCosts(
        step_s=spent.time_s / number * setting.batch_size / size,
        boundary_s=boundary_s,
        image_s=image_s,
        building_s=building_s,
        watts=None if spent.energy_j is None else spent.energy_j / spent.time_s,
        source=spent.energy_source,
        memory_bytes=memory_bytes,
        weights_bytes=sum(p.numel() * p.element_size() for p in model.parameters()),
    )


@cache
def _of_network(network: CostSetting) -> tuple[float, int]:
    """Seconds to build, count and score it, and counted bytes of a step."""
    labels, seconds = torch.arange(2 * network.classes) % network.classes, 0.0
    for _ in range(2):  # the first time imports
        start = time.perf_counter()
        model = build_network(network)
        count(model, {}, network.shape)
        scores(torch.randn(len(labels), network.classes), labels, final=True)
        seconds = time.perf_counter() - start
    return seconds, count_step_memory(network, model).total


def _random(setting: CostSetting, n: int, device: str) -> DeviceSplit:
    height, width, channels = setting.shape
    pixels = torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8)
    return DeviceSplit(pixels.to(device), torch.arange(n, device=device) % setting.classes)
