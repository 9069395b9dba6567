"""Energy from the counters of a CPU package (RAPL), played by files."""

import logging
import time
from pathlib import Path

import pytest

from paperlib.meters import Measurement, Meters, energy
from paperlib.meters.energy import energy_meter
from paperlib.meters.rapl import RaplCounter, RaplEnergy

RANGE_UJ = 262143328850


def zone(folder: Path, name: str, energy_uj: int, range_uj: int = RANGE_UJ) -> Path:
    """A powercap zone as the kernel lays it out; returns its counter."""
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{range_uj}\n")
    (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder / "energy_uj"


@pytest.fixture
def powercap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty /sys/class/powercap that the meters read instead of this machine's."""
    monkeypatch.setattr(energy, "RAPL_FOLDERS", (tmp_path / "powercap" / "intel-rapl",))
    return tmp_path / "powercap"


def add(counter: Path, joules: float, range_uj: int = RANGE_UJ) -> None:
    new = counter.with_name("new")  # the kernel never shows half a number
    new.write_text(f"{(int(counter.read_text()) + round(joules * 1e6)) % range_uj}\n")
    new.replace(counter)


def spent(joules: dict[Path, float]) -> Measurement:
    """What the cpu's meters say of a window in which the counters move by these joules."""
    meters = Meters.for_device("cpu")
    assert isinstance(meters.energy, RaplEnergy)
    meters.begin()
    for counter, amount in joules.items():
        add(counter, amount)
    time.sleep(0.011)
    return meters.end()


def test_rapl_counts_the_package_without_psys_and_with_dram_apart(powercap: Path) -> None:
    package = zone(powercap / "intel-rapl/intel-rapl:0", "package-0", 10**9)
    core = zone(powercap / "intel-rapl/intel-rapl:0/intel-rapl:0:0", "core", 10**8)
    dram = zone(powercap / "intel-rapl/intel-rapl:0/intel-rapl:0:1", "dram", 10**7)
    psys = zone(powercap / "intel-rapl/intel-rapl:1", "psys", 10**10)
    reading = spent({package: 2.5, core: 2.0, dram: 0.5, psys: 40.0})
    assert reading.energy_source == "rapl"
    assert reading.energy_j == pytest.approx(2.5)
    assert reading.dram_j == pytest.approx(0.5)
    assert reading.co2_g == pytest.approx(2.5 / 3.6e6 * (reading.grid_g_per_kwh or 0))
    assert energy_meter("cpu").note == (
        "RAPL of 1 CPU package(s), the whole machine's work, gross; dram apart; left out: psys"
    )


def test_two_sockets_are_both_counted(powercap: Path) -> None:
    counters = [zone(powercap / f"intel-rapl/intel-rapl:{i}", f"package-{i}", 10**9 * (i + 1)) for i in range(11)]
    reading = spent(dict.fromkeys(counters, 1.0))
    assert reading.energy_j == pytest.approx(11.0)
    assert reading.dram_j is None, "there is no counter of it: not measured is None"


def test_a_package_seen_twice_counts_once(powercap: Path) -> None:
    package = zone(powercap / "intel-rapl/intel-rapl:0", "package-0", 10**9)
    same_name = zone(powercap / "intel-rapl/intel-rapl:1", "package-0", 5 * 10**9)
    other_interface = zone(powercap / "intel-rapl-mmio/intel-rapl-mmio:0", "package-0", 10**9)
    assert spent({package: 2.5, same_name: 2.5, other_interface: 2.5}).energy_j == pytest.approx(2.5)
    assert energy_meter("cpu").note.endswith("left out: package-0 (a mirror)")


def test_dies_that_show_their_sockets_counter_count_once(powercap: Path) -> None:
    dies = [(0, 10**9), (0, 10**9 + 900), (1, 7 * 10**9), (1, 7 * 10**9)]
    counters = [
        zone(powercap / f"intel-rapl/intel-rapl:{i}", f"package-{socket}-die-{i % 2}", value)
        for i, (socket, value) in enumerate(dies)
    ]
    assert spent(dict.fromkeys(counters, 2.0)).energy_j == pytest.approx(4.0)
    assert "2 CPU package(s)" in energy_meter("cpu").note
    add(counters[1], 5.0)  # 5 J apart: not the same counter, however alike
    assert "3 CPU package(s)" in energy_meter("cpu").note


def test_a_counter_that_starts_again_at_zero_is_followed(powercap: Path) -> None:
    package = zone(powercap / "intel-rapl/intel-rapl:0", "package-0", RANGE_UJ - 10**6)
    assert spent({package: 3.0}).energy_j == pytest.approx(3.0)
    assert spent({package: 4.0}).energy_j == pytest.approx(4.0), "the window after the overflow"


def test_a_window_longer_than_the_counters_range_is_followed(powercap: Path) -> None:
    package = zone(powercap / "intel-rapl/intel-rapl:0", "package-0", 5 * 10**6, range_uj=20 * 10**6)
    meter = energy_meter("cpu")  # looks every 10 ms: more than 1000 W would be needed for 20 J in 20 ms
    assert isinstance(meter, RaplEnergy)
    meter.begin()
    for _ in range(5):
        add(package, 15.0, 20 * 10**6)
        until = time.perf_counter() + 20
        while meter.packages[0].last != int(package.read_text()) and time.perf_counter() < until:
            time.sleep(0.005)
    assert meter.end() == pytest.approx(75.0)


def test_a_rapl_counter_that_goes_away_is_none_and_one_warning(
    powercap: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package = zone(powercap / "intel-rapl/intel-rapl:0", "package-0", 10**9)
    meter = energy_meter("cpu")
    meter.begin()
    package.unlink()
    with caplog.at_level(logging.WARNING):
        assert meter.end() is None
        meter.begin()
        assert meter.end() is None
    assert [r.getMessage().partition(" (")[0] for r in caplog.records] == ["the rapl energy meter stopped answering"]


def test_a_rapl_window_that_is_too_short_is_none(powercap: Path) -> None:
    package = zone(powercap / "intel-rapl/intel-rapl:0", "package-0", 10**9)
    meter = energy_meter("cpu")
    meter.update_s = 60.0
    meter.begin()
    add(package, 1.0)
    assert meter.end() is None


def test_rapl_without_permission_falls_back_and_says_so(powercap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone(powercap / "intel-rapl/intel-rapl:0", "package-0", 10**9)

    def refuse(_: RaplCounter) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(RaplCounter, "read", refuse)
    meter = energy_meter("cpu")
    assert meter.source == "modelled"
    assert "may not read it" in meter.note


@pytest.mark.parametrize(
    ("zones", "why"),
    [({}, "no package"), ({"intel-rapl:0": "psys"}, "no package"), ({"intel-rapl:0": None}, "cannot be read")],
)
def test_rapl_without_a_readable_package_falls_back(powercap: Path, zones: dict[str, str | None], why: str) -> None:
    (powercap / "intel-rapl").mkdir(parents=True)
    for folder, name in zones.items():
        zone(powercap / "intel-rapl" / folder, name or "package-0", 10**9)
        if name is None:
            (powercap / "intel-rapl" / folder / "energy_uj").write_text("")
    meter = energy_meter("cpu")
    assert meter.source == "modelled" and why in meter.note
