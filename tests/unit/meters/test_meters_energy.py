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

from paperlib.meters import describe
from paperlib.meters.cpu_power import DEFAULT_WATTS, clean, design_power, watts_per_cpu
from paperlib.meters.energy import CounterEnergy, ModelledEnergy, energy_meter


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
