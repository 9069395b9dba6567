"""Grams of CO2 from joules, by a stated grid: codecarbon's own table, no tracker and no network."""

import json
import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from paperlib.core.errors import PaperlibError

# Both papers come from Bolzano, so Italy's grid is the default of the comparison.
DEFAULT_GRID = "ITA"
WORLD = "WORLD"


@dataclass(frozen=True)
class Grid:
    """A stated electricity grid: `code` an ISO 3166 alpha-3 code or WORLD, the factor in g CO2 per kWh."""

    code: str
    name: str
    g_per_kwh: float

    def grams(self, energy_j: float | None) -> float | None:
        """Grams of CO2 for `energy_j` joules; None where the energy is None."""
        return None if energy_j is None else energy_j / 3.6e6 * self.g_per_kwh


def codecarbon_data() -> Path:
    """The folder of codecarbon's tables.

    The package itself is not imported: that costs time and prints about a missing AMD library.
    """
    spec = find_spec("codecarbon")
    if spec is None or spec.origin is None:
        raise PaperlibError("codecarbon is not installed, so CO2 has no grid table: install the project again")
    return Path(spec.origin).parent / "data"


@cache
def _grids() -> dict[str, Grid]:
    folder = codecarbon_data() / "private_infra"
    countries = json.loads((folder / "global_energy_mix.json").read_text(encoding="utf-8"))
    world = json.loads((folder / "carbon_intensity_per_source.json").read_text(encoding="utf-8"))
    table = {
        code: Grid(code, f"{row['country_name']} {row['year']}", float(row["carbon_intensity"]))
        for code, row in sorted(countries.items())
    }
    return {WORLD: Grid(WORLD, "world average", float(world["world_average"])), **table}


def grid(code: str | None = None) -> Grid:
    """The grid named by `code`, else by the variable PAPERLIB_GRID, else Italy's.

    Raises PaperlibError for a code that codecarbon's table lacks.
    """
    name = code or os.environ.get("PAPERLIB_GRID") or DEFAULT_GRID
    if name.upper() not in _grids():
        allowed = f"PAPERLIB_GRID takes a country's ISO code of three letters, such as ITA, or {WORLD}"
        raise PaperlibError(f"unknown grid {name!r}: {allowed}")
    return _grids()[name.upper()]
