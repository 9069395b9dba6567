"""Stacks: trials of perceptrons of one shape that train as one."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.stacked import Network, RandomSource, StackedSteps
from paperlib.pruners import Layer
from paperlib.schema.trial import Trial
from paperlib.trials.images import DeviceSplit
from paperlib.trials.resources import limit_threads
from paperlib.trials.training import EVAL_BATCH, ShuffledImages, Training, TrainingResult, callbacks_of, scheduled


@dataclass(frozen=True, eq=False)
class Untrained:
    """A trial of a stack with its untrained network; random: where in the global sequence its dropout begins."""

    trial: Trial
    model: nn.Module
    layers: list[Layer]
    random: RandomSource


class _Part:
    """Networks of a stack that one thread trains, and what became of those whose methods raised."""

    def __init__(self, networks: Sequence[Untrained], train: DeviceSplit, val: DeviceSplit) -> None:
        self.val, self.errors = val, dict[Training, PaperlibError]()
        images = {x.trial.seed: ShuffledImages(x.trial, train) for x in networks}
        self.images = list(images.values())
        self.trainings = [
            Training(x.trial, x.model, x.layers, images[x.trial.seed], callbacks_of(val), x.random) for x in networks
        ]
        shared = [len(list(group)) for _, group in groupby(networks, key=lambda x: x.trial.seed)]
        members = [Network(t.model, t.optimizer, t.enforcer, t.random) for t in self.trainings]
        self.steps = StackedSteps(members, self.trainings[0].loss, shared)

    def train_epoch(self, epoch: int) -> None:
        """One epoch of all networks; seconds are the part's, in equal shares."""
        start = time.perf_counter()
        for images in self.images:
            images.next_epoch()
        for training in self._going():
            with self._errors_of(training):
                training.begin_epoch(epoch)
        first, *others = (images.batches() for images in self.images)
        logits = self.steps.epoch(scheduled(first, self.trainings, epoch), *others)
        seconds = (time.perf_counter() - start) / len(self.trainings)
        val_logits = self.steps.predict(self.val.batches(EVAL_BATCH))
        going = self._going()
        for place, training in enumerate(self.trainings):
            if training in going:
                training.end_epoch(logits[place], val_logits[place], seconds)

    def results(self) -> list[TrainingResult | PaperlibError]:
        """What became of each network, in order."""
        results = dict[Training, TrainingResult | PaperlibError]()
        for training in self.trainings:
            with self._errors_of(training):
                results[training] = training.result(self.steps.engine)
        return [self.errors.get(t) or results[t] for t in self.trainings]

    def _going(self) -> list[Training]:
        return [training for training in self.trainings if not training.failure and training not in self.errors]

    @contextmanager
    def _errors_of(self, training: Training) -> Iterator[None]:
        try:
            yield
        except PaperlibError as error:
            self.errors.setdefault(training, error)


def fit_stack(
    networks: Sequence[Untrained], train: DeviceSplit, val: DeviceSplit
) -> list[TrainingResult | PaperlibError]:
    """Train perceptrons of one shape in place, as `fit` would each alone; what became of each, in the same order.

    The trials agree in batch size, epochs, schedule, augmentation and loss; those of one seed stand side by side.
    A network that diverges, or whose method raises, disturbs no other. On a CPU each of torch's threads trains a part
    of the networks by itself: threads that share single steps wait for each other all the time.
    """
    threads = torch.get_num_threads() if train.labels.device.type == "cpu" else 1
    parts = [
        _Part([networks[n] for n in part], train, val)
        for part in np.array_split(range(len(networks)), min(threads, len(networks)))
    ]
    with limit_threads(1), ThreadPoolExecutor(len(parts)) as pool:
        for epoch in range(networks[0].trial.epochs):
            # Each thread sees what `between_steps` is here.
            jobs = [pool.submit(copy_context().run, part.train_epoch, epoch) for part in parts]
            for job in jobs:
                job.result()
    return [result for part in parts for result in part.results()]
