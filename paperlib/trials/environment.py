"""Where a trial runs: versions, processor and device."""

import os
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from paperlib.core.errors import PaperlibError
from paperlib.schema.record import Environment


def devices() -> list[str]:
    """`PAPERLIB_DEVICE` alone, else all CUDA devices, else the CPU. PaperlibError if it is not there."""
    import torch

    if not (device := os.environ.get("PAPERLIB_DEVICE")):
        return [f"cuda:{n}" for n in range(torch.cuda.device_count())] or ["cpu"]
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        raise PaperlibError(f"device {device!r} is not available here; unset PAPERLIB_DEVICE or use 'cpu'") from None
    return [device]


def core_numbers() -> list[int]:
    """The numbers of the cores that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def cores() -> int:
    """Cores that this process may use."""
    return len(core_numbers())


@cache
def cpu_name() -> str:
    """The processor's name as the operating system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@cache
def paperlib_version() -> str:
    """Of the installed package; `source` where it is not installed."""
    try:
        return version("paperlib")
    except PackageNotFoundError:
        return "source"


def describe_environment(device: str) -> Environment:
    """The environment of this process."""
    import torch

    return Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        paperlib=paperlib_version(),
        platform=platform.platform(),
        cpu=cpu_name(),
        cores=cores(),
        threads=torch.get_num_threads(),
        device=device,
        gpu=torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
    )
