"""Progress with time left on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

LINE_EVERY_S = 10.0
# Seconds that the work after the present loop is expected to take: what a run has left is told over all of it.
afterwards: ContextVar[float] = ContextVar("afterwards", default=0.0)
# Long work calls this between its steps; in a thread that is to stop early, it raises.
between_steps: ContextVar[Callable[[], None]] = ContextVar("between_steps", default=lambda: None)


def wide_console() -> Console:
    """For what a command prints: as wide as the terminal; elsewhere nothing is wrapped, so that lines can be used."""
    console = Console()
    return console if console.is_terminal else Console(width=10_000)


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, whichever reads best."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


class _Left(ProgressColumn):
    """What is left of the bar's loop and of what comes after it."""

    def __init__(self, after_s: float) -> None:
        super().__init__()
        self.after_s = after_s

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text("" if left is None else f"about {duration(left + self.after_s)} left")


class Step:
    """What a loop tells its progress: a bar, or without one a line at most every ten seconds with the time left.

    Lines of work that ends within five seconds are not printed.
    """

    def __init__(self, title: str, total: int, bar: Progress | None = None) -> None:
        self.title, self.total, self.done, self.text, self.bar = title, total, 0, "", bar
        self.start = self.last = time.monotonic()
        if bar:
            bar.add_task("", total=total)

    def describe(self, text: str) -> None:
        self.text = text
        if self.bar:
            self.bar.update(self.bar.task_ids[0], description=text)

    def advance(self, amount: int = 1) -> None:
        self.done += amount
        now = time.monotonic()
        if self.bar:
            self.bar.advance(self.bar.task_ids[0], amount)
        elif now - self.last >= LINE_EVERY_S or (self.done == self.total and now - self.start > 5):
            left = (now - self.start) / self.done * (self.total - self.done)
            now_done = f"{self.title}: {self.done}/{self.total}, about {duration(left + afterwards.get())} left"
            print(f"{now_done}  {self.text}", file=sys.stderr, flush=True)
            self.last = now


@contextmanager
def progress(title: str, total: int) -> Iterator[Step]:
    """Progress of `total` steps on standard error; silent when there is nothing to do."""
    console = Console(stderr=True)
    if total and console.is_terminal:
        columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), _Left(afterwards.get()))
        with Progress(TextColumn(title), *columns, TextColumn("{task.description}"), console=console) as bar:
            yield Step(title, total, bar)
    else:
        yield Step(title, total)
