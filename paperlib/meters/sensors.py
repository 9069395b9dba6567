"""Temperature and clock of a device, read while it is still warm from its work."""

from typing import NamedTuple

import psutil

# Drivers of sensors inside the processor, on Intel, AMD and ARM; others sit on the board.
CPU_SENSORS = ("coretemp", "k10temp", "zenpower", "cpu_thermal", "cpu-thermal")


class Sensors(NamedTuple):
    """temperature_c: of the hottest sensor; clock_mhz: of the fastest core, or of a GPU's processors; None unread."""

    temperature_c: float | None
    clock_mhz: float | None


def read_sensors(device: str) -> Sensors:
    """What `device` ("cpu", "cuda", "cuda:1", "mps") shows now; through psutil, on a GPU through NVML."""
    if device == "cpu":
        return Sensors(_cpu_temperature(), _cpu_clock())
    return _gpu(device) if device.startswith("cuda") else Sensors(None, None)


def extremes(*readings: Sensors) -> Sensors:
    """The highest temperature and the lowest clock of several readings."""
    temperatures = [r.temperature_c for r in readings if r.temperature_c is not None]
    clocks = [r.clock_mhz for r in readings if r.clock_mhz is not None]
    return Sensors(max(temperatures, default=None), min(clocks, default=None))


def _cpu_temperature() -> float | None:
    if not hasattr(psutil, "sensors_temperatures"):  # macOS, Windows
        return None
    chips = psutil.sensors_temperatures()
    return max((s.current for name in CPU_SENSORS for s in chips.get(name, ()) if s.current), default=None)


def _cpu_clock() -> float | None:
    if not psutil.LINUX:  # elsewhere psutil gives the nominal clock
        return None
    # Without a frequency driver, as in most virtual machines, it does so here too, and knows no maximum.
    return max((core.current for core in psutil.cpu_freq(percpu=True) or () if core.max and core.current), default=None)


def _gpu(device: str) -> Sensors:
    import torch
    from pynvml import NVMLError

    values: list[float | None] = []
    for read in (torch.cuda.temperature, torch.cuda.clock_rate):
        try:
            values.append(float(read(device)))
        except (NVMLError, ImportError, RuntimeError):
            values.append(None)
    return Sensors(*values)
