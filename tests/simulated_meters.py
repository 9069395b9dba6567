"""A GPU that is not there: replays a recorded power trace through a counter that updates as a real one does.

Every figure is marked `simulated`.
"""

from dataclasses import dataclass, field
from itertools import pairwise

from paperlib.core.errors import PaperlibError
from paperlib.meters.protocols import lost, positive
from paperlib.schema.measurement import EnergySource


@dataclass
class SimulatedTime:
    """A clock that moves only when told to; call it to read seconds."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        self.now += seconds


@dataclass(frozen=True)
class PowerTrace:
    """Recorded power in watts at rising times in seconds; between two points it is interpolated linearly."""

    times_s: tuple[float, ...]
    watts: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.times_s) != len(self.watts) or len(self.times_s) < 2:
            raise PaperlibError("a power trace needs at least two points, with one power for each time")
        if any(a >= b for a, b in pairwise(self.times_s)):
            raise PaperlibError("the times of a power trace must rise")

    def joules(self, until_s: float) -> float:
        """Energy from the first point up to `until_s` (trapezoids); the last power holds after the trace."""
        total = 0.0
        for (t0, p0), (t1, p1) in pairwise(zip(self.times_s, self.watts, strict=True)):
            end = min(t1, until_s)
            if end > t0:
                at_end = p0 + (p1 - p0) * (end - t0) / (t1 - t0)
                total += (end - t0) * (p0 + at_end) / 2
        return total + max(0.0, until_s - self.times_s[-1]) * self.watts[-1]


@dataclass
class SimulatedEnergy:
    """An energy counter over `trace` that shows a new value every `update_s` seconds of `clock`.

    lost_at_s: from this time on the GPU is gone, None for never.
    """

    clock: SimulatedTime
    trace: PowerTrace
    update_s: float = 0.1
    lost_at_s: float | None = None
    source: EnergySource | None = "simulated"
    note: str = "a replayed power trace"
    _start: tuple[float, float] | None = field(default=None, repr=False)
    _told: bool = field(default=False, repr=False)

    def _counter(self) -> float | None:
        if self.lost_at_s is not None and self.clock.now >= self.lost_at_s:
            if not self._told:
                lost(self.source, RuntimeError(f"GPU lost at {self.lost_at_s:g} s"))
                self._told = True
            return None
        # The epsilon lets a tick that lies exactly on `now` count, whatever the rounding of the division.
        ticks = int(self.clock.now / self.update_s + 1e-9)
        return self.trace.joules(ticks * self.update_s)

    def begin(self) -> None:
        shown = self._counter()
        self._start = None if shown is None else (self.clock.now, shown)

    def end(self) -> float | None:
        shown = self._counter()
        if shown is None or self._start is None or self.clock.now - self._start[0] < self.update_s:
            return None
        return positive(shown - self._start[1])
