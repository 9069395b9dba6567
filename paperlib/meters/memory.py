"""Peak memory of a window above the state at its start."""

import ctypes
import sys
import threading
from pathlib import Path

from paperlib.meters.protocols import MemoryMeter, NoMeter
from paperlib.schema.measurement import MemorySource

_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")
_SAMPLE_S = 0.002


class CudaMemory:
    """Peak of torch's CUDA allocator: tensors only, without the context and the allocator's reserve."""

    source: MemorySource | None = "cuda-allocator"

    def __init__(self, device: str) -> None:
        self.note = f"torch's allocator on {device}"
        self._device = device
        self._start = 0

    def begin(self) -> None:
        import torch

        torch.cuda.reset_peak_memory_stats(self._device)
        self._start = torch.cuda.memory_allocated(self._device)

    def end(self) -> int | None:
        import torch

        return max(0, torch.cuda.max_memory_allocated(self._device) - self._start)


class ProcessMemory:
    """Peak resident memory of this process as Linux keeps it (`VmHWM`, reset at the window's start)."""

    source: MemorySource | None = "process-peak"
    note = "the kernel's peak of this process's resident memory"

    def __init__(self) -> None:
        self._start = 0

    def begin(self) -> None:
        return_free_heap()
        _RESET.write_text("5")
        self._start = _status_bytes("VmRSS")

    def end(self) -> int | None:
        return max(0, _status_bytes("VmHWM") - self._start)


class SampledMemory:
    """Peak resident memory of this process, looked at every 2 ms by a thread: short peaks can be missed."""

    source: MemorySource | None = "process-sampled"
    note = "this process's resident memory, sampled every 2 ms"

    def __init__(self) -> None:
        import psutil

        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread()
        self._start = self._peak = 0

    def begin(self) -> None:
        return_free_heap()
        self._stop.clear()
        self._start = self._peak = self._process.memory_info().rss
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> int | None:
        self._look()
        self._stop.set()
        self._thread.join()
        return self._peak - self._start

    def _look(self) -> None:
        self._peak = max(self._peak, self._process.memory_info().rss)

    def _watch(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            self._look()


def _status_bytes(field: str) -> int:
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_STATUS} has no {field}")


def return_free_heap() -> None:
    """Give freed heap pages back, or a window would not see work that reuses what an earlier one left.

    Only glibc keeps and can return them; elsewhere this does nothing.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)


def memory_meter(device: str) -> MemoryMeter:
    """The memory meter for `device`: torch's allocator on cuda, the process's resident memory on cpu."""
    kind = device.partition(":")[0]
    if kind == "cuda":
        return CudaMemory(device)
    if kind != "cpu":
        return NoMeter("no memory meter for this device")
    try:
        meter = ProcessMemory()
        meter.begin()
        meter.end()
    except OSError:
        return SampledMemory()
    return meter
