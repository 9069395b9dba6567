"""Calibration: the line through known windows, logs of wall meters, what is kept and what is refused."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paperlib.cli import main
from paperlib.core.errors import PaperlibError
from paperlib.meters import Meters, calibration, energy
from paperlib.meters.calibration import (
    fit_line,
    read_calibration,
    read_loads,
    run_loads,
    with_wall_log,
    write_calibration,
    write_loads,
)
from paperlib.meters.cpu_power import cpu_name
from paperlib.meters.energy import ModelledEnergy, energy_meter
from paperlib.schema.measurement import LoadWindow
from tests.simulated_meters import PowerTrace, SimulatedEnergy, SimulatedTime

START = 1_796_000_000.0
BUSY = (0.0, 1.0, 2.0) * 2


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of one's own, no counter, and no waiting for a meter to settle."""
    monkeypatch.setenv("PAPERLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(energy, "RAPL_FOLDERS", ())
    monkeypatch.setattr(calibration, "SETTLE_S", 0.0)
    return tmp_path / "cache"


def windows(power: Callable[[float], float | None] = lambda busy: None) -> list[LoadWindow]:
    """Six windows of 10 s, 11 s apart; power(busy CPUs): their watts."""
    return [
        LoadWindow(load="some", start=START + 11 * i, end=START + 11 * i + 10, busy_cpus=busy, watts=power(busy))
        for i, busy in enumerate(BUSY)
    ]


def write_log(path: Path, power: Callable[[float], float], stamp: Callable[[float], str] = str, step: int = 1) -> Path:
    """A wall meter's log with a reading each `step` seconds; power(busy CPUs): its watts."""
    rows = ["time,watts"]
    rows += [f"{stamp(w.start + s)},{power(w.busy_cpus)}" for w in windows() for s in range(0, 10, step)]
    path.write_text("\n".join(rows) + "\n")
    return path


@given(idle=st.floats(0, 500), slope=st.floats(1, 100), off=st.floats(0, 0.8))
def test_a_known_line_is_found_and_what_is_off_it_is_the_residual(idle: float, slope: float, off: float) -> None:
    line = fit_line(windows(lambda busy: idle + slope * busy), "x", "rapl")
    assert (line.slope_w, line.idle_w) == (pytest.approx(slope), pytest.approx(idle, abs=1e-6))
    assert line.residual_w == pytest.approx(0, abs=1e-6)
    # The same amount above the line in one round and below it in the other: slope and intercept stay.
    pairs = zip(windows(lambda busy: idle + slope * busy), (off,) * 3 + (-off,) * 3, strict=True)
    shifted = fit_line([w.model_copy(update={"watts": (w.watts or 0.0) + d}) for w, d in pairs], "x", "rapl")
    assert (shifted.slope_w, shifted.idle_w) == (pytest.approx(slope), pytest.approx(idle, abs=1e-6))
    assert shifted.residual_w == pytest.approx((6 * off**2 / 4) ** 0.5, abs=1e-6)
    assert shifted.uncertainty == pytest.approx(shifted.residual_w / slope, abs=1e-6)  # one CPU is busy on average


@pytest.mark.parametrize("power", [lambda busy: 30.0, lambda busy: 30.0 - busy, lambda busy: 29 + (busy == 1)])
def test_power_that_does_not_rise_with_the_load_is_refused(power: Callable[[float], float]) -> None:
    with pytest.raises(PaperlibError, match=r"\d to 30.0 W\) does not rise with the load"):
        fit_line(windows(power), "x", "external")


@pytest.mark.parametrize(
    "stamp",
    [
        str,
        lambda t: datetime.fromtimestamp(t, UTC).isoformat(),
        lambda t: datetime.fromtimestamp(t).isoformat(" "),  # local, as a meter's program writes it
    ],
)
def test_a_wall_log_is_read_by_unix_seconds_and_iso_times(tmp_path: Path, stamp: Callable[[float], str]) -> None:
    log = write_log(tmp_path / "log.csv", lambda busy: 40 + 7 * busy, stamp)
    line = fit_line(with_wall_log(windows(), log), "x", "external")
    assert (line.slope_w, line.idle_w, line.source) == (pytest.approx(7), pytest.approx(40), "external")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no readings"),
        ("time,watts\n", "no readings"),
        ("time,power\n1,2\n", "see line 2"),
        ("time,watts\n1,2\nyesterday,3\n", "see line 3"),
        ("time,watts\n1,2\n2,much\n", "see line 3"),
        ("time,watts\n1,-2\n", "see line 2"),
        ("time,watts\n1,nan\n", "see line 2"),
        ("time,watts\n1796000000000,2\n", "see line 2"),
        ("time,watts\n1\n", "see line 2"),
        ("\x00\xff", "see line 2|no readings"),
        ("time,watts\n1,2\n2,2\n", "has 0 readings"),
    ],
)
def test_a_wrong_log_is_one_clear_line(tmp_path: Path, text: str, said: str) -> None:
    log = tmp_path / "log.csv"
    log.write_bytes(text.encode("latin1"))
    with pytest.raises(PaperlibError, match=said):
        with_wall_log(windows(), log)


