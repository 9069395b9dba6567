"""Shared by the tests of the data room."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from paperlib.data import DATASETS


@pytest.fixture
def claim() -> Iterator[Callable[..., None]]:
    """claim(name, **fields): a data set says something else of itself until the test ends."""
    with ExitStack() as stack:
        yield lambda name, **changes: stack.enter_context(
            DATASETS.temporarily(name, replace(DATASETS[name], **changes))
        )
