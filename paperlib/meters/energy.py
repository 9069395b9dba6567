"""Joules of a window: from hardware counters through zeus where there are any, else modelled, else None."""

import logging
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from paperlib.meters.cpu_power import this_cpu
from paperlib.schema.measurement import EnergySource

RAPL_FORBIDDEN = "RAPL is here but this user may not read it"
# The second is where zeus's instructions for containers mount it.
RAPL_FOLDERS = tuple(Path(root) / "class/powercap/intel-rapl" for root in ("/sys", "/zeus_sys"))
MAX_WATTS = 1000  # no package draws more: sets how often a counter is looked at so that no overflow is missed
MIRROR_UJ = 1_000_000  # counters of two packages that agree to this (of some 10^11) are one counter seen twice
log = logging.getLogger("paperlib.meters")


class EnergyMeter(Protocol):
    """What `Meters` asks of an energy meter.

    source: the word that goes into the record, None only for `NoEnergy`.
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


@dataclass
class RaplCounter:
    """One RAPL counter: `energy_uj` of its folder, which starts again at 0 after `range_uj` microjoules."""

    name: str
    file: Path
    range_uj: int
    last: int = 0
    total: int = 0

    @classmethod
    def at(cls, zone: Path) -> "RaplCounter":
        """The counter of a powercap zone; OSError or ValueError if it cannot be read."""
        counter = cls(_text(zone / "name"), zone / "energy_uj", int(_text(zone / "max_energy_range_uj")))
        counter.read()
        return counter

    def read(self) -> int:
        """The counter now, in microjoules."""
        return int(_text(self.file))

    def restart(self) -> None:
        """Count from now on."""
        self.last, self.total = self.read(), 0

    def add(self) -> None:
        """Add what came since the last look; right if the counter started again at most once meanwhile."""
        now = self.read()
        self.total += (now - self.last) % self.range_uj
        self.last = now

    def mirrors(self, other: "RaplCounter") -> bool:
        """Whether this is the same hardware counter as `other`: its value lies between two looks at that one."""
        before, mine, after = other.read(), self.read(), other.read()
        return mine > 0 and before - MIRROR_UJ <= mine <= after + MIRROR_UJ


class RaplEnergy:
    """RAPL's packages, summed; gross joules, idle power included. `dram_j`: the memory's, never in that sum.

    A window shorter than `update_s` is None: the counters move once in a millisecond, and ten of these steps keep
    the error near 10 %. In a longer one a thread looks at the counters often enough to notice each overflow.
    """

    source: EnergySource | None = "rapl"
    update_s = 0.01

    def __init__(self, packages: Sequence[RaplCounter], dram: Sequence[RaplCounter], left_out: Sequence[str]) -> None:
        self.note = f"RAPL of {len(packages)} CPU package(s), the whole machine's work, gross"
        self.note += "; dram apart" if dram else ""
        self.note += f"; left out: {', '.join(left_out)}" if left_out else ""
        self.dram_j: float | None = None
        self.packages, self.dram = packages, dram
        self._look_s = min(c.range_uj for c in (*packages, *dram)) / 1e6 / MAX_WATTS / 2
        self._start = 0.0
        self._lost = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        self._start = time.perf_counter()
        self._each(RaplCounter.restart)
        self._stop.clear()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> float | None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        self._each(RaplCounter.add)
        if self._lost or time.perf_counter() - self._start < self.update_s:
            self.dram_j = None
            return None
        self.dram_j = positive(sum(c.total for c in self.dram) / 1e6)
        return positive(sum(c.total for c in self.packages) / 1e6)

    def _watch(self) -> None:
        while not self._stop.wait(self._look_s):
            self._each(RaplCounter.add)

    def _each(self, step: Callable[[RaplCounter], None]) -> None:
        if self._lost:
            return
        try:
            for counter in (*self.packages, *self.dram):
                step(counter)
        except (OSError, ValueError) as error:
            self._lost = True
            lost(self.source, error)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()


def rapl(folder: Path) -> RaplEnergy | None:
    """The meter of the RAPL zones in `folder`, None if there is no package among them; OSError if it is forbidden.

    Of the zones at the top only packages count. `psys` is the whole platform, packages included. A package is left
    out as a mirror if it has the name of an earlier one, or its counter shows the same value (dies of one AMD socket
    each show the socket's). The same packages under `intel-rapl-mmio` are not looked at.
    """
    packages: list[RaplCounter] = []
    dram: list[RaplCounter] = []
    left_out: list[str] = []
    for zone in sorted(folder.glob("intel-rapl:*"), key=lambda path: (len(path.name), path.name)):
        if not (name := _text(zone / "name")).startswith("package"):
            left_out.append(name)
            continue
        package = RaplCounter.at(zone)
        if any(package.name == other.name or package.mirrors(other) for other in packages):
            left_out.append(f"{name} (a mirror)")
            continue
        packages.append(package)
        parts = sorted(zone.glob(f"{zone.name}:*"))
        dram += [RaplCounter.at(part) for part in parts if _text(part / "name") == "dram"]
    return RaplEnergy(packages, dram, left_out) if packages else None


def positive(joules: float | None) -> float | None:
    """`joules`, or None where the counter has not moved: nothing measured is None, never 0."""
    return joules if joules is not None and joules > 0 else None


def lost(source: str | None, error: Exception) -> None:
    """Tell the user, once per meter, that energy stops here."""
    log.warning("the %s energy meter stopped answering (%s): energy is None from here on", source, error)


def energy_meter(device: str) -> EnergyMeter:
    """The best energy meter for `device` ("cpu", "cuda", "cuda:1", "mps").

    cpu: RAPL of each package once where it may be read, else modelled. cuda: NVML of that one GPU, or the module's
    rails on a Jetson; a GPU without counter has no modelled figure, so there it is None.
    """
    kind, _, index = device.partition(":")
    if kind == "cpu":
        return _cpu_meter()
    if kind == "cuda":
        return _gpu_meter(int(index or 0))
    return NoEnergy(f"no energy counter is known for device {device!r}")


def _cpu_meter() -> EnergyMeter:
    why = "RAPL is not here"
    try:
        if folder := next((path for path in RAPL_FOLDERS if path.is_dir()), None):
            why = "RAPL has no package here"
            if meter := rapl(folder):
                return meter
    except PermissionError:
        why = RAPL_FORBIDDEN
    except (OSError, ValueError) as error:
        why = f"RAPL cannot be read ({error})"
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
