"""Shared by the tests of the data room."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from paperlib import data
from paperlib.data import DATASETS, sources
from tests.conftest import temporarily


@pytest.fixture(autouse=True)
def _no_other_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No mirror, an empty cache, no system package."""
    monkeypatch.delenv("PAPERLIB_DATA", raising=False)
    monkeypatch.setenv("PAPERLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "SYSTEM", tmp_path / "system")
    data._load.cache_clear()


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which data sets are looked for first."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    monkeypatch.setenv("PAPERLIB_DATA", str(folder))
    return folder


@pytest.fixture
def claim() -> Iterator[Callable[..., None]]:
    """claim(name, **fields): a data set says something else of itself until the test ends."""
    with ExitStack() as stack:
        yield lambda name, **changes: stack.enter_context(
            temporarily(DATASETS, name, replace(DATASETS[name], **changes))
        )
