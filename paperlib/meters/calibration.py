"""The power of this machine against its busy CPUs: loads, a wall meter's log, the line through both, and its file."""

import csv
import math
import re
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter, ValidationError

from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.io import write_atomically
from paperlib.meters.protocols import EnergyMeter
from paperlib.schema.measurement import CpuCalibration, EnergySource, LoadWindow

ROUNDS = 2  # of all loads, so that drift and scatter are in the residual
SETTLE_S = 1.0  # before each window: wall meters answer late
READINGS = 3  # of a wall meter, at least, in each window
LATEST = 1e11  # unix seconds; a larger time is one in milliseconds
SIDE = 1024  # of the matrices that are multiplied
_WINDOWS = TypeAdapter(tuple[LoadWindow, ...])
AGAIN = "run `paperlib calibrate` again"


def run_loads(seconds: float, cpus: int, counter: EnergyMeter | None) -> Iterator[LoadWindow]:
    """Idle, half and full load for `seconds` each, in ROUNDS rounds; each window as soon as it is over.

    cpus: logical CPUs that a full load keeps busy. counter: measures each window; None leaves its watts open.
    Raises PaperlibError if the counter stops answering.
    """
    loads = {0: "idle", max(1, cpus // 2): "half", cpus: "full"}
    for _ in range(ROUNDS):
        for threads, name in loads.items():
            _work(threads, SETTLE_S)
            if counter:
                counter.begin()
            start, begun, cpu_s = time.time(), time.perf_counter(), time.process_time()
            _work(threads, seconds)
            took, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_s
            joules = counter.end() if counter else None
            if counter and joules is None:
                raise PaperlibError(f"the {counter.source} counter gave no energy under {name} load: {AGAIN}")
            watts = None if joules is None else joules / took
            yield LoadWindow(load=name, start=start, end=start + took, busy_cpus=cpu_s / took, watts=watts)


def _work(threads: int, seconds: float) -> None:
    """Matrix products on so many threads, or sleep."""
    import torch

    if not threads:
        time.sleep(seconds)
        return
    before, until = torch.get_num_threads(), time.perf_counter() + seconds
    matrix, product = torch.rand(SIDE, SIDE), torch.empty(SIDE, SIDE)
    torch.set_num_threads(threads)
    try:
        while time.perf_counter() < until:
            torch.mm(matrix, matrix, out=product)
    finally:
        torch.set_num_threads(before)


def fit_line(windows: Sequence[LoadWindow], cpu: str, source: EnergySource) -> CpuCalibration:
    """The line through the measured watts of the windows; PaperlibError where power does not
    rise with load by more than the residual."""
    busy = np.array([w.busy_cpus for w in windows])
    watts = np.array([w.watts for w in windows], float)
    slope, idle = np.polyfit(busy, watts, 1) if np.ptp(busy) > 0 else (0.0, 0.0)
    residual = float(np.sqrt(np.square(watts - idle - slope * busy).sum() / (len(windows) - 2)))
    above_idle = float(slope * busy.mean())
    if above_idle <= max(residual, 1e-6 * watts.max()):
        raise PaperlibError(
            f"the measured power ({watts.min():.1f} to {watts.max():.1f} W) does not rise with the load: check the "
            f"meter, its clock and what else runs here, then {AGAIN}"
        )
    return CpuCalibration(
        cpu=cpu, slope_w=slope, idle_w=idle, residual_w=residual, uncertainty=residual / above_idle,
        source=source, made=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip


def with_wall_log(windows: Sequence[LoadWindow], log: Path) -> list[LoadWindow]:
    """The windows with the mean of the readings that lie in each.

    log: CSV with the columns `time` (unix seconds, or ISO 8601, local where no zone is given) and `watts`. Raises
    PaperlibError for a file that is none, and where fewer than READINGS lie in a window.
    """
    readings = _read_log(log)
    first, last = (_local(pick(t for t, _ in readings)) for pick in (min, max))
    measured = []
    for window in windows:
        inside = [watts for t, watts in readings if window.start <= t <= window.end]
        if len(inside) < READINGS:
            raise PaperlibError(
                f"{log} goes from {first} to {last} and has {len(inside)} readings from {_local(window.start)} to "
                f"{_local(window.end)} ({window.load} load), where {READINGS} are needed: give the log of that time, "
                f"or with the meter logging {AGAIN}, with a larger --seconds"
            )
        measured.append(window.model_copy(update={"watts": sum(inside) / len(inside)}))
    return measured


def _read_log(log: Path) -> list[tuple[float, float]]:
    what = "a wall meter's log has the columns `time` (unix seconds or ISO 8601) and `watts`, and a number in each line"
    readings = []
    try:
        with log.open(encoding="utf-8-sig", newline="") as file:
            for row in csv.DictReader(file):
                seconds, watts = _unix_seconds(row["time"]), float(row["watts"])
                if not (0 <= seconds < LATEST and 0 <= watts < math.inf):
                    raise ValueError(f"{seconds:g} s, {watts:g} W")
                readings.append((seconds, watts))
    except OSError as error:
        raise PaperlibError(f"cannot read {log} ({error.strerror}): {what}") from None
    except (KeyError, TypeError, ValueError, csv.Error):
        raise PaperlibError(f"{log} cannot be used, see line {len(readings) + 2}: {what}") from None
    if not readings:
        raise PaperlibError(f"{log} has no readings: {what}")
    return readings


def _unix_seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text.strip()).timestamp()


def _local(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().isoformat(timespec="seconds")


def write_loads(windows: Sequence[LoadWindow], cpu: str) -> None:
    """Keep the windows for a wall meter's log that is given later."""
    write_atomically(_file(cpu, "-loads"), _WINDOWS.dump_json(tuple(windows), indent=1) + b"\n")


def read_loads(cpu: str) -> tuple[LoadWindow, ...]:
    """The windows of the last run on this CPU; PaperlibError where there are none, or their file is damaged."""
    path = _file(cpu, "-loads")
    try:
        return _WINDOWS.validate_json(path.read_bytes())
    except FileNotFoundError:
        raise PaperlibError("no loads ran on this CPU yet: with the meter logging, run `paperlib calibrate`") from None
    except (OSError, ValidationError):
        raise PaperlibError(f"{path} holds no loads of a calibration: {AGAIN}, with the meter logging") from None


def write_calibration(calibration: CpuCalibration) -> Path:
    """Keep it under its CPU's name; modelled energy uses it from now on."""
    path = _file(calibration.cpu)
    write_atomically(path, (calibration.model_dump_json(indent=1) + "\n").encode())
    return path


def read_calibration(cpu: str) -> CpuCalibration | None:
    """The calibration of the CPU of this name, None where there is none; PaperlibError for a file that is not one."""
    path = _file(cpu)
    try:
        calibration = CpuCalibration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise PaperlibError(f"{path} is no calibration of a CPU: delete it, or {AGAIN}") from None
    if calibration.cpu != cpu:
        raise PaperlibError(f"{path} calibrates {calibration.cpu!r}, this is {cpu!r}: delete it, or {AGAIN}")
    return calibration


def _file(cpu: str, ending: str = "") -> Path:
    return paths.calibrations() / f"{re.sub(r'[^a-z0-9]+', '-', cpu.lower()).strip('-')}{ending}.json"
