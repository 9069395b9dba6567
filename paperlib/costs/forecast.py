"""What trials, costs and the CPU study will take on this machine: what a step costs, times how many there are."""

import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import NamedTuple

import torch

from paperlib.costs import cpu_study
from paperlib.costs.measurement import NETWORKS, build_network
from paperlib.costs.memory import count_step_memory
from paperlib.costs.paired import MIN_ROUNDS
from paperlib.costs.records import BATCHES, cost_table
from paperlib.costs.training_step import MaskedTraining, TrainableNetwork, make_masks
from paperlib.data.sources import find_images
from paperlib.data.spec import parse_name
from paperlib.data.splits import VALIDATION
from paperlib.execution.flops import count
from paperlib.execution.steps import is_small_mlp, steps_for
from paperlib.meters import Meters
from paperlib.pruners import METHODS, MaskEnforcer, layers_of
from paperlib.pruners.methods import SET
from paperlib.schema.cost import MEASURED, PROCESSES, CostRecord, CostSetting, Effort, make_cost_setting
from paperlib.schema.measurement import EnergySource, Measurement
from paperlib.schema.trial import Compute, Trial
from paperlib.trials.autotune import apply_memory_format, autotune_compute
from paperlib.trials.environment import cores, cpu_name, devices
from paperlib.trials.images import DeviceSplit
from paperlib.trials.metrics import scores
from paperlib.trials.optimizers import loss_of
from paperlib.trials.resources import threads_for
from paperlib.trials.runner import width_of
from paperlib.trials.subprocess_runner import in_fresh_process
from paperlib.trials.training import eval_logits, evaluate

WINDOW_S = 0.15  # of steps that are timed at once
RECORD_BYTES = 12_000  # of JSON, as the records of `quick` take
START_S = 4.0  # of a fresh process with torch
CPU_VARIANTS, CPU_SETUP_S = 8, 3.0  # of one network in the CPU study: exporting, quantising, compiling


_width = cache(width_of)  # small-dense searches for its width


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


@dataclass(frozen=True)
class Cost:
    """Forecast of one or several pieces of work; sums of what is known."""

    time_s: float = 0.0
    energy_j: float | None = 0.0
    disk_bytes: int = 0
    memory_bytes: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        """In sequence: times, energies and disk add, memory is the larger one; an unknown energy stays unknown."""
        energies = self.energy_j, other.energy_j
        return Cost(
            self.time_s + other.time_s,
            None if None in energies else sum(e for e in energies if e is not None),
            self.disk_bytes + other.disk_bytes,
            max(self.memory_bytes, other.memory_bytes),
        )


def total(costs: Iterable[Cost]) -> Cost:
    """All of them in sequence."""
    return sum(costs, Cost())


def kind(trial: Trial) -> Kind:
    """What the trial's network and training cost as much as.

    Single weights removed, seeds and learning rates change no step, nor do the classes of a convolutional network.
    Where filters go, uniform masks are one kind and Erdős–Rényi's another. Methods that prune in rounds are charged
    as dense, an upper bound; post-training and the constant predictor train nothing.
    """
    method, info = METHODS[trial.method], parse_name(trial.dataset).info
    height, width, channels = info.shape
    shape = trial.resolution or height, trial.resolution or width, channels
    classes = len(info.classes) if trial.model.startswith("mlp") else 10
    pruning = {name: getattr(trial, name) for name in ("model", "width", "scope", "sparsity", "conv_sparsity")}
    fields = {"model": trial.model, "width": _width(trial.model_copy(update={"seed": 0}), shape, classes)}
    if trial.conv_sparsity and trial.execution == "compact" and trial.method in MEASURED and trains(trial):
        fields = pruning | {"method": "set" if issubclass(method, SET) else "in-training"}
    setting = make_cost_setting(
        shape=shape, classes=classes, batch_size=trial.batch_size, optimizer=trial.optimizer, options=trial.options,
        device="cuda" if devices()[0].startswith("cuda") else "cpu", **fields,
    )  # fmt: skip
    return Kind(setting, trial.compute)


def trains(trial: Trial) -> bool:
    """Whether the trial trains a network itself."""
    return METHODS[trial.method].weights_from == "itself"


