"""Memory of a training step and of an inference, counted in tensors: the same to the byte on every machine.

torch's tracker takes seconds to import, so it is imported where something is counted.
"""

import copy
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import torch
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.costs.records import BATCHES
from paperlib.execution.compact import to_compact
from paperlib.execution.flops import bytes_as_csr
from paperlib.pruners import Masks
from paperlib.schema.cost import CostSetting, StepMemory
from paperlib.trials.optimizers import loss_of, make_optimizer

if TYPE_CHECKING:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

SHARE = 0.8  # of the free memory that a measurement may take


def count_step_memory(setting: CostSetting, network: nn.Module | Callable[[], nn.Module], masks: int = 0) -> StepMemory:
    """Peak of a training step of this network (or of what the call builds), with the optimiser's state there already.

    No tensor is allocated (they are fake), so a network larger than the memory can be counted. masks: bytes of the
    masks, which lie beside.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    trial, fake = setting.trial(), FakeTensorMode()
    height, width, channels = setting.shape
    if isinstance(network, nn.Module):
        model = _without_memory(network, fake)
    with fake:
        model = (model if isinstance(network, nn.Module) else network()).train()
        optimizer, loss = make_optimizer(trial, model), loss_of(trial)
        images = torch.empty(setting.batch_size, channels, height, width)
        labels = torch.zeros(setting.batch_size, dtype=torch.int64)

        def step() -> None:
            loss(model(images), labels).backward()
            optimizer.step()
            optimizer.zero_grad()

        step()  # makes the optimiser's state
        tracker = MemTracker()
        tracker.track_external(model, optimizer, images, labels)
        with tracker:
            step()
    peak = _peak_of(tracker)
    return StepMemory(
        parameters=peak["PARAM"] + peak["BUFFER"],
        gradients=peak["GRAD"],
        optimizer=peak["OPT"],
        activations=peak["ACT"] + peak["OTH"],
        masks=masks,
        temporaries=peak["TEMP"],
    )


def count_inference_memory(network: nn.Module, masks: Masks, shape: tuple[int, int, int]) -> int:
    """Peak of an inference of 64 images of `shape` (height, width, channels) in the exact form that needs least.

    network: with its masks applied. Filters are cut out, norms folded into convolutions, and linear layers stored as
    CSR where that is smaller.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    with suppress(PaperlibError):  # a network that cannot be followed stays whole
        network = to_compact(network, masks)
    linear = [layer for layer in network.modules() if isinstance(layer, nn.Linear)]
    saved = sum(max(0, layer.weight.nbytes - bytes_as_csr(layer)) for layer in linear)
    fake, (height, width, channels) = FakeTensorMode(), shape
    model = _without_memory(network, fake).eval()
    with fake, torch.no_grad():
        images, tracker = torch.empty(max(BATCHES), channels, height, width), MemTracker()
        tracker.track_external(model, images)
        with tracker:
            model(images)
    return sum(_peak_of(tracker).values()) - saved


def _without_memory(network: nn.Module, fake: "FakeTensorMode") -> nn.Module:
    """A copy of fake tensors."""
    from torch._subclasses.fake_tensor import FakeCopyMode

    with FakeCopyMode(fake):
        return copy.deepcopy(network)


def _peak_of(tracker: "MemTracker") -> dict[str, int]:
    """Bytes at the peak, by kind of tensor."""
    peak: dict[str, int] = {}
    for kinds in tracker.get_tracker_snapshot("peak").values():
        for kind, size in kinds.items():
            name = getattr(kind, "name", str(kind))
            if name != "Total":
                peak[name] = peak.get(name, 0) + size
    return peak


def fits_memory(setting: CostSetting, needed: int) -> bool:
    """Whether so many bytes are free; a warning of one line says so where they are not."""
    free = psutil.virtual_memory().available
    if needed > SHARE * free:
        warnings.warn(
            f"{setting} needs about {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free: its costs are not measured",
            stacklevel=2,
        )
    return needed <= SHARE * free


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
