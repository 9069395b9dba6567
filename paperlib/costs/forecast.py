"""What trials, costs and the CPU study will take on this machine: what a step costs, times how many there are."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

from paperlib.costs import cpu_study
from paperlib.costs.measurement import INFERENCE, NETWORKS
from paperlib.costs.paired import MIN_ROUNDS
from paperlib.costs.records import BATCHES
from paperlib.costs.unit_costs import Kind, UnitCosts, units_of
from paperlib.data.sources import find_images
from paperlib.data.spec import parse_name
from paperlib.data.splits import VALIDATION
from paperlib.pruners import METHODS
from paperlib.pruners.methods import SET
from paperlib.schema.cost import MEASURED, PROCESSES, CostRecord, CostSetting, Effort, make_cost_setting
from paperlib.schema.trial import Trial
from paperlib.trials.environment import cores, devices
from paperlib.trials.images import shape_of
from paperlib.trials.runner import width_of
from paperlib.trials.stacks import LARGEST, groups_of

RECORD_BYTES = 12_000  # of JSON, as the records of `quick` take
START_S = 2.5  # of a fresh process with torch
# From so many networks in a stack on: the time of each, as a share of the same training alone (benchmarks/stacked.py).
STACKED_SHARES = ((64, 0.13), (16, 0.25))
# Of a network whose costs are measured: masks and copies in each process, by weights and settings; counting, once.
SETUP_S, COUNTING_S = 2e-8, 0.2
CPU_VARIANTS, CPU_SETUP_S = 8, 3.0  # of one network in the CPU study: exporting, quantising, compiling


_width = cache(width_of)  # small-dense searches for its width


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
    method, (shape, classes) = METHODS[trial.method], shape_of(trial)
    classes = classes if trial.model.startswith("mlp") else 10
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


def costs_of(trials: Collection[Trial], units: Mapping[Trial, UnitCosts]) -> dict[Trial, Cost]:
    """The forecast of each of these trials, none of which has a record; those that train as one share its time."""
    shares = dict[Trial, float]()
    for group in groups_of(trials):
        if units[group[0]].weights_bytes / 4 <= LARGEST:
            shares |= dict.fromkeys(group, next((share for least, share in STACKED_SHARES if len(group) >= least), 1.0))
    return {trial: cost(trial, units[trial], shares.get(trial, 1.0)) for trial in trials}


def cost(trial: Trial, unit: UnitCosts, share: float = 1.0) -> Cost:
    """The forecast of one trial that has no record. Post-training is charged nothing for its dense trial.

    share: of the time of its training alone, what its share of a stack's takes.
    """
    limits = trial.train_images, trial.test_images
    train, val, test = split_sizes(trial.dataset, trial.resolution, *limits, real=trial.real_images)
    seconds = unit.building_s + test * unit.image_s
    if trains(trial):
        steps = math.ceil(train / trial.batch_size)
        seconds += share * trial.epochs * (unit.boundary_s + steps * unit.step_s + val * unit.image_s)
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
    return Kind(make_cost_setting(model=setting.model, width=setting.width, shape=setting.shape))


def cpu_study_cost(todo: Sequence[cpu_study.CpuSetting], units: dict[Kind, UnitCosts]) -> Cost:
    """The forecast of these networks: setup, and a comparison at each batch size and number of threads."""
    costs = []
    for setting in todo:
        unit, seconds = units[kind_of_cpu(setting)], CPU_SETUP_S
        for images, threads in product(BATCHES, {1, cores()}):
            work = images * unit.image_s * cores() / threads
            rounds = (MIN_ROUNDS + 1) * (CPU_VARIANTS + 4 * setting.runtimes) * work
            seconds += max(setting.budget_s * (1 + setting.runtimes), rounds)
        if setting.trains:
            step_s = unit.step_s * max(BATCHES) / kind_of_cpu(setting).setting.batch_size
            seconds += sum(
                max(setting.budget_s, (MIN_ROUNDS + 1) * 4 * step_s * cores() / threads) for threads in {1, cores()}
            )
        costs.append(_cost(seconds, unit, RECORD_BYTES, unit.memory_bytes))
    return total(costs)


def costs_cost(todo: Mapping[CostSetting, Effort], units: dict[Kind, UnitCosts], processes: int = PROCESSES) -> Cost:
    """The forecast of measuring these costs, each with its effort: the budgets of comparisons, or their least rounds.

    A network's settings are compared beside dense twice and masked ones, in three comparisons per process. What skips
    work is faster and in fewer rounds, and shared by some settings: a sixth of dense's time for each.
    """
    costs = [Cost(processes * START_S if todo else 0.0)]
    for (network, effort), settings in Counter((s.network, effort) for s, effort in todo.items()).items():
        unit, parts = units[Kind(network)], (1.0, *(INFERENCE for _ in BATCHES))
        calls = (effort.min_rounds + 1) * (min(2 * settings, 4) + settings / 6)
        times = (unit.step_s, *(size * unit.image_s for size in BATCHES))
        compared = sum(max(calls * time, part * effort.budget_s) for time, part in zip(times, parts, strict=True))
        setup = SETUP_S * settings * unit.weights_bytes / 4
        seconds = processes * (compared + setup) + settings * (COUNTING_S + effort.training_s)
        costs.append(_cost(seconds, unit, settings * RECORD_BYTES, NETWORKS * unit.memory_bytes))
    return total(costs)


def cost_of(
    trials: Sequence[Trial], settings: Mapping[CostSetting, Effort], records: Iterable[CostRecord], processes: int
) -> Cost:
    """The forecast of these trials, none of which has a record, and of these costs in so many processes each."""
    kinds = {trial: kind(trial) for trial in trials}
    units = units_of([*kinds.values(), *(Kind(setting.network) for setting in settings)], records)
    of_trials = total(costs_of(kinds, {trial: units[of] for trial, of in kinds.items()}).values())
    return of_trials + costs_cost(settings, units, processes) if settings else of_trials


def _cost(seconds: float, unit: UnitCosts, disk_bytes: int, memory_bytes: int) -> Cost:
    return Cost(seconds, None if unit.watts is None else seconds * unit.watts, disk_bytes, memory_bytes)
