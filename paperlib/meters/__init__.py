"""Time, energy, memory and CO2 of a window, each figure with its source; knows nothing of models or data."""

from paperlib.meters.describe import Fact, describe
from paperlib.meters.inference import compare, load_time
from paperlib.meters.window import Meters, Window
from paperlib.reading import Reading, Timing

__all__ = ["Fact", "Meters", "Reading", "Timing", "Window", "compare", "describe", "load_time"]
