"""Windows, readings and the simulated GPU."""

import logging
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from paperlib.core.errors import PaperlibError
from paperlib.meters import Measurement, Meters
from paperlib.meters.carbon import Grid
from paperlib.meters.clock import clock_for
from paperlib.meters.energy import ModelledEnergy
from paperlib.meters.protocols import NoMeter
from paperlib.schema.measurement import Timing
from tests.simulated_meters import PowerTrace, SimulatedEnergy, SimulatedTime

GRID = Grid("ITA", "Italy", 360.0)


def simulated(trace: PowerTrace, lost_at_s: float | None = None) -> tuple[Meters, SimulatedTime]:
    """Meters over a replayed trace, with the clock that moves them."""
    clock = SimulatedTime()
    return Meters("cuda", clock, SimulatedEnergy(clock, trace, lost_at_s=lost_at_s), GRID), clock


FLAT = PowerTrace((0.0, 100.0), (200.0, 200.0))


def test_a_window_reports_time_energy_and_co2_with_their_sources() -> None:
    meters, clock = simulated(FLAT)
    meters.begin()
    clock.advance(5.0)
    measured = meters.end()
    assert measured.time_s == pytest.approx(5.0)
    assert measured.energy_j == pytest.approx(1000.0)
    assert measured.co2_g == pytest.approx(1000 / 3.6e6 * 360)
    assert (measured.energy_source, measured.grid) == ("simulated", "ITA")


@pytest.mark.parametrize(("update_s", "slept"), [(0.1, 1.1), (0.001, 1.0), (1.0, 11.0)])
def test_idle_power_is_measured_once_over_ten_updates_and_a_second(
    update_s: float, slept: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    meters, clock = simulated(FLAT)
    meters.energy = SimulatedEnergy(clock, FLAT, update_s=update_s)
    monkeypatch.setattr(time, "sleep", clock.advance)
    assert meters.idle_w == pytest.approx(200, rel=0.1) and clock.now == pytest.approx(slept)
    assert meters.idle_w == pytest.approx(200, rel=0.1) and clock.now == pytest.approx(slept)


def test_without_a_counter_there_is_no_idle_power(monkeypatch: pytest.MonkeyPatch) -> None:
    meters, clock = simulated(FLAT, lost_at_s=0.0)
    monkeypatch.setattr(time, "sleep", clock.advance)
    assert meters.idle_w is None, "the counter is gone"
    for meter in (ModelledEnergy(4.0, "test"), NoMeter("none")):
        assert Meters("cpu", clock, meter, GRID).idle_w is None
    assert Meters("cpu", clock, ModelledEnergy(4.0, "test"), GRID).energy_uncertainty == 0.4
    assert meters.energy_uncertainty is None


def test_a_window_shorter_than_the_update_period_has_no_energy_rather_than_zero() -> None:
    meters, clock = simulated(FLAT)
    clock.advance(0.05)
    within = meters.measure(lambda: clock.advance(0.04))
    across = meters.measure(lambda: clock.advance(0.04))  # crosses a tick: the counter shows 20 J for 40 ms
    assert within.energy_j is None
    assert across.energy_j is None
    assert across.co2_g is None


def test_losing_the_gpu_midway_gives_none_and_one_warning_line(caplog: pytest.LogCaptureFixture) -> None:
    meters, clock = simulated(FLAT, lost_at_s=12.0)
    with caplog.at_level(logging.WARNING, logger="paperlib.meters"):
        windows = [meters.measure(lambda: clock.advance(5.0)) for _ in range(4)]
    assert [w.energy_j for w in windows] == [pytest.approx(1000), pytest.approx(1000), None, None]
    assert [w.time_s for w in windows] == [pytest.approx(5.0)] * 4
    assert len(caplog.records) == 1
    assert "GPU lost at 12 s" in caplog.records[0].getMessage()


def test_nested_windows_are_refused_and_the_outer_one_survives() -> None:
    meters, clock = simulated(FLAT)
    meters.begin()
    clock.advance(1.0)
    with pytest.raises(PaperlibError, match="do not nest"):
        meters.measure(lambda: None)
    clock.advance(1.0)
    assert meters.end().time_s == pytest.approx(2.0)


def test_a_window_that_was_not_opened_is_named() -> None:
    meters, _ = simulated(FLAT)
    with pytest.raises(PaperlibError, match="call begin"):
        meters.end()


def test_failing_work_closes_its_window() -> None:
    meters, _ = simulated(FLAT)
    with pytest.raises(ZeroDivisionError):
        meters.measure(lambda: 1 / 0)
    meters.begin()
    assert meters.end().time_s == 0


def test_time_only_meters_answer_none_never_zero() -> None:
    measured = Meters.time_only("cpu").measure(lambda: time.sleep(0.01))
    assert measured.time_s >= 0.009
    assert (measured.energy_j, measured.co2_g, measured.energy_source) == (None, None, None)


def test_energy_without_a_source_is_impossible() -> None:
    for build in (
        lambda: Measurement(time_s=1, energy_j=2.0),
        lambda: Timing(
            variant="dense", batch_size=1, rounds=5, median_s=1, p95_s=1, p99_s=1, ratio=1, ratio_low=1, ratio_high=1,
            energy_j_per_image=1.0,
        ),
    ):  # fmt: skip
        with pytest.raises(ValidationError, match="energy without a source"):
            build()


@pytest.mark.parametrize("source", [None, "", "my-plug"])
def test_an_energy_meter_names_its_source_before_anything_is_measured(source: str | None) -> None:
    meters, _ = simulated(FLAT)
    meters.energy.source = source  # type: ignore[assignment]
    with pytest.raises(PaperlibError, match=f"must be one of nvml, rapl.*external.*, not {source!r}"):
        meters.begin()


@given(
    st.lists(st.floats(0.01, 5), min_size=2, max_size=8),
    st.floats(0, 60),
    st.data(),
)
def test_a_replayed_trace_integrates_like_numpy(steps: list[float], until: float, data: st.DataObject) -> None:
    times = np.concatenate([[0.0], np.cumsum(steps)])
    watts = np.array(data.draw(st.lists(st.floats(0, 700), min_size=len(times), max_size=len(times))))
    inside = times[times < until]
    grid = np.concatenate([inside, [until]])
    oracle = float(np.trapezoid(np.interp(grid, times, watts), grid)) if until > 0 else 0.0
    assert PowerTrace(tuple(times), tuple(watts)).joules(until) == pytest.approx(oracle, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("times", "watts", "said"), [((0.0,), (1.0,), "two points"), ((0.0, 0.0), (1.0, 1.0), "must rise")]
)
def test_a_broken_trace_is_refused(times: tuple[float, ...], watts: tuple[float, ...], said: str) -> None:
    with pytest.raises(PaperlibError, match=said):
        PowerTrace(times, watts)


@pytest.mark.parametrize("device", ["cuda:0", "mps"])
def test_the_clock_waits_for_the_device(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[object] = []
    monkeypatch.setattr("torch.cuda.synchronize", waited.append)
    monkeypatch.setattr("torch.mps.synchronize", lambda: waited.append("mps"))
    clock = clock_for(device)
    assert clock() <= clock()
    assert waited == [device, device]
    assert clock_for("cpu") is time.perf_counter