def test_a_log_with_too_few_readings_says_what_it_covers(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv", lambda busy: 40 + busy, step=5)
    with pytest.raises(PaperlibError, match="has 2 readings.*3 are needed.*larger --seconds"):
        with_wall_log(windows(), log)
    with pytest.raises(PaperlibError, match="cannot read .*: No such file|cannot read"):
        with_wall_log(windows(), tmp_path / "nothing.csv")


def test_loads_are_measured_by_a_counter_and_a_counter_that_is_silent_ends_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, lasted = SimulatedTime(), list[tuple[int, float]]()

    def work(threads: int, seconds: float) -> None:
        lasted.append((threads, seconds))
        clock.advance(seconds)

    monkeypatch.setattr(calibration, "_work", work)
    monkeypatch.setattr(calibration.time, "perf_counter", clock)
    counter = SimulatedEnergy(clock, PowerTrace((0.0, 1.0), (50.0, 50.0)), update_s=0.5)
    found = list(run_loads(5.0, 8, counter))
    assert [w.load for w in found] == ["idle", "half", "full"] * calibration.ROUNDS
    assert [threads for threads, seconds in lasted if seconds] == [0, 4, 8] * calibration.ROUNDS
    assert all(w.watts == pytest.approx(50) and w.end - w.start == pytest.approx(5) for w in found)
    silent = SimulatedEnergy(clock, PowerTrace((0.0, 1.0), (50.0, 50.0)), lost_at_s=0.0)
    with pytest.raises(PaperlibError, match="gave no energy under idle load"):
        list(run_loads(5.0, 8, silent))


def test_a_calibration_is_used_by_modelled_energy_and_leaves_its_uncertainty_in_every_timing() -> None:
    plain = energy_meter("cpu")
    assert isinstance(plain, ModelledEnergy) and plain.uncertainty == 0.4 and "±40%" in plain.note
    line = fit_line(windows(lambda busy: 30 + 6 * busy + 0.1 * (busy == 1)), cpu_name(), "external")
    write_calibration(line)
    assert read_calibration(cpu_name()) == line
    meter = energy_meter("cpu")
    assert isinstance(meter, ModelledEnergy) and meter.watts == line.slope_w
    assert "calibrated (external)" in meter.note and "RAPL is not here" in meter.note
    assert Meters.for_device("cpu").energy_uncertainty == line.uncertainty == meter.uncertainty


@pytest.mark.parametrize("text", ["", "{", "[]", '{"cpu": "x"}', "\x00"])
def test_a_damaged_calibration_is_one_clear_line(cache: Path, text: str) -> None:
    path = write_calibration(fit_line(windows(lambda busy: 30 + 6 * busy), cpu_name(), "external"))
    path.write_text(text)
    with pytest.raises(PaperlibError, match="is no calibration of a CPU: delete it, or run `paperlib calibrate`"):
        energy_meter("cpu")


def test_another_cpus_calibration_is_refused_and_so_are_one_of_no_power_and_lost_loads(cache: Path) -> None:
    path = write_calibration(fit_line(windows(lambda busy: 30 + 6 * busy), cpu_name(), "external"))
    fields = json.loads(path.read_text())
    path.write_text(json.dumps(fields | {"cpu": "Abacus 3000"}))
    with pytest.raises(PaperlibError, match="calibrates 'Abacus 3000', this is"):
        energy_meter("cpu")
    path.write_text(json.dumps(fields | {"slope_w": -1.0}))
    with pytest.raises(PaperlibError, match="is no calibration"):
        energy_meter("cpu")
    with pytest.raises(PaperlibError, match="no loads ran on this CPU yet"):
        read_loads("x")
    write_loads(windows(), "x")
    assert read_loads("x") == tuple(windows())
    (cache / "calibration" / "x-loads.json").write_text("{}")
    with pytest.raises(PaperlibError, match="holds no loads"):
        read_loads("x")


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["paperlib", *words])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code


def test_the_command_runs_loads_then_takes_a_wall_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "calibrate", "--wall", str(tmp_path / "log.csv")) == 2
    assert "no loads ran on this CPU yet" in capsys.readouterr().err
    monkeypatch.setattr(calibration, "run_loads", lambda *_: iter(windows()))
    assert call(monkeypatch, "calibrate") == 2
    out, err = capsys.readouterr()
    assert out.count("CPUs busy") == len(BUSY)
    assert "RAPL is not here" in err and "--wall FILE.csv" in err and len(err.splitlines()) == 1
    assert read_calibration(cpu_name()) is None
    log = write_log(tmp_path / "log.csv", lambda busy: 40 + 7 * busy)
    assert call(monkeypatch, "calibrate", "--wall", str(log)) in (0, None)
    assert "40.00 W idle + 7.00 W per busy logical CPU (external)" in capsys.readouterr().out
    line = read_calibration(cpu_name())
    assert line and line.slope_w == pytest.approx(7)


def test_the_command_takes_a_counter_where_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    counter = SimulatedEnergy(SimulatedTime(), PowerTrace((0.0, 1.0), (1.0, 1.0)), source="rapl")
    monkeypatch.setattr(energy, "cpu_counter", lambda: (counter, ""))
    monkeypatch.setattr(calibration, "run_loads", lambda *_: iter(windows(lambda busy: 20 + 3 * busy)))
    assert call(monkeypatch, "calibrate") in (0, None)
    assert "20.00 W idle + 3.00 W per busy logical CPU (rapl)" in capsys.readouterr().out


def test_real_loads_keep_cpus_busy() -> None:
    by_load = {w.load: w for w in run_loads(0.3, 1, None)}
    assert by_load["idle"].busy_cpus < by_load["full"].busy_cpus and by_load["full"].watts is None
