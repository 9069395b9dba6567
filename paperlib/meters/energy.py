"""Joules of a window: from hardware counters through zeus where there are any, else modelled, else None."""

import logging
import time
import warnings
from typing import Any, Protocol

from paperlib.meters.cpu_power import this_cpu
from paperlib.reading import EnergySource

RAPL_FORBIDDEN = "RAPL is here but this user may not read it"
log = logging.getLogger("paperlib.meters")


class EnergyMeter(Protocol):
    """What `Meters` asks of an energy meter.

    source: the word that goes into the record, None where there is no meter.
    note: one sentence on what is metered and how.
    update_s: seconds between two updates of the counter, 0 for a meter that is exact at any time.
    """

    source: EnergySource | None
    note: str
    update_s: float

    def begin(self) -> None:
        """Open the window."""

    def end(self) -> float | None:
        """Close the window: gross joules in it, or None where the meter cannot say."""


class NoEnergy:
    """Stands in where nothing can be metered: every window is None."""

    source: EnergySource | None = None
    update_s = 0.0

    def __init__(self, note: str) -> None:
        self.note = note

    def begin(self) -> None:
        """Nothing to open."""

    def end(self) -> float | None:
        """Always None."""
        return None


class ModelledEnergy:
    """CPU seconds of this process (user and system, all threads) x watts of one logical CPU."""

    source: EnergySource | None = "modelled"
    update_s = 0.0

    def __init__(self, watts: float, note: str) -> None:
        self.watts = watts
        self.note = f"modelled: CPU seconds of this process x {note}"
        self._start = 0.0

    def begin(self) -> None:
        self._start = time.process_time()

    def end(self) -> float | None:
        return (time.process_time() - self._start) * self.watts


class CounterEnergy:
    """A window of zeus over one kind of counter; gross joules, idle power included.

    monitor: a `zeus.monitor.ZeusMonitor` (or anything with its begin_window and end_window).
    A window shorter than `update_s` is None: the counter reads either nothing or a whole period.
    A counter that fails, such as a GPU that is lost, gives None from then on and says so once.
    """

    def __init__(self, monitor: Any, source: EnergySource, note: str, update_s: float) -> None:
        self.source: EnergySource | None = source
        self.note = note
        self.update_s = update_s
        self._monitor = monitor
        self._start = 0.0
        self._lost = False

    def begin(self) -> None:
        self._start = time.perf_counter()
        self._ask(lambda: self._monitor.begin_window("paperlib", sync_execution=False, restart=True))

    def end(self) -> float | None:
        taken = self._ask(lambda: self._monitor.end_window("paperlib", sync_execution=False))
        if taken is None or time.perf_counter() - self._start < self.update_s:
            return None
        return positive(self._joules(taken))

    def _joules(self, taken: Any) -> float | None:
        if self.source == "nvml":
            return sum(taken.gpu_energy.values())
        if self.source == "rapl":
            return sum((taken.cpu_energy or {}).values())
        total = taken.soc_energy.total_energy_mj
        return None if total is None else total / 1000

    def _ask(self, question: Any) -> Any:
        from zeus.exception import ZeusBaseError

        if self._lost:
            return None
        try:
            with warnings.catch_warnings():
                # The advice that follows a window of 0 J; we answer None there.
                warnings.filterwarnings("ignore", message="The energy consumption of one or more GPUs")
                return question()
        except (ZeusBaseError, OSError, TimeoutError) as error:
            self._lost = True
            lost(self.source, error)
            return None


def positive(joules: float | None) -> float | None:
    """`joules`, or None where the counter has not moved: nothing measured is None, never 0."""
    return joules if joules is not None and joules > 0 else None


def lost(source: str | None, error: Exception) -> None:
    """Tell the user, once per meter, that energy stops here."""
    log.warning("the %s energy meter stopped answering (%s): energy is None from here on", source, error)


def energy_meter(device: str) -> EnergyMeter:
    """The best energy meter for `device` ("cpu", "cuda", "cuda:1", "mps").

    cpu: RAPL of all packages where it may be read, else modelled. cuda: NVML of that one GPU, or the module's
    rails on a Jetson; a GPU without counter has no modelled figure, so there it is None.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return _cpu_meter()
    if kind == "cuda":
        return _gpu_meter(int(index or 0))
    return NoEnergy(f"no energy counter is known for device {device!r}")


def _cpu_meter() -> EnergyMeter:
    from zeus.device.cpu import get_cpus
    from zeus.device.cpu.common import ZeusCPUNoPermissionError
    from zeus.exception import ZeusBaseError

    why = "RAPL is not here"
    try:
        if packages := len(get_cpus()):
            from zeus.monitor import ZeusMonitor

            monitor = ZeusMonitor(gpu_indices=[], cpu_indices=list(range(packages)))
            note = f"RAPL of {packages} CPU package(s), the whole machine's work, gross"
            # The counter itself moves every millisecond; ten of them keep the error of a window near 10 %.
            return CounterEnergy(monitor, "rapl", note, 0.01)
    except ZeusCPUNoPermissionError:
        why = RAPL_FORBIDDEN
    except (ZeusBaseError, OSError) as error:
        log.debug("no RAPL: %s", error)
    watts, note = this_cpu()
    return ModelledEnergy(watts, f"{note}; {why}")


def _gpu_meter(index: int) -> EnergyMeter:
    import torch
    from zeus.device.gpu import get_gpus
    from zeus.exception import ZeusBaseError
    from zeus.monitor import ZeusMonitor

    if not torch.cuda.is_available():
        return NoEnergy("no CUDA device here")
    name = torch.cuda.get_device_name(index)
    if torch.version.cuda is None:
        return NoEnergy(f"{name}: only NVIDIA's energy counters are read")
    if " MIG " in name:
        return NoEnergy(f"{name}: a MIG partition has no energy counter of its own")
    try:
        gpus = get_gpus()
        monitor = ZeusMonitor(gpu_indices=[index], cpu_indices=[])
    except (ZeusBaseError, OSError, ValueError) as error:
        return _jetson_meter() or NoEnergy(f"{name}: NVML gives no energy ({error})")
    exact = gpus.supports_get_total_energy_consumption(index)
    note = f"NVML of {name}, the GPU alone, gross" + ("" if exact else ", integrated from polled power")
    return CounterEnergy(monitor, "nvml", note, 0.1 if exact else 0.5)


def _jetson_meter() -> EnergyMeter | None:
    from zeus.device.soc.jetson import jetson_is_available
    from zeus.monitor import ZeusMonitor

    if not jetson_is_available():
        return None
    return CounterEnergy(
        ZeusMonitor(gpu_indices=[], cpu_indices=[]), "jetson", "power rails of the Jetson module, gross", 0.5
    )
