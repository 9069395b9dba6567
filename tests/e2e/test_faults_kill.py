"""A few SIGKILLs of each kind; `make soak` does 250 of them and prints the counts."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from paperlib.data.imageset import ImageSet
from soak import kills
from soak.kills import Outcome
from soak.long_run import long_run


@pytest.mark.parametrize(("strike", "count"), [(kills.in_writes, 5), (kills.in_downloads, 5), (kills.in_notebooks, 1)])
def test_a_kill_tears_and_loses_nothing(strike: Callable[..., Outcome], count: int, tmp_path: Path) -> None:
    found = strike(tmp_path, count)
    assert (found.struck, found.torn, found.lost) == (count, 0, 0)


def test_a_kill_in_trials_tears_and_loses_nothing(tmp_path: Path, tiny_images: ImageSet) -> None:
    torch.set_num_threads(1)  # OpenMP threads do not survive a fork
    found = kills.in_trials(tmp_path, 5, tiny_images)
    assert (found.torn, found.lost) == (0, 0) and found.struck >= 5


def test_memory_files_and_store_stay_in_bounds(tmp_path: Path, tiny_images: ImageSet) -> None:
    growth = long_run(tmp_path, 20, tiny_images)
    assert growth.flat, growth
