"""Joules of a window: from hardware counters through zeus where there are any, else modelled, else None."""

import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from paperlib.meters.calibration import read_calibration
from paperlib.meters.cpu_power import cpu_name, this_cpu
from paperlib.meters.protocols import EnergyMeter, NoMeter, lost, positive
from paperlib.meters.rapl import RaplEnergy, rapl
from paperlib.schema.measurement import MODELLED_UNCERTAINTY, EnergySource

RAPL_FORBIDDEN = "RAPL is here but this user may not read it"
# The second is where zeus's instructions for containers mount it.
RAPL_FOLDERS = tuple(Path(root) / "class/powercap/intel-rapl" for root in ("/sys", "/zeus_sys"))


class ModelledEnergy:
    """CPU seconds of this process (user and system, all threads) x watts of one logical CPU.

    uncertainty: share by which the joules may be off.
    """

    source: EnergySource | None = "modelled"
    update_s = 0.0

    def __init__(self, watts: float, note: str, uncertainty: float = MODELLED_UNCERTAINTY) -> None:
        self.watts = watts
        self.uncertainty = uncertainty
        self.note = f"modelled (±{uncertainty:.0%}): CPU seconds of this process x {note}"
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
        measured = self._ask(lambda: self._monitor.end_window("paperlib", sync_execution=False))
        if measured is None or time.perf_counter() - self._start < self.update_s:
            return None
        if self.source == "nvml":
            return positive(sum(measured.gpu_energy.values()))
        millijoules = measured.soc_energy.total_energy_mj
        return None if millijoules is None else positive(millijoules / 1000)

    def _ask(self, question: Callable[[], Any]) -> Any:
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


def energy_meter(device: str) -> EnergyMeter:
    """The best energy meter for `device` ("cpu", "cuda", "cuda:1", "mps").

    cpu: RAPL of each package once where it may be read, else modelled, by this CPU's calibration if there is one
    (PaperlibError if its file is damaged or another CPU's). cuda: NVML of that one GPU, or the module's
    rails on a Jetson; a GPU without counter has no modelled figure, so there it is None.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return _cpu_meter()
    if kind == "cuda":
        return _gpu_meter(int(index or 0))
    return NoMeter(f"no energy counter is known for device {device!r}")


def cpu_counter() -> tuple[RaplEnergy | None, str]:
    """The counter of this machine's CPU, else None and why there is none."""
    why = "RAPL is not here"
    try:
        if folder := next((path for path in RAPL_FOLDERS if path.is_dir()), None):
            why = "RAPL has no package here"
            if meter := rapl(folder):
                return meter, ""
    except PermissionError:
        why = RAPL_FORBIDDEN
    except (OSError, ValueError) as error:
        why = f"RAPL cannot be read ({error})"
    return None, why


def _cpu_meter() -> EnergyMeter:
    counter, why = cpu_counter()
    if counter:
        return counter
    if line := read_calibration(cpu_name()):
        note = f"{line.slope_w:.2f} W per busy logical CPU, above idle, calibrated ({line.source}) on {line.made[:10]}"
        return ModelledEnergy(line.slope_w, f"{note}; {why}", line.uncertainty)
    watts, note = this_cpu()
    return ModelledEnergy(watts, f"{note}; {why}")


def _gpu_meter(index: int) -> EnergyMeter:
    import torch
    from zeus.device.gpu import get_gpus
    from zeus.device.soc.jetson import jetson_is_available
    from zeus.exception import ZeusBaseError
    from zeus.monitor import ZeusMonitor

    if not torch.cuda.is_available():
        return NoMeter("no CUDA device here")
    name = torch.cuda.get_device_name(index)
    if torch.version.cuda is None:
        return NoMeter(f"{name}: only NVIDIA's energy counters are read")
    if " MIG " in name:
        return NoMeter(f"{name}: a MIG partition has no energy counter of its own")
    try:
        gpus = get_gpus()
        monitor = ZeusMonitor(gpu_indices=[index], cpu_indices=[])
    except (ZeusBaseError, OSError, ValueError) as error:
        if not jetson_is_available():
            return NoMeter(f"{name}: NVML gives no energy ({error})")
        rails = ZeusMonitor(gpu_indices=[], cpu_indices=[])
        return CounterEnergy(rails, "jetson", "power rails of the Jetson module, gross", 0.5)
    exact = gpus.supports_get_total_energy_consumption(index)
    note = f"NVML of {name}, the GPU alone, gross" + ("" if exact else ", integrated from polled power")
    return CounterEnergy(monitor, "nvml", note, 0.1 if exact else 0.5)