def unit_costs(kinds: Iterable[Kind], records: Iterable[CostRecord]) -> dict[Kind, UnitCosts]:
    """By kind: from its cost record where there is one of this processor; the others are measured in a fresh process.

    A record knows torch's steps, so small perceptrons, which are trained faster, are always measured. Raises
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
        two = _random(setting, 2, device)
        evaluate(model, two)
        image_s = meters.measure(lambda: evaluate(model, two)).time_s / 2
        size = min(setting.batch_size, 2 ** max(1, int(math.log2(max(2, WINDOW_S / image_s)))))
        batch = next(_random(setting, size, device).batches(size))
        network = TrainableNetwork(setting.model_copy(update={"compute": number_format[:4]}), model, batch)
        trained, optimizer, boundary_s = model, network.optimizer, 0.0
        if setting.method != "dense":
            masks = make_masks(setting, layers_of(model, trial), 0)
            training = MaskedTraining.of(network.setting, network, masks, 0)
            boundary_s = max(training.boundary_seconds().values())
            if training.compact is not None:
                trained, optimizer = training.compact.model, training.compact.optimizer
        steps = steps_for(trained, optimizer, MaskEnforcer([], optimizer), loss_of(trial), bf16)

        def train(count: int) -> Measurement:
            images = _random(setting, count * size, device)
            return meters.measure(lambda: steps.epoch(images.batches(size, torch.randperm(len(images), device=device))))

        train(2)
        first = train(2).time_s / 2
        number = min(200, max(2, int(WINDOW_S / first)))
        spent, sample = train(number), _random(setting, number * size, device)
        image_s = meters.measure(lambda: evaluate(model, sample, bf16=bf16)).time_s / len(sample)
    return UnitCosts(
        step_s=min(first, spent.time_s / number) * setting.batch_size / size,  # other work only slows
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
    images, seconds = _random(network, 2 * network.classes, "cpu"), 0.0
    for _ in range(2):  # the first time imports
        start = time.perf_counter()
        model = build_network(network)
        count(model, {}, network.shape)
        scores(eval_logits(model, images), images.labels, final=True)
        seconds = time.perf_counter() - start
    return seconds, count_step_memory(network, model).total


def _random(setting: CostSetting, n: int, device: str) -> DeviceSplit:
    height, width, channels = setting.shape
    pixels = torch.randint(0, 256, (n, channels, height, width), dtype=torch.uint8)
    return DeviceSplit(pixels.to(device), torch.arange(n, device=device) % setting.classes)


def cost(trial: Trial, unit: UnitCosts) -> Cost:
    """The forecast of one trial that has no record. Post-training is charged nothing for its dense trial."""
    limits = trial.train_images, trial.test_images
    train, val, test = split_sizes(trial.dataset, trial.resolution, *limits, real=trial.real_images)
    seconds = unit.building_s + test * unit.image_s
    if trains(trial):
        steps = math.ceil(train / trial.batch_size)
        seconds += trial.epochs * (unit.boundary_s + steps * unit.step_s + val * unit.image_s)
    height, width, channels = parse_name(trial.dataset).info.shape
    side = (trial.resolution or height) * (trial.resolution or width)
    disk = RECORD_BYTES + (unit.weights_bytes if trial.method == "dense" else 0)
    return _cost(seconds, unit, disk, (train + val + test) * side * channels + unit.memory_bytes)


@cache
def split_sizes(
    dataset: str, resolution: int | None, train_images: int | None, test_images: int | None, *, real: bool
) -> tuple[int, int, int]:
    """(train, validation, test) images that the trial will see, counted by the images that this machine has.

    A trial that refuses a stand-in is charged with the official counts (of the whole set for a reduced one).
    """
    spec = parse_name(dataset)
    images = find_images(spec, resolution)
    train, val, test = spec.info.counts if real and images.source == "stand-in" else images.counts
    if not val:
        val = round(VALIDATION * train)
        train -= val
    share = min(1.0, (train_images or train) / train)
    return round(share * train), round(share * val), min(test, test_images or test)


def kind_of_cpu(setting: cpu_study.CpuSetting) -> Kind:
    """The network of the CPU study, dense."""
    return Kind(make_cost_setting(model=setting.model, width=setting.width, shape=cpu_study.SHAPE))


def cpu_study_cost(todo: Sequence[cpu_study.CpuSetting], units: dict[Kind, UnitCosts]) -> Cost:
    """The forecast of these networks: setup, and a comparison at each batch size and number of threads."""
    costs = []
    for setting in todo:
        unit, seconds = units[kind_of_cpu(setting)], CPU_SETUP_S
        for images, threads in product(BATCHES, {1, cores()}):
            work = images * unit.image_s * cores() / threads
            seconds += max(setting.budget_s, (MIN_ROUNDS + 1) * CPU_VARIANTS * work)
        costs.append(_cost(seconds, unit, RECORD_BYTES, unit.memory_bytes))
    return total(costs)


def costs_cost(todo: Mapping[CostSetting, Effort], units: dict[Kind, UnitCosts]) -> Cost:
    """The forecast of measuring these costs, each with its effort: the budgets of comparisons, or their least rounds.

    A network's settings are compared beside dense twice, in three comparisons per process; those that remove equally
    many units, about half, are measured once.
    """
    costs = [Cost(PROCESSES * START_S if todo else 0.0)]
    for (network, effort), settings in Counter((s.network, effort) for s, effort in todo.items()).items():
        unit = units[Kind(network)]
        least = (effort.min_rounds + 1) * (settings / 2 + 2) * (unit.step_s + sum(BATCHES) * unit.image_s)
        seconds = PROCESSES * max(least, 3 * effort.budget_s) + settings * effort.training_s
        costs.append(_cost(seconds, unit, settings * RECORD_BYTES, NETWORKS * unit.memory_bytes))
    return total(costs)


def _cost(seconds: float, unit: UnitCosts, disk_bytes: int, memory_bytes: int) -> Cost:
    return Cost(seconds, None if unit.watts is None else seconds * unit.watts, disk_bytes, memory_bytes)
