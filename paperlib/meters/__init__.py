"""Time, energy, memory and CO2 of a window, each figure with its source; knows nothing of models or data."""

from paperlib.meters.inventory import Fact, describe
from paperlib.meters.window import Meters
from paperlib.schema.measurement import Measurement

__all__ = ["Fact", "Measurement", "Meters", "describe"]
