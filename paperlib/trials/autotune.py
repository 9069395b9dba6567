"""Which number format and memory layout trains a network fastest here: measured, not guessed."""

import copy
import time

import torch
from torch import nn

from paperlib.execution.steps import steps_for
from paperlib.pruners import MaskEnforcer
from paperlib.schema.record import Compute
from paperlib.schema.trial import Trial
from paperlib.trials.images import DeviceSplit
from paperlib.trials.optimizers import loss_of, make_optimizer

STEPS = 4  # timed pairs of steps per candidate, in a trial
GAIN = 0.95  # bf16 loses digits, so it must save at least 5 %
# torch 2.13's float32 kernels corrupt memory in ResNet18's backward pass with fewer (4 and 6 do, 8 and 12 do not;
# seen on an AMD EPYC, one thread).
CHANNELS_LAST_FROM = 8
_known: dict[tuple[object, ...], Compute] = {}


def autotune_compute(trial: Trial, model: nn.Module, train: DeviceSplit, steps: int = STEPS) -> Compute:
    """The compute that the trial names, or for `auto` the fastest of fp32 and bf16 in both layouts.

    A network too narrow for fp32-channels-last computes in fp32, which the record then says.
    Measured once per process, network, batch size and optimiser, on copies; the answer never depends on the
    method, so that dense and pruned trials of one process run alike. The global random state stays as it is.
    steps: timed pairs of steps per candidate.
    """
    if trial.compute != "auto":
        unsafe = trial.compute == "fp32-channels-last" and _is_narrow(model)
        return Compute(choice="fp32" if unsafe else trial.compute)
    size = sum(p.numel() for p in model.parameters())
    key = (trial.model, size, train.pixels.shape[1:], trial.batch_size, trial.optimizer, train.labels.device)
    if key not in _known:
        measured = {name: _seconds(trial, model, train, name, steps) for name in candidates(model)}
        _known[key] = Compute(choice=fastest(measured), step_s=measured)
    return _known[key]


def candidates(model: nn.Module) -> list[str]:
    """What is worth measuring: memory layout matters to convolutions only."""
    layouts = ("", "-channels-last") if any(isinstance(m, nn.Conv2d) for m in model.modules()) else ("",)
    named = [f"{number}{layout}" for number in ("fp32", "bf16") for layout in layouts]
    return [name for name in named if name != "fp32-channels-last" or not _is_narrow(model)]


def _is_narrow(model: nn.Module) -> bool:
    return any(m.out_channels < CHANNELS_LAST_FROM for m in model.modules() if isinstance(m, nn.Conv2d))


def fastest(seconds: dict[str, float]) -> str:
    """The candidate of the fewest seconds, where bf16 counts only if it clearly beats fp32."""
    return min(seconds, key=lambda name: seconds[name] / (GAIN if name.startswith("bf16") else 1))


def apply_memory_format(model: nn.Module, choice: str) -> nn.Module:
    """The model with its weights in the memory layout of `choice`."""
    last = choice.endswith("channels-last")
    return model.to(memory_format=torch.channels_last if last else torch.contiguous_format)  # type: ignore[call-overload]


def _seconds(trial: Trial, model: nn.Module, train: DeviceSplit, choice: str, steps: int) -> float:
    bf16 = choice.startswith("bf16")
    apply_memory_format(model, choice)
    times = []
    for _ in range(steps + 1):  # the first one starts kernels
        before = time.perf_counter()
        _two_steps(trial, model, train, bf16)
        if train.labels.is_cuda:
            torch.cuda.synchronize(train.labels.device)
        times.append(time.perf_counter() - before)
    return min(times[1:]) / 2


def _two_steps(trial: Trial, model: nn.Module, train: DeviceSplit, bf16: bool) -> None:
    with torch.random.fork_rng(devices=[train.labels.device] if train.labels.is_cuda else []):
        network = copy.deepcopy(model).train()
        optimizer = make_optimizer(trial, network)
        steps = steps_for(network, optimizer, MaskEnforcer([], optimizer), loss_of(trial), bf16)
        few = torch.arange(min(len(train), 2 * trial.batch_size), device=train.labels.device)
        steps.epoch(train.batches(trial.batch_size, few))
