"""Time, energy, memory and CO2 of a window, each figure with its source; knows nothing of models or data."""

from paperlib.meters.inventory import Fact, describe
from paperlib.meters.paired import compare, load_time
from paperlib.meters.window import Meters
from paperlib.schema.measurement import Measurement, Timing

__all__ = ["Fact", "Measurement", "Meters", "Timing", "compare", "describe", "load_time"]
