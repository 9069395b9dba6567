"""Energy: counters through zeus, the modelled figure, and nothing on the user's screen."""

import logging
import resource
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from zeus.device.gpu.common import ZeusGPUInitError, ZeusGPULostError

from paperlib.meters import Measurement, Meters, describe, energy
from paperlib.meters.cpu_power import DEFAULT_WATTS, clean, design_power, watts_per_cpu
from paperlib.meters.energy import CounterEnergy, ModelledEnergy, energy_meter
from paperlib.meters.rapl import RaplCounter, RaplEnergy


@pytest.mark.parametrize(
    ("found", "table", "watts"),
    [
        ("AMD EPYC 7402 24-Core Processor", "AMD EPYC 7402", 180),
        ("Intel(R) Xeon(R) CPU E5-2680 v4 @ 2.40GHz", "Intel Xeon E5-2680 v4", 120),
        ("11th Gen Intel(R) Core(TM) i7-11800H @ 2.30GHz", "Intel Core i7-11800H", 45),
        ("Intel Core i7-11800H", "Intel Core i7-11800H", 45),
    ],
)
def test_cpu_names_of_operating_systems_find_their_row(found: str, table: str, watts: float) -> None:
    assert clean(found) == clean(table)
    assert design_power(found) == watts


def test_watts_are_shared_over_the_logical_cpus_so_that_a_busy_machine_draws_its_design_power() -> None:
    watts, note = watts_per_cpu("AMD EPYC 7402 24-Core Processor", sockets=2, logical=96, virtual=False)
    assert watts * 96 == pytest.approx(2 * 180)
    assert "180 W design power" in note


@pytest.mark.parametrize(
    ("name", "virtual", "why"),
    [("AMD EPYC 7402", True, "virtual machine"), ("Abacus 3000", False, "lacks 'Abacus 3000'")],
)
def test_without_a_row_or_in_a_virtual_machine_the_default_is_stated(name: str, virtual: bool, why: str) -> None:
    watts, note = watts_per_cpu(name, 1, 2, virtual)
    assert watts == DEFAULT_WATTS
    assert "default of 4 W" in note
    assert why in note


def test_the_default_is_codecarbons_own() -> None:
    # Read, not imported: importing codecarbon prints about a missing AMD library.
    import importlib.util

    spec = importlib.util.find_spec("codecarbon")
    assert spec is not None and spec.origin is not None
    source = (Path(spec.origin).parent / "core" / "cpu.py").read_text(encoding="utf-8")
    assert f"DEFAULT_POWER_PER_CORE = {DEFAULT_WATTS:g}\n" in source


def test_modelled_energy_is_cpu_seconds_times_watts_and_sleep_costs_nothing() -> None:
    def cpu_seconds() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    meter = ModelledEnergy(10.0, "test")
    meter.begin()
    before = cpu_seconds()
    end = time.process_time() + 0.2
    while time.process_time() < end:
        pass
    spent = cpu_seconds() - before
    busy = meter.end()
    assert busy == pytest.approx(10 * spent, rel=0.1)
    meter.begin()
    time.sleep(0.05)
    idle = meter.end()
    assert busy is not None and idle is not None
    assert idle < 0.2 * busy


class FakeMonitor:
    """What zeus answers: a measurement, or an error from some call on."""

    def __init__(self, measurement: Any, error: Exception | None = None) -> None:
        self.measurement, self.error, self.calls = measurement, error, 0

    def begin_window(self, key: str, **_: bool) -> None:
        self.calls += 1

    def end_window(self, key: str, **_: bool) -> Any:
        if self.error:
            raise self.error
        return self.measurement


def window(meter: CounterEnergy) -> float | None:
    meter.begin()
    return meter.end()


def test_each_counter_reads_its_own_part_of_the_measurement() -> None:
    answer = SimpleNamespace(
        gpu_energy={0: 7.5},
        soc_energy=SimpleNamespace(total_energy_mj=4000.0),
    )
    monitor = FakeMonitor(answer)
    assert window(CounterEnergy(monitor, "nvml", "", 0.0)) == 7.5
    assert window(CounterEnergy(monitor, "jetson", "", 0.0)) == 4.0


