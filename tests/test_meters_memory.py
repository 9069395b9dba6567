"""Peak memory against blocks of known size."""

import gc
import mmap
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from paperlib.meters import memory
from paperlib.meters.memory import (
    CudaMemory,
    MemoryMeter,
    NoMemory,
    ProcessMemory,
    SampledMemory,
    memory_meter,
)

BLOCK = 64 * 2**20
METERS = [SampledMemory, *([ProcessMemory] if sys.platform == "linux" else [])]


@pytest.fixture(autouse=True)
def nothing_else_is_freed() -> Iterator[None]:
    """Garbage of other tests goes before, not in the middle of, a window over this process."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def touch() -> mmap.mmap:
    """Fresh pages straight from the kernel, every one of them written to."""
    block = mmap.mmap(-1, BLOCK, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for page in range(0, BLOCK, mmap.PAGESIZE):
        block[page] = 1
    return block


@pytest.mark.parametrize("kind", METERS)
def test_a_touched_block_is_seen_each_time_and_only_in_its_own_window(kind: type[MemoryMeter]) -> None:
    meter = kind()
    for _ in range(2):
        meter.begin()
        block = touch()
        assert meter.end() == pytest.approx(BLOCK, rel=0.05)
        meter.begin()
        held = meter.end()
        assert held is not None and held < BLOCK / 20
        block.close()


def test_the_kernels_peak_sees_a_block_that_is_gone_again() -> None:
    meter = ProcessMemory()
    meter.begin()
    touch().close()
    assert meter.end() == pytest.approx(BLOCK, rel=0.05)


def test_heap_that_an_earlier_window_left_is_seen_again() -> None:
    meter = memory_meter("cpu")
    for _ in range(2):
        meter.begin()
        # Blocks below the allocator's threshold for mmap stay in the heap when they are freed.
        blocks = [b"x" * 60_000 for _ in range(500)]
        taken = meter.end()
        assert taken == pytest.approx(30e6, rel=0.15)
        del blocks


def test_the_kernels_peak_is_the_choice_where_it_may_be_reset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    assert isinstance(meter, NoMemory)
    assert meter.end() is None
