"""A trial has its device and cores to itself: simulated GPUs and cores, real processes, real locks."""

import multiprocessing
import os
import signal
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.schema.record import ResourceAllocation
from paperlib.schema.trial import Trial
from paperlib.trials import resources
from paperlib.trials import runner as run_module
from paperlib.trials.resources import BackgroundLoad, exclusive_resources
from paperlib.trials.runner import run
from paperlib.trials.store import Store
from tests.not_tested import TO_TEST

FAST = Trial(epochs=1, batch_size=32)
fork = multiprocessing.get_context("fork")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[list[str], int], None]:
    """Makes this process (and its forks) believe in other devices and cores; nothing is pinned."""

    def simulate(devices: list[str], cores: int) -> None:
        monkeypatch.setenv("PAPERLIB_LOCKS", str(tmp_path / "locks"))
        monkeypatch.setattr(resources, "devices", lambda: devices)
        monkeypatch.setattr(resources, "core_numbers", lambda: list(range(cores)))
        monkeypatch.setattr(resources, "device_lock_name", lambda device: device.replace(":", "-"))
        monkeypatch.setattr(resources, "_pin", lambda cores: None)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: sum(d != "cpu" for d in devices))

    return simulate


def work(log: Path, turns: int) -> None:
    for _ in range(turns):
        with exclusive_resources() as place, log.open("a") as file:
            start = time.monotonic()
            time.sleep(0.05)
            file.write(f"{start} {time.monotonic()} {place.device} {','.join(map(str, place.cores))}\n")