def test_a_counter_that_did_not_move_or_a_window_that_is_too_short_is_none() -> None:
    assert window(CounterEnergy(FakeMonitor(SimpleNamespace(gpu_energy={0: 0.0})), "nvml", "", 0.0)) is None
    assert window(CounterEnergy(FakeMonitor(SimpleNamespace(gpu_energy={0: 9.0})), "nvml", "", 60.0)) is None


def test_a_lost_gpu_is_reported_once_and_not_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    monitor = FakeMonitor(None, ZeusGPULostError("GPU is lost"))
    meter = CounterEnergy(monitor, "nvml", "", 0.0)
    with caplog.at_level(logging.WARNING):
        assert [window(meter) for _ in range(3)] == [None, None, None]
    assert [r.getMessage() for r in caplog.records] == [
        "the nvml energy meter stopped answering (GPU is lost): energy is None from here on"
    ]
    assert monitor.calls == 1


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


class FakeGPUs:
    """zeus's view of one GPU."""

    def __len__(self) -> int:
        return 1

    def supports_get_total_energy_consumption(self, _: int) -> bool:
        return True

    mj = 0.0

    def get_total_energy_consumption(self, _: int) -> float:
        FakeGPUs.mj += 5000.0
        return FakeGPUs.mj


def cuda_here(monkeypatch: pytest.MonkeyPatch, name: str, cuda: str | None = "13.0") -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: name)
    monkeypatch.setattr("torch.version.cuda", cuda)


def test_nvml_is_used_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_here(monkeypatch, "NVIDIA A100")
    monkeypatch.setattr("zeus.device.gpu.get_gpus", FakeGPUs)
    monkeypatch.setattr("zeus.monitor.energy.get_gpus", FakeGPUs)
    meter = energy_meter("cuda:0")
    assert (meter.source, meter.update_s) == ("nvml", 0.1)
    assert "the GPU alone, gross" in meter.note
    meter.begin()
    time.sleep(0.11)
    assert meter.end() == pytest.approx(5.0)


def test_a_gpu_without_counter_has_no_energy_and_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here() -> None:
        raise ZeusGPUInitError("NVML unavailable")

    monkeypatch.setattr("zeus.device.gpu.get_gpus", none_here)
    assert energy_meter("mps").source is None
    cuda_here(monkeypatch, "NVIDIA A100")
    assert "NVML unavailable" in energy_meter("cuda").note
    cuda_here(monkeypatch, "NVIDIA A100-SXM4-80GB MIG 1g.10gb")
    assert "MIG partition" in energy_meter("cuda").note
    cuda_here(monkeypatch, "Instinct", cuda=None)
    assert "only NVIDIA" in energy_meter("cuda").note
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    meter = energy_meter("cuda")
    meter.begin()
    assert (meter.source, meter.end()) == (None, None)


def test_a_jetson_is_read_through_its_rails(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_here() -> None:
        raise ZeusGPUInitError("NVML unavailable")

    cuda_here(monkeypatch, "Orin")
    monkeypatch.setattr("zeus.device.gpu.get_gpus", none_here)
    monkeypatch.setattr("zeus.device.soc.jetson.jetson_is_available", lambda: True)
    monkeypatch.setattr(
        "zeus.monitor.ZeusMonitor",
        lambda **_: FakeMonitor(SimpleNamespace(soc_energy=SimpleNamespace(total_energy_mj=1500.0))),
    )
    meter = energy_meter("cuda")
    assert meter.source == "jetson"


def test_meters_print_nothing_about_absent_hardware() -> None:
    code = "from paperlib.meters import Meters as M; m = M.for_device('cpu'); m.begin(); m.end(); print('ok')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_describe_names_each_meter_and_whether_it_is_real() -> None:
    energy, co2 = describe("cpu")
    assert energy.name == "energy on cpu"
    assert energy.real == (not energy.found.startswith(("modelled", "none")))
    assert "g per kWh" in co2.found
