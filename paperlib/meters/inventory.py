"""What the meters of a device are, in words, for `paperlib doctor`."""

from dataclasses import dataclass

from paperlib.meters.window import Meters


@dataclass(frozen=True)
class Fact:
    """One meter: `real` is False where the figure is modelled, sampled or missing."""

    name: str
    real: bool
    found: str


def describe(device: str) -> list[Fact]:
    """The energy meter, the memory meter and the grid factor that windows on `device` use."""
    meters = Meters.for_device(device)
    energy, memory, grid = meters.energy, meters.memory, meters.grid
    energy_note = f"{energy.source or 'none'}: {energy.note.removeprefix('modelled: ')}"
    memory_note = f"{memory.source or 'none'}: {memory.note}"
    return [
        Fact(f"energy on {device}", energy.source not in {None, "modelled"}, energy_note),
        Fact(f"memory on {device}", memory.source not in {None, "process-sampled"}, memory_note),
        Fact("CO2", True, f"{grid.g_per_kwh:g} g per kWh: {grid.name} ({grid.code}), codecarbon's table"),
    ]
