"""Progress with time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LINE_EVERY_S = 10.0
# Long work calls this between its steps; in a thread that is to stop early, it raises.
between_steps: ContextVar[Callable[[], None]] = ContextVar("between_steps", default=lambda: None)


def wide_console() -> Console:
    """For what a command prints: as wide as the terminal; elsewhere nothing is wrapped, so that lines can be used."""
    console = Console()
    return console if console.is_terminal else Console(width=10_000)


class Step(Protocol):
    """What a loop tells its progress."""

    def describe(self, text: str) -> None: ...

    def advance(self, amount: int = 1) -> None: ...


class _Bar:
    def __init__(self, bar: Progress, total: int) -> None:
        self.bar, self.task = bar, bar.add_task("", total=total)

    def describe(self, text: str) -> None:
        self.bar.update(self.task, description=text)

    def advance(self, amount: int = 1) -> None:
        self.bar.advance(self.task, amount)


class _Lines:
    """A line at most every ten seconds: done, total, seconds left. Work that ends sooner stays silent."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done, self.text = title, total, 0, ""
        self.start = self.last = time.monotonic()

    def describe(self, text: str) -> None:
        self.text = text

    def advance(self, amount: int = 1) -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.last >= LINE_EVERY_S or (self.done == self.total and now - self.start > 5):
            left = (now - self.start) / self.done * (self.total - self.done)
            now_done = f"{self.title}: {self.done}/{self.total}, {left:.0f} s left"
            print(f"{now_done}  {self.text}", file=sys.stderr, flush=True)
            self.last = now


@contextmanager
def progress(title: str, total: int) -> Iterator[Step]:
    """Progress of `total` steps on standard error; silent when there is nothing to do."""
    console = Console(stderr=True)
    if total == 0:
        yield _Lines(title, 0)
    elif console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(TextColumn(title), *columns, TextColumn("{task.description}"), console=console) as bar:
            yield _Bar(bar, total)
    else:
        yield _Lines(title, total)
