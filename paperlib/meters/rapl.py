"""Joules of CPU packages from Linux's powercap folder: each package once, the memory's energy apart."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paperlib.meters.protocols import lost, positive
from paperlib.schema.measurement import EnergySource

MAX_WATTS = 1000  # no package draws more: sets how often a counter is looked at so that no overflow is missed
MIRROR_UJ = 1_000_000  # counters of two packages that agree to this (of some 10^11) are one counter seen twice


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
        before, value, after = other.read(), self.read(), other.read()
        return value > 0 and before - MIRROR_UJ <= value <= after + MIRROR_UJ


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
        self._thread = threading.Thread()

    def begin(self) -> None:
        self._start = time.perf_counter()
        self._each(RaplCounter.restart)
        self._stop.clear()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def end(self) -> float | None:
        self._stop.set()
        self._thread.join()
        self._each(RaplCounter.add)
        measured = not self._lost and time.perf_counter() - self._start >= self.update_s
        self.dram_j = positive(sum(c.total for c in self.dram) / 1e6) if measured else None
        return positive(sum(c.total for c in self.packages) / 1e6) if measured else None

    def _watch(self) -> None:
        while not self._stop.wait(self._look_s):
            self._each(RaplCounter.add)

    def _each(self, step: Callable[[RaplCounter], None]) -> None:
        try:
            for counter in () if self._lost else (*self.packages, *self.dram):
                step(counter)
        except (OSError, ValueError) as error:
            self._lost = True
            lost(self.source, error)


def rapl(folder: Path) -> RaplEnergy | None:
    """The meter of the RAPL zones in `folder`, None if there is no package among them; OSError if it is forbidden.

    Of the zones at the top only packages count. `psys` is the whole platform, packages included. A package is left
    out as a mirror if it has the name of an earlier one, or its counter shows the same value (dies of one AMD socket
    each show the socket's). The same packages under `intel-rapl-mmio` are not looked at. The kernel's description:
    https://docs.kernel.org/power/powercap/powercap.html
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


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8").strip()
