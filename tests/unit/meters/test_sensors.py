"""Temperature and clock: which sensors count, and that what cannot be read is None."""

from types import SimpleNamespace

import psutil
import pytest
import torch

from paperlib.meters.sensors import Sensors, extremes, read_sensors


def show(monkeypatch: pytest.MonkeyPatch, chips: dict[str, list[float]], cores: list[tuple[float, float]]) -> Sensors:
    """What is read where psutil shows these temperatures, and cores of this (current, maximal) clock."""
    temperatures = {name: [SimpleNamespace(current=t) for t in values] for name, values in chips.items()}
    clocks = [SimpleNamespace(current=now, max=most) for now, most in cores]
    monkeypatch.setattr(psutil, "sensors_temperatures", lambda: temperatures, raising=False)
    monkeypatch.setattr(psutil, "cpu_freq", lambda percpu: clocks)
    monkeypatch.setattr(psutil, "LINUX", True)
    return read_sensors("cpu")


def test_the_hottest_sensor_of_the_processor_and_the_fastest_core_count(monkeypatch: pytest.MonkeyPatch) -> None:
    chips = {"acpitz": [99.0], "coretemp": [61.0, 64.0], "nvme": [70.0]}
    assert show(monkeypatch, chips, [(800.0, 4000.0), (3900.0, 4000.0)]) == Sensors(64.0, 3900.0)


def test_a_virtual_machines_nominal_clock_and_other_sensors_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    assert show(monkeypatch, {"acpitz": [40.0]}, [(2600.0, 0.0)] * 2) == Sensors(None, None)
    assert show(monkeypatch, {"k10temp": [0.0]}, []) == Sensors(None, None)
    monkeypatch.delattr(psutil, "sensors_temperatures")
    monkeypatch.setattr(psutil, "LINUX", False)
    assert read_sensors("cpu") == read_sensors("mps") == Sensors(None, None)


def test_a_gpu_is_read_through_nvml_and_what_it_refuses_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    def refuse(device: str) -> int:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)

    monkeypatch.setattr(torch.cuda, "temperature", lambda device: 55)
    monkeypatch.setattr(torch.cuda, "clock_rate", refuse)
    assert read_sensors("cuda:0") == Sensors(55.0, None)


def test_of_several_readings_the_hottest_and_the_slowest_stand() -> None:
    assert extremes(Sensors(50.0, None), Sensors(60.0, 3000.0), Sensors(None, 2500.0)) == Sensors(60.0, 2500.0)
    assert extremes(Sensors(None, None)) == extremes() == Sensors(None, None)
