"""What the meters of a device are, in words, for `paperlib doctor`."""

from dataclasses import dataclass

from paperlib.meters.window import Meters


@dataclass(frozen=True)
class Fact:
    """One meter: `real` is False where the figure is modelled or missing."""

    name: str
    real: bool
    found: str


def describe(device: str) -> list[Fact]:
    """The energy meter and the grid factor that windows on `device` use."""
    meters = Meters.for_device(device)
    energy, grid = meters.energy, meters.grid
    energy_note = energy.note if energy.source == "modelled" else f"{energy.source or 'none'}: {energy.note}"
    return [
        Fact(f"energy on {device}", energy.source not in {None, "modelled"}, energy_note),
        Fact("CO2", True, f"{grid.g_per_kwh:g} g per kWh: {grid.name} ({grid.code}), codecarbon's table"),
    ]
