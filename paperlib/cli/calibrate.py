"""`paperlib calibrate`."""

from pathlib import Path
from typing import Annotated

import typer

QUIET = 0.05  # share of the cores that other processes may take


def command(
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of each load.")] = 10.0,
    wall: Annotated[
        Path | None,
        typer.Option(help="A wall meter's log of the last run's loads: CSV with columns time and watts."),
    ] = None,
) -> None:
    """Fit the CPU's power under load to a counter or a wall meter, for modelled energy to use.

    Runs idle, half and full load twice. Where there is no counter, log a wall meter meanwhile and give its log
    afterwards with --wall, which runs nothing.
    """
    from datetime import datetime

    from paperlib.core.errors import PaperlibError
    from paperlib.meters import calibration
    from paperlib.meters.cpu_power import cpu_name, this_cpu
    from paperlib.meters.energy import cpu_counter
    from paperlib.schema.measurement import LoadWindow
    from paperlib.trials.resources import BackgroundLoad, exclusive_resources

    cpu = cpu_name()
    windows: list[LoadWindow] = []
    if wall is not None:
        windows = calibration.with_wall_log(calibration.read_loads(cpu), wall)
        made = calibration.fit_line(windows, cpu, "external")
    else:
        counter, why = cpu_counter()
        with exclusive_resources(["cpu"]) as place:
            load = BackgroundLoad(place.cores)
            for window in calibration.run_loads(seconds, len(place.cores), counter):
                start, end = (datetime.fromtimestamp(t).isoformat(" ", "seconds") for t in (window.start, window.end))
                power = "" if window.watts is None else f", {window.watts:.2f} W"
                typer.echo(f"{window.load}: {start} to {end}, {window.busy_cpus:.2f} CPUs busy{power}")
                windows.append(window)
            if (others := load.share() or 0.0) > QUIET:
                typer.echo(f"other processes took {others:.0%} of the cores meanwhile: repeat it on a quiet machine")
        calibration.write_loads(windows, cpu)
        if counter is None:
            raise PaperlibError(
                f"nothing measured these loads ({why}): if a wall meter logged them, give its log with "
                "`paperlib calibrate --wall FILE.csv`, else start one and run this again"
            )
        made = calibration.fit_line(windows, cpu, counter.source or "rapl")
    watts, note = this_cpu()
    typer.echo(f"{cpu}: {made.idle_w:.2f} W idle + {made.slope_w:.2f} W per busy logical CPU ({made.source})")
    typer.echo(f"residual {made.residual_w:.2f} W, ±{made.uncertainty:.1%} of the power above idle at the mean load")
    typer.echo(f"without calibration: {note}; the measured slope is {made.slope_w / watts:.2f} times that")
    typer.echo(f"kept in {calibration.write_calibration(made)}: modelled energy uses it from now on")
