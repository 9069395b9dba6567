"""Memory of a training step, counted in tensors by kind: the same to the byte on every machine and in every run."""

import copy
from collections.abc import Callable

import psutil
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

from paperlib.core.errors import PaperlibError
from paperlib.schema.cost import CostSetting, StepMemory
from paperlib.trials.optimizers import loss_of, make_optimizer

SHARE = 0.8  # of the free memory that a measurement may take


def count_step_memory(setting: CostSetting, network: nn.Module | Callable[[], nn.Module], masks: int = 0) -> StepMemory:
    """Peak of a training step of this network (or of what the call builds), with the optimiser's state there already.

    No tensor is allocated (they are fake), so a network larger than the memory can be counted. masks: bytes of the
    masks, which lie beside.
    """
    trial = setting.trial()
    height, width, channels = setting.shape
    fake = FakeTensorMode()
    if isinstance(network, nn.Module):
        with FakeCopyMode(fake):
            model = copy.deepcopy(network)
    with fake:
        model = (model if isinstance(network, nn.Module) else network()).train()
        optimizer, loss = make_optimizer(trial, model), loss_of(trial)
        images = torch.empty(setting.batch_size, channels, height, width)
        labels = torch.zeros(setting.batch_size, dtype=torch.int64)
        tracker = MemTracker()
        tracker.track_external(model, optimizer, images, labels)
        with tracker:
            for _ in range(2):
                tracker.reset_mod_stats()
                loss(model(images), labels).backward()
                optimizer.step()
                optimizer.zero_grad()
    peak: dict[str, int] = {}
    for kinds in tracker.get_tracker_snapshot("peak").values():
        for kind, size in kinds.items():
            name = getattr(kind, "name", str(kind))
            peak[name] = peak.get(name, 0) + size
    return StepMemory(
        parameters=peak["PARAM"] + peak["BUFFER"],
        gradients=peak["GRAD"],
        optimizer=peak["OPT"],
        activations=peak["ACT"] + peak["OTH"],
        masks=masks,
        temporaries=peak["TEMP"],
    )


def check_memory(setting: CostSetting, needed: int) -> None:
    """PaperlibError, before anything starts, for a setting that would need more memory than is free."""
    free = psutil.virtual_memory().available
    if needed > SHARE * free:
        raise PaperlibError(
            f"{setting} needs about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: "
            "choose a smaller batch, resolution or width"
        )


def allocator_peak(step: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that CUDA's allocator holds at the peak of one step above those before it; None on another device.

    Weights, optimiser state and the networks beside it are there before; gradients, activations and temporaries are
    not. The step must have run before, so that its optimiser has its state.
    """
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before
