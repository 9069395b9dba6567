"""The window: begin, work, end, and one Reading of what it cost."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import get_args

from paperlib.core.errors import PaperlibError
from paperlib.meters.carbon import Grid, grid
from paperlib.meters.clock import Clock, clock_for
from paperlib.meters.energy import EnergyMeter, NoEnergy, RaplEnergy, energy_meter
from paperlib.meters.memory import MemoryMeter, NoMemory, memory_meter
from paperlib.schema.measurement import EnergySource, Measurement


class Window:
    """What `Meters.window` hands out; `reading` is there once the window is closed."""

    def __init__(self) -> None:
        self._reading: Measurement | None = None

    @property
    def reading(self) -> Measurement:
        """What the window cost; PaperlibError while it is open."""
        if self._reading is None:
            raise PaperlibError("the meter window is still open: read it after the `with` block")
        return self._reading


@dataclass
class Meters:
    """Clock, energy and memory meter of one device, and the grid that turns joules into CO2.

    One window at a time: counters and peaks are the process's, so nested windows would spoil each other.
    """

    device: str
    clock: Clock
    energy: EnergyMeter
    memory: MemoryMeter
    grid: Grid
    _opened: float | None = field(default=None, init=False, repr=False)

    @classmethod
    def for_device(cls, device: str) -> "Meters":
        """The best meters that this machine has for `device` ("cpu", "cuda", "cuda:1", "mps")."""
        return cls(device, clock_for(device), energy_meter(device), memory_meter(device), grid())

    @classmethod
    def time_only(cls, device: str) -> "Meters":
        """Meters that tell the time and answer None to all else."""
        return cls(device, clock_for(device), NoEnergy("switched off"), NoMemory(), grid())

    def begin(self) -> None:
        """Open a window; PaperlibError if one is open, or if the energy meter's source is not a word of records."""
        source, words = self.energy.source, get_args(EnergySource)
        if source not in words and not isinstance(self.energy, NoEnergy):
            raise PaperlibError(f"an energy meter's source must be one of {', '.join(words)}, not {source!r}")
        if self._opened is not None:
            raise PaperlibError("a meter window is open already: windows do not nest, end the first one before")
        self.clock()  # work queued before the window must not be charged to it
        self.memory.begin()
        self.energy.begin()
        self._opened = self.clock()

    def end(self) -> Measurement:
        """Close the window; PaperlibError if none is open."""
        if self._opened is None:
            raise PaperlibError("no meter window is open: call begin() first")
        time_s = self.clock() - self._opened
        self._opened = None
        energy_j = self.energy.end()
        return Measurement(
            time_s=time_s,
            energy_j=energy_j,
            energy_source=self.energy.source,
            dram_j=self.energy.dram_j if isinstance(self.energy, RaplEnergy) else None,
            peak_memory_bytes=self.memory.end(),
            memory_source=self.memory.source,
            co2_g=self.grid.grams(energy_j),
            grid=self.grid.code,
            grid_g_per_kwh=self.grid.g_per_kwh,
        )

    @contextmanager
    def window(self) -> Iterator[Window]:
        """`with meters.window() as w: work()`, then `w.reading`; no reading if the work fails."""
        self.begin()
        window = Window()
        try:
            yield window
        except BaseException:
            self.end()
            raise
        window._reading = self.end()
