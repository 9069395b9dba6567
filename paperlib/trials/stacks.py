"""Stacks: trials of perceptrons of one shape that train as one."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
import psutil
import torch
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.data import ImageSet
from paperlib.execution.perceptron import is_perceptron
from paperlib.execution.stacked import ELEMENTWISE, Network, RandomSource, StackedSteps
from paperlib.models import build
from paperlib.pruners import METHODS, Layer, Method, apply_masks
from paperlib.schema.trial import Trial
from paperlib.trials.images import DeviceSplit
from paperlib.trials.optimizers import optimizer_of
from paperlib.trials.resources import limit_threads
from paperlib.trials.training import EVAL_BATCH, ShuffledImages, Training, TrainingResult, callbacks_of, scheduled

NETWORKS = 64  # in a stack at most: more are no faster (benchmarks/stacked.py)
STACK_S = 60.0  # of training at most, about: a kill loses no more
# Seconds of an image and parameter of one network in a stack, from batch 64 on: mlp-small's 13,002 take 29 ms for
# 60,000 images on 2 cores (benchmarks/stacked.py). A GPU is taken to be 50 times as fast.
WORK_S = {"cpu": 0.029 / 60_000 / 13_002, "cuda": 0.029 / 60_000 / 13_002 / 50}
PART = 16  # networks that a thread of a CPU should have: with fewer, threads wait for Python's lock
LARGEST = 1_000_000  # parameters above which a CPU gains nothing from a stack
COPIES = 8  # of the parameters: weights, gradients, optimizer state, masks as factors and as they are, old weights


@dataclass(frozen=True, eq=False)
class Untrained:
    """A trial of a stack with its untrained network; random: where in the global sequence its dropout begins."""

    trial: Trial
    model: nn.Module
    layers: list[Layer]
    random: RandomSource


def groups_of(trials: Iterable[Trial]) -> list[list[Trial]]:
    """The trials that can train together, two or more in a group: perceptrons of one shape on the same batches.

    Those of one seed stand side by side, whatever order they came in, and so do those of one learning rate.
    """
    groups: dict[object, list[Trial]] = {}
    for trial in trials:
        if _can_stack(trial):
            network = (trial.selection, trial.real_images, trial.model, trial.width)
            training = (trial.batch_size, trial.epochs, trial.schedule, trial.augment, "double-softmax" in trial.quirks)
            groups.setdefault((network, training), []).append(trial)
    return [
        sorted(group, key=lambda t: (t.seed, t.optimizer, t.lr, t.id)) for group in groups.values() if len(group) > 1
    ]


def _can_stack(trial: Trial) -> bool:
    try:
        method = METHODS[trial.method]
        itself = method.weights_from == "itself" and method.width is Method.width
        return itself and trial.compute == "fp32" and optimizer_of(trial)[0] in ELEMENTWISE and _is_mlp(trial)
    except PaperlibError:  # whatever is wrong with it shows when it runs alone
        return False


def _is_mlp(trial: Trial) -> bool:
    with torch.device("meta"):
        return is_perceptron(build(trial.model, (32, 32, 3), 10, trial.width))


def stack_size(trial: Trial, images: ImageSet, device: str) -> int:
    """How many networks like the trial's to train together on these images, by a rule without a clock: the cut between
    stacks decides last digits. 1 where they are to train alone."""
    with torch.device("meta"):
        model = build(trial.model, images.shape, len(images.classes), trial.width)
    parameters, kind = sum(p.numel() for p in model.parameters()), torch.device(device).type
    if kind == "cpu" and parameters > LARGEST:
        return 1
    free = psutil.virtual_memory().available if kind == "cpu" else torch.cuda.mem_get_info(device)[0]
    each_bytes = 4 * (COPIES * parameters + 2 * len(images.train) * len(images.classes))
    small_batch = max(1.0, 64 / trial.batch_size)  # steps take as long for few images as for many
    each_s = WORK_S[kind] * parameters * len(images.train) * trial.epochs * small_batch
    return max(1, min(NETWORKS, int(STACK_S / each_s), int(free / 4 / each_bytes)))


def cut(group: Iterable[Trial], size: int) -> Iterator[list[Trial]]:
    """Stacks of at most `size` trials, those of one seed in one stack where they fit: they share their batches."""
    stack: list[Trial] = []
    for _, same in groupby(group, key=lambda t: t.seed):
        trials = list(same)
        if stack and len(stack) + len(trials) > size:
            yield stack
            stack = []
        stack += trials
        while len(stack) > size:
            yield stack[:size]
            stack = stack[size:]
    yield stack


def threads_of(networks: int, device: torch.device) -> int:
    """How many threads train a stack of so many networks."""
    return max(1, min(torch.get_num_threads(), networks // PART)) if device.type == "cpu" else 1


class _Part:
    """Networks of a stack that one thread trains, and what became of those whose methods raised.

    share: which share of a second spent on the stack counts as one network's.
    """

    def __init__(self, networks: Sequence[Untrained], train: DeviceSplit, val: DeviceSplit, share: float) -> None:
        self.val, self.share, self.errors = val, share, dict[Training, PaperlibError]()
        images = {x.trial.seed: ShuffledImages(x.trial, train) for x in networks}
        self.images = list(images.values())
        self.trainings = [
            Training(x.trial, x.model, x.layers, images[x.trial.seed], callbacks_of(val), x.random) for x in networks
        ]
        shared = [len(list(group)) for _, group in groupby(networks, key=lambda x: x.trial.seed)]
        members = [Network(t.model, t.optimizer, t.enforcer, t.random) for t in self.trainings]
        self.steps = StackedSteps(members, self.trainings[0].loss, shared)

    def train_epoch(self, epoch: int) -> None:
        """One epoch of all networks."""
        start = time.perf_counter()
        for images in self.images:
            images.next_epoch()
        for training in self._going():
            with self._errors_of(training):
                training.begin_epoch(epoch)
        first, *others = (images.batches() for images in self.images)
        logits = self.steps.epoch(scheduled(first, self.trainings, epoch), *others)
        seconds = (time.perf_counter() - start) * self.share
        val_logits = self.steps.predict(self.val.batches(EVAL_BATCH))
        going = self._going()
        for place, training in enumerate(self.trainings):
            if training in going:
                training.end_epoch(logits[place], val_logits[place], seconds)

    def results(self, test: DeviceSplit) -> list[TrainingResult | PaperlibError]:
        """What became of each network, in order, its final masks applied."""
        results = dict[Training, TrainingResult]()
        for training in self.trainings:
            with self._errors_of(training):
                results[training] = training.result(self.steps.engine)
                apply_masks(training.layers, results[training].masks)
        logits = self.steps.predict(test.batches(EVAL_BATCH))
        return [
            self.errors.get(t) or replace(results[t], logits=logits[place]) for place, t in enumerate(self.trainings)
        ]

    def _going(self) -> list[Training]:
        return [training for training in self.trainings if not training.failure and training not in self.errors]

    @contextmanager
    def _errors_of(self, training: Training) -> Iterator[None]:
        try:
            yield
        except PaperlibError as error:
            self.errors.setdefault(training, error)


def fit_stack(
    networks: Sequence[Untrained], train: DeviceSplit, val: DeviceSplit, test: DeviceSplit
) -> list[TrainingResult | PaperlibError]:
    """Train perceptrons of one shape in place, as `fit` would each alone, apply their final masks and let them answer
    the test images; what became of each, in the same order.

    The trials agree in batch size, epochs, schedule, augmentation and loss; those of one seed stand side by side.
    A network that diverges, or whose method raises, disturbs no other. On a CPU several threads train parts of large
    stacks: threads that share single steps wait for each other all the time.
    """
    threads = threads_of(len(networks), train.labels.device)
    parts = [
        _Part([networks[n] for n in part], train, val, 1 / len(networks))
        for part in np.array_split(range(len(networks)), threads)
    ]
    with limit_threads(1), ThreadPoolExecutor(len(parts)) as pool:
        for epoch in range(networks[0].trial.epochs):
            # Each thread sees what `between_steps` is here.
            jobs = [pool.submit(copy_context().run, part.train_epoch, epoch) for part in parts]
            for job in jobs:
                job.result()
        return [result for results in pool.map(lambda part: part.results(test), parts) for result in results]