def at_once(log: Path, workers: int, turns: int) -> list[tuple[float, float, str, set[str]]]:
    """What several processes held, and from when to when."""
    processes = [fork.Process(target=work, args=(log, turns)) for _ in range(workers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(float(start), float(end), device, set(cores.split(","))) for start, end, device, cores in lines]


@pytest.mark.parametrize(
    ("devices", "cores", "limit", "share", "parallel"),
    [(["cuda:0", "cuda:1", "cuda:2"], 8, "", 2, 3), (["cpu"], 4, "2", 2, 2), (["cpu"], 4, "", 4, 1)],
)
def test_no_device_and_no_core_is_ever_shared(
    devices: list[str], cores: int, limit: str, share: int, parallel: int,
    machine: Callable[[list[str], int], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    machine(devices, cores)
    monkeypatch.setenv("PAPERLIB_CORES", limit)
    held = at_once(tmp_path / "log", 5, 4)
    assert len(held) == 20 and {device for *_, device, _ in held} == set(devices)
    assert all(len(mine) == share for *_, mine in held)
    together = [(a, b) for a, b in combinations(held, 2) if a[0] < b[1] and b[0] < a[1]]
    for (_, _, device, mine), (_, _, other, theirs) in together:
        assert not mine & theirs and (device == "cpu" or device != other)
    assert bool(together) == (parallel > 1), "different devices and cores must be used side by side"


def hold(ready: object, go: object) -> None:
    with exclusive_resources():
        ready.set()  # type: ignore[attr-defined]
        go.wait()  # type: ignore[attr-defined]


def test_the_lock_of_a_killed_process_is_free_at_once(machine: Callable[[list[str], int], None]) -> None:
    machine(["cuda:0"], 1)
    ready, go = fork.Event(), fork.Event()
    process = fork.Process(target=hold, args=(ready, go))
    process.start()
    ready.wait()
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    left = sorted(path.name for path in paths.locks().iterdir())
    assert "cuda-0.lock" in left and "core-0.lock" in left, "this proves nothing if no lock file was left"
    with exclusive_resources() as place:
        assert place.device == "cuda:0"


def test_a_trial_waits_for_its_device_and_its_record_says_so(
    tiny_images: object, layout: Layout, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("PAPERLIB_LOCKS", str(tmp_path / "locks"))
    monkeypatch.setattr(resources, "PATIENCE_S", 0)
    ready, go = fork.Event(), fork.Event()
    process = fork.Process(target=hold, args=(ready, go))
    process.start()
    ready.wait()
    sleep = time.sleep
    monkeypatch.setattr(resources.time, "sleep", lambda s: (go.set(), sleep(s)))  # the other ends once this one waits
    place = run(FAST, layout).place
    process.join()
    assert place is not None and place.device == "cpu" and place.waited_s > 0
    assert list(place.cores) == sorted(os.sched_getaffinity(0))
    assert "waiting for cpu" in capsys.readouterr().err


@pytest.mark.usefixtures("tiny_images")
def test_what_another_process_made_meanwhile_is_not_made_again(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    record = run(FAST, layout)
    Store(layout).path(record.id).unlink()

    @contextmanager
    def late() -> Iterator[ResourceAllocation]:
        Store(layout).put(record)
        yield ResourceAllocation(device="cpu", cores=(0,), waited_s=1)

    monkeypatch.setattr(run_module, "exclusive_resources", late)
    monkeypatch.setattr(run_module, "_compute", lambda *_: pytest.fail("made again"))
    assert run(FAST, layout) == record


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason=f"one core only here{TO_TEST}make test on two or more")
def test_every_thread_is_confined_to_its_cores_and_let_go_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    def affinities() -> set[frozenset[int]]:
        return {frozenset(os.sched_getaffinity(int(task.name))) for task in Path("/proc/self/task").iterdir()}

    torch.ones(300, 300) @ torch.ones(300, 300)  # so that there are other threads
    before, threads = os.sched_getaffinity(0), torch.get_num_threads()
    monkeypatch.setenv("PAPERLIB_CORES", "1")
    with exclusive_resources(["cpu"]) as place:
        assert affinities() == {frozenset(place.cores)} and len(place.cores) == torch.get_num_threads() == 1
    assert os.sched_getaffinity(0) == before and torch.get_num_threads() == threads


def _spin(core: int) -> None:
    os.sched_setaffinity(0, {core})
    while True:
        pass


def test_what_others_take_of_a_core_is_seen_and_ones_own_work_is_not() -> None:
    (core, *_), before = sorted(os.sched_getaffinity(0)), os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        spinner = fork.Process(target=_spin, args=(core,))
        spinner.start()
        beside = BackgroundLoad([core])
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            pass  # both want the core all the time, so each gets about half
        share = beside.share()
        assert share is not None and 0.25 < share <= 1
    finally:
        spinner.kill()
        os.sched_setaffinity(0, before)


@pytest.mark.parametrize(
    ("busy", "own", "expected"), [(5.0, 5.0, 0.0), (8.0, 5.0, 0.3), (3.0, 5.0, 0.0), (25.0, 5.0, 1.0)]
)
def test_the_share_is_what_is_busy_without_ones_own_time(
    busy: float, own: float, expected: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    Times = namedtuple("Times", "user system idle iowait guest steal")
    clock = {"busy": 100.0, "own": 50.0, "now": 0.0}

    def times(percpu: bool) -> list[Times]:
        assert percpu
        return [Times(900, 900, 0, 0, 0, 0), Times(clock["busy"] - 2, 1, 77, 88, 99, 1)]

    monkeypatch.setattr(resources.psutil, "cpu_times", times)
    monkeypatch.setattr(resources.time, "process_time", lambda: clock["own"])
    monkeypatch.setattr(resources.time, "monotonic", lambda: clock["now"])
    neighbours = BackgroundLoad([1])
    assert neighbours.share() is None  # no time has passed
    clock.update(busy=100 + busy, own=50 + own, now=10.0)
    assert neighbours.share() == pytest.approx(expected)


def test_blas_takes_no_more_threads_than_the_trial_has_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spinning BLAS threads on one core made a training 40 times slower."""

    def threads() -> set[int]:
        return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}

    np.ones((2, 2)) @ np.ones((2, 2))
    if max(threads()) < 2:
        pytest.skip(f"BLAS has one thread only here{TO_TEST}make test on two cores or more, OMP_NUM_THREADS unset")
    monkeypatch.setenv("PAPERLIB_CORES", "1")
    before = threads()
    with exclusive_resources(["cpu"]):
        assert threads() == {1}
    assert threads() == before


@pytest.mark.parametrize("cores", ["0", "two", "-1", "100000", "1.5"])
def test_a_wrong_number_of_cores_is_one_line(cores: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPERLIB_CORES", cores)
    with pytest.raises(PaperlibError, match="must be a number from 1 to"), exclusive_resources(["cpu"]):
        pass


def test_a_folder_that_takes_no_locks_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PAPERLIB_LOCKS", str(tmp_path / "file" / "locks"))
    with pytest.raises(PaperlibError, match="PAPERLIB_LOCKS"), exclusive_resources(["cpu"]):
        pass
