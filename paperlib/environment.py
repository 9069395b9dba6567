"""Where a trial runs: versions, processor and device."""

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from paperlib.errors import PaperlibError
from paperlib.record import Environment


def device() -> str:
    """`PAPERLIB_DEVICE`, else the first CUDA device, else the CPU. PaperlibError if it is not there."""
    wanted = os.environ.get("PAPERLIB_DEVICE") or ("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError):
        raise PaperlibError(f"device {wanted!r} is not available here; unset PAPERLIB_DEVICE or use 'cpu'") from None
    return wanted


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def cpu_name() -> str:
    """The processor's own name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def environment(device: str) -> Environment:
    """The environment of this process."""
    try:
        own = version("paperlib")
    except PackageNotFoundError:
        own = "source"
    return Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        paperlib=own,
        platform=platform.platform(),
        cpu=cpu_name(),
        cores=cores(),
        threads=torch.get_num_threads(),
        device=device,
        gpu=torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
    )
