"""The window: begin, work, end, and one Measurement of what it cost."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import get_args

from paperlib.core.errors import PaperlibError
from paperlib.meters.carbon import Grid, grid
from paperlib.meters.clock import Clock, clock_for
from paperlib.meters.energy import ModelledEnergy, energy_meter
from paperlib.meters.protocols import EnergyMeter, NoMeter
from paperlib.meters.rapl import RaplEnergy
from paperlib.schema.measurement import EnergySource, Measurement

# A counter window spans this many updates, so that the two cut ones at its ends weigh little.
ENERGY_UPDATES = 10
IDLE_S = 1.0  # at least, for the idle power


@dataclass
class Meters:
    """Clock and energy meter of one device, and the grid that turns joules into CO2.

    One window at a time: counters are the process's, so nested windows would spoil each other.
    """

    device: str
    clock: Clock
    energy: EnergyMeter
    grid: Grid
    _opened: float | None = field(default=None, init=False, repr=False)

    @classmethod
    def for_device(cls, device: str) -> "Meters":
        """The best meters that this machine has for `device` ("cpu", "cuda", "cuda:1", "mps")."""
        return cls(device, clock_for(device), energy_meter(device), grid())

    @classmethod
    def time_only(cls, device: str) -> "Meters":
        """Meters that tell the time and answer None to all else."""
        return cls(device, clock_for(device), NoMeter("switched off"), grid())

    @property
    def energy_uncertainty(self) -> float | None:
        """Share by which modelled joules may be off; None for a counter."""
        return self.energy.uncertainty if isinstance(self.energy, ModelledEnergy) else None

    @cached_property
    def idle_w(self) -> float | None:
        """Watts of the device while this process sleeps, measured when first asked for, while nothing runs.

        None without a counter: a modelled figure follows this process alone, which does nothing then.
        """
        if self.energy.source in {None, "modelled"}:
            return None
        idle = self.measure(lambda: time.sleep(max(IDLE_S, 1.1 * ENERGY_UPDATES * self.energy.update_s)))
        return None if idle.energy_j is None else idle.energy_j / idle.time_s

    def begin(self) -> None:
        """Open a window; PaperlibError if one is open, or if the energy meter's source is not a word of records."""
        source, words = self.energy.source, get_args(EnergySource)
        if source not in words and not isinstance(self.energy, NoMeter):
            raise PaperlibError(f"an energy meter's source must be one of {', '.join(words)}, not {source!r}")
        if self._opened is not None:
            raise PaperlibError("a meter window is open already: windows do not nest, end the first one before")
        self.clock()  # work queued before the window must not be charged to it
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
            co2_g=self.grid.grams(energy_j),
            grid=self.grid.code,
            grid_g_per_kwh=self.grid.g_per_kwh,
        )

    def measure(self, work: Callable[[], object]) -> Measurement:
        """What `work()` costs; the window is closed also if it fails."""
        self.begin()
        try:
            work()
        finally:
            measurement = self.end()
        return measurement
