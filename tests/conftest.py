"""Shared fixtures: a results folder of one's own, and small images that need no file."""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from paperlib import data
from paperlib.core import paths
from paperlib.core.paths import Layout
from paperlib.core.registry import Registry
from paperlib.data.imageset import ImageSet, Provenance, Split
from paperlib.schema.images import Content, Selection
from paperlib.schema.trial import Trial
from paperlib.trials.runner import run_all
from tests.not_tested import pytest_terminal_summary

ROOT = Path(__file__).parents[1]
__all__ = ["layout", "pytest_terminal_summary", "tiny", "tiny_images"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread_a_worker() -> None:
    """Workers share the cores: two threads of each on two cores take twice the CPU time of one."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch  # after paperlib, which says how its threads wait

        torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def _own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests wait for each other's trials only, not for other work on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPERLIB_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """An empty results folder."""
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(tmp_path))
    monkeypatch.setenv("PAPERLIB_DEVICE", "cpu")
    return Layout.of("scratch")


@contextmanager
def temporarily(registry: Registry[Any], name: str = "", thing: Any = None) -> Iterator[None]:
    """`name` stands for `thing` inside the block; afterwards all is gone that was registered meanwhile."""
    before = dict(registry._entries)
    if name:
        registry._entries[name] = thing
    try:
        yield
    finally:
        registry._entries = before


def tiny(seed: int = 0, classes: int = 3, n: int = 120, size: int = 6, channels: int = 1) -> ImageSet:
    """Images whose class is the row that is bright: easy to learn, real to train on."""
    rng = np.random.default_rng(seed)

    def split(count: int) -> Split:
        labels = np.arange(count) % classes
        pixels = rng.integers(0, 120, (count, size, size, channels), dtype=np.uint8)
        pixels[np.arange(count), labels] += 100
        return Split(pixels, labels.astype(np.int64))

    return ImageSet(
        "tiny",
        split(n),
        split(n // 4),
        split(n // 2),
        tuple(map(str, range(classes))),
        Provenance("stand-in", "rows", "test"),
    )


def recipe(target: str) -> list[str]:
    """The last command that `make TARGET` would run, in words, whether or not make runs these tests."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "MFLAGS"}
    said = subprocess.run(
        ["make", "-n", target], cwd=paths.root(), env=plain, capture_output=True, text=True, check=True
    )
    return shlex.split(said.stdout.splitlines()[-1])


REAL = {"select": data.select, "identify": data.identify}


@contextmanager
def served(images: Callable[[Selection], ImageSet]) -> Iterator[None]:
    """Trials get these images, whatever data set they name, until the block ends."""

    def select(wanted: Selection, files: str | None = None) -> ImageSet:
        found = images(wanted)
        found = found if wanted.resplit_seed is None else data.resplit_train(found, wanted.resplit_seed)
        return found.limited(wanted.train, wanted.test)

    def identify(wanted: Selection) -> Content:
        found = select(wanted)
        return Content(found.provenance.source, found.content_hash, "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "select", select)
        patch.setattr(data, "identify", identify)
        yield


def train(trials: Sequence[Trial], images: ImageSet, folder: Path) -> Path:
    """Run the trials once for many tests: the results folder, to be copied into each test's own."""
    with pytest.MonkeyPatch.context() as patch, served(lambda wanted: images):
        patch.setenv("PAPERLIB_OUTPUT", str(folder))
        patch.setenv("PAPERLIB_DEVICE", "cpu")
        run_all(trials, Layout.of("scratch"))
        return Layout.of("scratch").results


@pytest.fixture
def tiny_images() -> Iterator[ImageSet]:
    """`run` sees the tiny images under every data set's name."""
    images = tiny()
    with served(lambda wanted: images):
        yield images
