"""Where a trial runs alone: a GPU, or CPU cores, held by locks that end with their process."""

import os
import random
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import torch
from filelock import FileLock, Timeout
from threadpoolctl import threadpool_limits
from torch import nn

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.progress import between_steps
from paperlib.schema.record import ResourceAllocation
from paperlib.trials.environment import core_numbers, devices

MIN_WINDOW_S = 0.2  # the system counts in hundredths of a second
ONE_THREAD = 1_000_000  # parameters below which a second thread does not pay
PATIENCE_S = 2.0  # before a line says what is waited for


@contextmanager
def exclusive_resources(on: Sequence[str] = ()) -> Iterator[ResourceAllocation]:
    """A device and CPU cores that no other trial of this user on this machine has until the block ends.

    on: devices to choose from, the first free one is taken; those of this machine (`devices()`) if left out. A
    GPU comes with its share of the cores, the CPU with all of them, or with PAPERLIB_CORES of them; torch is then
    confined to them. Waits until enough is free. The locks (of the operating system, in `paths.locks()`) end
    with their process, however it ends, so none can be stale. Raises PaperlibError for a wrong PAPERLIB_CORES
    and where nothing can be locked.
    """
    choice, cores = list(on or devices()), core_numbers()
    share = _share(choice, cores)
    with ExitStack() as held:
        try:
            place = _wait(choice, cores, share, held)
        except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
            raise PaperlibError(
                f"cannot lock in {paths.locks()} ({error}); choose a folder by PAPERLIB_LOCKS"
            ) from None
        held.enter_context(_confined(place.cores, cores))
        yield place


def _share(choice: Sequence[str], cores: Sequence[int]) -> int:
    default = len(cores) if choice[0] == "cpu" else max(1, len(cores) // max(len(choice), torch.cuda.device_count()))
    given = os.environ.get("PAPERLIB_CORES") or str(default)
    if not given.isdecimal() or not 1 <= int(given) <= len(cores):
        raise PaperlibError(f"PAPERLIB_CORES={given!r} must be a number from 1 to the {len(cores)} cores usable here")
    return int(given)


def _wait(choice: Sequence[str], cores: Sequence[int], share: int, held: ExitStack) -> ResourceAllocation:
    start, announced = time.monotonic(), False
    while True:
        with FileLock(_file("choosing")):  # one chooses at a time, so that no two hold half of what both want
            for device in choice:
                locks = ExitStack()
                free = device == "cpu" or _take([device_lock_name(device)], 1, locks)
                if free and (numbers := _take([f"core-{n}" for n in cores], share, locks)):
                    held.push(locks.pop_all())
                    taken = tuple(cores[n] for n in numbers)
                    return ResourceAllocation(device=device, cores=taken, waited_s=round(time.monotonic() - start, 3))
                locks.close()
        if not announced and time.monotonic() - start > PATIENCE_S:
            announced = True
            what = " or ".join(choice)
            print(f"paperlib: waiting for {what} and {share} free cores: another trial runs there", file=sys.stderr)
        between_steps.get()()
        time.sleep(random.uniform(0.05, 0.15))


def _take(names: Sequence[str], count: int, held: ExitStack) -> list[int]:
    """Positions of `count` of the names, now locked in `held`; nothing if there are not so many."""
    taken = []
    for n, name in enumerate(names):
        lock = FileLock(_file(name))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        held.callback(lock.release)
        taken.append(n)
        if len(taken) == count:
            return taken
    return []


def _file(name: str) -> Path:
    folder = paths.locks()
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.lock"


def device_lock_name(device: str) -> str:
    """A name of the device itself: with CUDA_VISIBLE_DEVICES two processes may both call theirs cuda:0."""
    named = torch.device(device)
    if named.type != "cuda":
        return device
    return f"cuda-{torch.cuda.get_device_properties(named).uuid}"


class BackgroundLoad:
    """What other processes take of some cores from now on."""

    def __init__(self, cores: Sequence[int]) -> None:
        self._cores = cores
        self._busy, self._process, self._start = self._busy_s(), time.process_time(), time.monotonic()

    def share(self) -> float | None:
        """Share of the cores' time since the start, in [0, 1]; None where the system does not tell, or too early."""
        busy, window = self._busy_s(), (time.monotonic() - self._start) * len(self._cores)
        if busy is None or self._busy is None or window < MIN_WINDOW_S:
            return None
        foreign = busy - self._busy - (time.process_time() - self._process)
        return round(min(1.0, max(0.0, foreign / window)), 3)

    def _busy_s(self) -> float | None:
        times = psutil.cpu_times(percpu=True)
        if max(self._cores) >= len(times):
            return None  # a core that went offline: the numbers are no longer positions
        # A guest's time is part of the user's; time stolen by the host is somebody else's, too.
        idle = ("idle", "iowait", "guest", "guest_nice")
        return sum(sum(x for name, x in times[n]._asdict().items() if name not in idle) for n in self._cores)


@contextmanager
def limit_threads(n: int) -> Iterator[None]:
    """torch and NumPy's BLAS on `n` threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        # More BLAS threads than cores wait for each other, spinning: 40 times slower on one core.
        with threadpool_limits(n, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def threads_for(model: nn.Module) -> Iterator[None]:
    """One thread for a small network of linear layers, whose kernels are shorter than waking a second one."""
    convolutions = any(isinstance(module, nn.Conv2d) for module in model.modules())
    small = not convolutions and sum(p.numel() for p in model.parameters()) < ONE_THREAD
    with limit_threads(1 if small else torch.get_num_threads()):
        yield


@contextmanager
def _confined(cores: Sequence[int], usable: Sequence[int]) -> Iterator[None]:
    if tuple(cores) == tuple(usable):
        yield
        return
    _pin(cores)
    try:
        with limit_threads(len(cores)):
            yield
    finally:
        _pin(usable)


def _pin(cores: Sequence[int]) -> None:
    """Confine every thread of this process; torch's may have started before."""
    for task in Path("/proc/self/task").glob("*"):  # none where there is no affinity (macOS)
        try:
            os.sched_setaffinity(int(task.name), cores)
        except ProcessLookupError:
            continue  # that thread has just ended
