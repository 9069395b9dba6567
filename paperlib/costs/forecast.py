"""What trials will cost on this machine, from a few steps of each kind of training on random images.

Random pixels do: time, energy and memory depend on shapes, not on what is seen. So nothing is fetched or decoded.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context

import numpy as np
import torch

from paperlib.core.errors import FailedError
from paperlib.costs import cpu_study, measurement
from paperlib.costs.memory import count_step_memory
from paperlib.costs.paired import MIN_ROUNDS
from paperlib.costs.records import BATCHES
from paperlib.data import DATASETS
from paperlib.data.imageset import Split
from paperlib.data.sources import find_images
from paperlib.data.spec import parse_name
from paperlib.data.splits import VALIDATION
from paperlib.execution.flops import count
from paperlib.meters import Meters
from paperlib.pruners import METHODS, layers_of
from paperlib.schema.cost import PROCESSES, CostSetting, Effort
from paperlib.schema.measurement import EnergySource, Measurement
from paperlib.schema.trial import Trial
from paperlib.trials.autotune import apply_memory_format, autotune_compute
from paperlib.trials.environment import cores, devices
from paperlib.trials.runner import build_network, dense_baseline, threads_for
from paperlib.trials.subprocess_runner import CRASHES
from paperlib.trials.training import DeviceSplit, evaluate, fit, make_optimizer

TRAIN_S = 1.0  # of training per kind
REPEATS = 2  # of which the faster counts: what else the machine does only slows
COPIES = 5  # of the weights in memory: gradients, optimiser state, a checkpoint
START_S = 4.0  # of a fresh process with torch


@dataclass(frozen=True)
class Rate:
    """One kind of training as measured: seconds per image trained and evaluated and per epoch, watts, bytes.

    rest_s: everything but training and evaluation: building, counting.
    watts: mean over training, None where no meter answers.
    """

    train_s: float
    epoch_s: float
    eval_s: float
    rest_s: float
    watts: float | None
    source: EnergySource | None
    weights_bytes: int


@dataclass(frozen=True)
class Cost:
    """Forecast of one or several trials; sums of what is known."""

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


def kind(trial: Trial) -> Trial:
    """The trial whose calibration stands for this one: same shapes, batch, optimiser and filters removed.

    Single weights removed, seeds, scopes and learning rates change no cost of a masked layer. `magnitude-gradual`
    starts dense and is charged as dense, which is an upper bound; post-training and the constant predictor train
    nothing.
    """
    info = parse_name(trial.dataset).info
    peer = next(name for name, other in DATASETS.items() if other.shape == info.shape)
    method = "small-dense" if trial.method == "small-dense" else "pre-training"
    gradual = trial.method == "magnitude-gradual" or METHODS[trial.method].weights_from != "itself"
    costless = {
        "dataset": peer, "seed": 0, "epochs": 1, "lr": 1e-4, "train_images": None, "test_images": None,
        "real_images": False, "quirks": (), "schedule": "constant",
    }  # fmt: skip
    dense = dense_baseline(trial).model_copy(update=costless)
    pruned = {"method": method, "sparsity": trial.sparsity, "conv_sparsity": trial.conv_sparsity}
    is_smaller = method == "small-dense" or (trial.conv_sparsity and not gradual)
    return dense.model_copy(update=pruned) if is_smaller else dense


def calibrate(trials: Iterable[Trial]) -> dict[Trial, Rate]:
    """A measured rate for every kind among the trials; about a second each.

    Measured in a process of their own, as trials are run: after a crash of a native library another one goes on.
    Raises FailedError after the third crash.
    """
    rates: dict[Trial, Rate] = {}
    kinds = dict.fromkeys(kind(trial) for trial in trials)
    for _ in range(CRASHES):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            try:
                for trial in kinds:
                    if trial not in rates:
                        rates[trial] = min(pool.map(measure, [trial] * REPEATS), key=lambda rate: rate.train_s)
            except BrokenProcessPool:
                continue
        return rates
    raise FailedError(f"calibration crashed {CRASHES} times; run the plan again, or with --only for other notebooks")


def measure(trial: Trial) -> Rate:
    """Train and evaluate the trial's network on random images for about a second.

    The batch is smaller than the trial's where a step would take long; seconds per image are then an upper bound.
    """
    info, device = DATASETS[trial.dataset], devices()[0]
    side = (trial.resolution, trial.resolution) if trial.resolution else info.shape[:2]
    shape = (*side, info.shape[2])
    meters = Meters.for_device(device)
    model = build_network(trial, shape, len(info.classes)).to(device)
    with threads_for(model):
        evaluate(model, _random(shape, 2, device))
        eval_s = _seconds(lambda: evaluate(model, _random(shape, 2, device))) / 2
        batch = min(trial.batch_size, 2 ** max(1, int(math.log2(max(2.0, TRAIN_S / 8 / eval_s)))))  # as users choose it
        few = trial.model_copy(update={"batch_size": batch})
        compute = autotune_compute(few, model, _random(shape, 2 * batch, device))
        model, bf16 = apply_memory_format(model, compute.choice), compute.choice.startswith("bf16")
        steps = max(8 if eval_s < 0.01 else 4, min(400, int(TRAIN_S / (4 * eval_s * batch))))
        images = _random(shape, steps * batch, device)
        part = replace(images, pixels=images.pixels[: len(images) // 4], labels=images.labels[: len(images) // 4])

        def trained(on: DeviceSplit) -> Measurement:
            return meters.measure(lambda: fit(few, model, layers_of(model, few), on, part, bf16=bf16))

        short, spent = trained(part), trained(images)
        # An epoch begins with new masks and a new compact network: a cost of its own, beside that of its images.
        slope = (spent.time_s - short.time_s) / (len(images) - len(part))
        train_s = slope if 0 < slope * len(images) < spent.time_s else spent.time_s / len(images)
        epoch_s = max(0.0, spent.time_s - train_s * len(images))
        sample = _random(shape, max(2, min(512, int(0.2 / eval_s))), device)
        evaluate(model, sample, bf16=bf16)
        eval_s = _seconds(lambda: evaluate(model, sample, bf16=bf16)) / len(sample)
        rest_s = _seconds(lambda: (build_network(trial, shape, len(info.classes)), make_optimizer(trial, model)))
        rest_s += _seconds(lambda: count(model, {}, shape))
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    watts = None if spent.energy_j is None else spent.energy_j / spent.time_s
    return Rate(train_s, epoch_s, eval_s, rest_s, watts, spent.energy_source, weights)


def cost(trial: Trial, rate: Rate) -> Cost:
    """The forecast of one trial that has no record. Post-training is charged nothing for its dense trial."""
    limits = trial.train_images, trial.test_images
    train, val, test = split_sizes(trial.dataset, trial.resolution, *limits, real=trial.real_images)
    seconds = rate.rest_s + test * rate.eval_s
    if METHODS[trial.method].weights_from == "itself":
        seconds += trial.epochs * (rate.epoch_s + train * rate.train_s + val * rate.eval_s)
    height, width, channels = parse_name(trial.dataset).info.shape
    side = (trial.resolution or height) * (trial.resolution or width)
    images = (train + val + test) * side * channels
    return Cost(
        seconds,
        None if rate.watts is None else seconds * rate.watts,
        RECORD_BYTES + (rate.weights_bytes if trial.method == "dense" else 0),
        images + COPIES * rate.weights_bytes,
    )


RECORD_BYTES = 12_000  # of JSON, as the records of `quick` take


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


def edge_cost(todo: Sequence[cpu_study.CpuSetting], watts: float | None) -> Cost:
    """The forecast of these networks of the CPU study: one of each model is tried without its time for repeats."""
    seconds, repeats = 0.0, len(BATCHES) * len({1, cores()})
    tried: dict[tuple[str, bool], float] = {}
    for setting in todo:
        like = (setting.model, setting.quantised)
        if like not in tried:
            quick = setting.model_copy(update={"budget_s": 0.01})
            tried[like] = _seconds(lambda quick=quick: cpu_study.measure(quick))  # type: ignore[misc]
        seconds += tried[like] + repeats * setting.budget_s
    return Cost(seconds, None if watts is None else seconds * watts, len(todo) * RECORD_BYTES, 0)


def costs_cost(todo: Sequence[CostSetting], effort: Effort, watts: float | None) -> Cost:
    """The forecast of measuring these costs: one dense step of each network is tried, if that fits into memory."""
    networks: dict[CostSetting, int] = {}
    for setting in todo:
        networks[setting.network] = networks.get(setting.network, 2) + 1  # dense twice, then what is masked or realised
    memory = 0
    seconds = PROCESSES * START_S if networks else 0.0
    for network, variants in networks.items():
        step_s = measurement.seconds_of_step(network)
        forward_s = step_s * sum(BATCHES) / network.batch_size / 3  # a training step is some three forward passes
        least = (MIN_ROUNDS + 1) * variants * (step_s + forward_s)
        seconds += PROCESSES * max(least, 3 * effort.budget_s)
        memory = max(
            memory, measurement.NETWORKS * count_step_memory(network, measurement.build_network(network)).total
        )
    disk = len(todo) * RECORD_BYTES
    return Cost(seconds, None if watts is None else seconds * watts, disk, memory)


def total(costs: Sequence[Cost]) -> Cost:
    """All of them in sequence."""
    return sum(costs, Cost())


def _random(shape: tuple[int, int, int], n: int, device: str) -> DeviceSplit:
    rng = np.random.default_rng(0)
    return DeviceSplit.of(Split(rng.integers(0, 256, (n, *shape), np.uint8), np.arange(n) % 2), device)


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start
