"""Peak memory against blocks of known size."""

import mmap
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from paperlib.meters import memory
from paperlib.meters.memory import CudaMemory, ProcessMemory, SampledMemory, memory_meter
from paperlib.meters.protocols import MemoryMeter, NoMeter

BLOCK = 64 * 2**20
METERS = [SampledMemory, *([ProcessMemory] if sys.platform == "linux" else [])]


def alone(work: Callable[..., list[int | None]], *args: object) -> list[int | None]:
    """Run `work` in a fresh process: libraries that other tests loaded free memory whenever they like."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def touch() -> mmap.mmap:
    """Fresh pages straight from the kernel, every one of them written to."""
    block = mmap.mmap(-1, BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, BLOCK, mmap.PAGESIZE):
        block[page] = 1
    return block


def twice_touched_then_held(kind: Callable[[], MemoryMeter]) -> list[int | None]:
    meter, found = kind(), list[int | None]()
    for _ in range(2):
        meter.begin()
        block = touch()
        found.append(meter.end())
        meter.begin()
        found.append(meter.end())
        block.close()
    return found


@pytest.mark.parametrize("kind", METERS)
def test_a_touched_block_is_seen_each_time_and_only_in_its_own_window(kind: type[MemoryMeter]) -> None:
    found = alone(twice_touched_then_held, kind)
    assert found[::2] == pytest.approx([BLOCK, BLOCK], rel=0.05)
    assert all(held is not None and held < BLOCK / 20 for held in found[1::2])


def touched_and_gone() -> list[int | None]:
    meter = ProcessMemory()
    meter.begin()
    touch().close()
    return [meter.end()]


def test_the_kernels_peak_sees_a_block_that_is_gone_again() -> None:
    assert alone(touched_and_gone) == pytest.approx([BLOCK], rel=0.05)


def twice_in_the_heap() -> list[int | None]:
    meter, found = memory_meter("cpu"), list[int | None]()
    for _ in range(2):
        meter.begin()
        # Blocks below the allocator's threshold for mmap stay in the heap when they are freed.
        blocks = [b"x" * size for size in range(60_000, 60_500)]
        found.append(meter.end())
        del blocks
    return found


def test_heap_that_an_earlier_window_left_is_seen_again() -> None:
    assert alone(twice_in_the_heap) == pytest.approx([30e6, 30e6], rel=0.15)


def test_the_kernels_peak_is_the_choice_where_it_may_be_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = "process-peak" if sys.platform == "linux" else "process-sampled"
    assert memory_meter("cpu").source == expected
    monkeypatch.setattr(memory, "_RESET", tmp_path / "missing" / "clear_refs")
    assert memory_meter("cpu").source == "process-sampled"


def test_cuda_reads_the_allocator_above_its_state_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    resets: list[str] = []
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", resets.append)
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda _: 1000)
    monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda _: 4500)
    meter = memory_meter("cuda:1")
    meter.begin()
    assert meter.end() == 3500
    assert isinstance(meter, CudaMemory)
    assert resets == ["cuda:1"]


def test_a_device_without_meter_answers_none() -> None:
    meter = memory_meter("mps")
    meter.begin()
    assert isinstance(meter, NoMeter)
    assert meter.end() is None
