"""`paperlib plan`: what a profile will cost here, before it runs, by notebook and by data set."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from paperlib.claims.missing import Missing
from paperlib.core.paths import Layout, ProfileName
from paperlib.core.progress import duration, wide_console
from paperlib.costs.records import read_costs
from paperlib.meters.carbon import grid
from paperlib.report.schedule import NOTEBOOK_S
from paperlib.trials.store import Store

if TYPE_CHECKING:
    from paperlib.costs.forecast import Cost

NOTEBOOK_BYTES = 7_000_000
PROCESS_BYTES = 700_000_000  # of Python with torch, before any image


@dataclass(frozen=True)
class Line:
    """One data set (or other part) of one notebook: how many pieces, how many done, the cost of the others."""

    notebook: str
    part: str
    pieces: int
    done: int
    left: "Cost"
    seed: "Cost"


@dataclass(frozen=True)
class Plan:
    """All lines, where energy and CO2 come from, what is left to do, and what one more seed of everything costs."""

    profile: str
    lines: tuple[Line, ...]
    energy_source: str | None
    left: "Cost"
    seed: "Cost"


def command(
    profile: Annotated[ProfileName, typer.Option(help="Whose cost.")] = "quick",
    only: Annotated[list[str] | None, typer.Option(help="Notebook number, such as 01; may be repeated.")] = None,
) -> None:
    """Say what a profile will cost here before it runs: hours, energy, CO2, disk and memory.

    It multiplies what the profile's cost records say; what they lack it measures by a few steps, in under a minute.
    """
    made = make_plan(profile, only, Layout.of(profile))
    console = wide_console()
    console.print(render(made))
    for sentence in sentences(made):
        console.print(sentence, soft_wrap=True)


def make_plan(profile: str, only: list[str] | None, layout: Layout) -> Plan:
    """What is still to be run, at its costs, added up. PaperlibError for unknown profiles and notebooks."""
    from paperlib.costs import forecast
    from paperlib.costs.forecast import Cost, total
    from paperlib.costs.records import is_complete
    from paperlib.costs.unit_costs import Kind, units_of
    from paperlib.studies import cpu
    from paperlib.studies.costs import effort_of
    from paperlib.studies.costs import settings as cost_settings
    from paperlib.studies.sections import CPU_STUDY, chosen

    grid()  # a wrong one shows before anything is measured
    notebooks = chosen(only)
    grids = {number: list(dict.fromkeys(notebook.trials(profile))) for number, notebook in notebooks.items()}
    kinds = {trial: forecast.kind(trial) for trials in grids.values() for trial in trials}
    networks = cpu.settings(profile) if CPU_STUDY in notebooks else []
    unstudied = [s for s in networks if not (layout.edge / f"{s.id}.json").exists()]
    wanted = {number: cost_settings(profile, number) for number in notebooks}
    unmeasured = {
        number: {s: effort_of(profile, s) for s in settings if not is_complete(s, layout)}
        for number, settings in wanted.items()
    }
    networks_of_costs = [Kind(s.network) for settings in unmeasured.values() for s in settings]
    needed = [*kinds.values(), *map(forecast.kind_of_cpu, unstudied), *networks_of_costs]
    units = units_of(needed, read_costs(layout))
    watts, source = next(((u.watts, u.source) for u in units.values() if u.watts is not None), (None, None))
    done = Store(layout).find(kinds)
    counted, lines = set[str](), list[Line]()
    for number, notebook in notebooks.items():
        for dataset in dict.fromkeys(trial.dataset for trial in grids[number]):
            trials = [t for t in grids[number] if t.dataset == dataset and t.id not in counted]
            counted |= {t.id for t in trials}  # notebooks share trials
            unit_of = {t: units[kinds[t]] for t in trials}
            left = forecast.costs_of([t for t in trials if t not in done], unit_of)
            seed = forecast.costs_of([t for t in trials if t.seed == 0], unit_of)
            parts = total(left.values()), total(seed.values())
            lines.append(Line(number, dataset, len(trials), len(trials) - len(left), *parts))
        if number == CPU_STUDY:
            studied = len(networks) - len(unstudied)
            lines.append(
                Line(number, "CPU study", len(networks), studied, forecast.cpu_study_cost(unstudied, units), Cost())
            )
        if wanted[number]:
            left_costs = forecast.costs_cost(unmeasured[number], units)
            measured = len(wanted[number]) - len(unmeasured[number])
            lines.append(Line(number, "costs", len(wanted[number]), measured, left_costs, Cost()))
        drawn = (layout.notebooks / f"{notebook.name}.ipynb").exists()
        energy_j = None if watts is None else NOTEBOOK_S * watts
        drawing = Cost() if drawn else Cost(NOTEBOOK_S, energy_j, NOTEBOOK_BYTES, PROCESS_BYTES)
        lines.append(Line(number, "tables and figures", 1, int(drawn), drawing, Cost()))
    left_of_all, seed_of_all = total([line.left for line in lines]), total([line.seed for line in lines])
    return Plan(profile, tuple(lines), source, left_of_all, seed_of_all)


def render(made: Plan) -> Table:
    """The plan as a table: what is left to do, by notebook and data set."""
    table = Table(title=f"Profile {made.profile}: what is left to do, on this machine", title_justify="left")
    for name in ("notebook", "part"):
        table.add_column(name)
    for name in ("pieces", "done", "time", "Wh", "g CO2", "disk", "one more seed"):
        table.add_column(name, justify="right")
    for line in made.lines:
        more = duration(line.seed.time_s) if line.seed.time_s else "–"
        table.add_row(line.notebook, line.part, str(line.pieces), str(line.done), *_cells(line.left), more)
    table.add_section()
    pieces, done = (sum(getattr(line, name) for line in made.lines) for name in ("pieces", "done"))
    table.add_row("all", "", str(pieces), str(done), *_cells(made.left), duration(made.seed.time_s))
    return table


def sentences(made: Plan) -> list[str]:
    """What the table leaves out: total, sources, memory, and how far to trust it."""
    left, mix = made.left, grid()
    energy = "energy unknown: no meter answers here"
    if left.energy_j is not None:
        energy = f"{left.energy_j / 3.6e6:.3g} kWh ({made.energy_source}), {mix.grams(left.energy_j):.3g} g CO2 "
        energy += f"({mix.name}, {mix.g_per_kwh:.0f} g per kWh; PAPERLIB_GRID chooses another)"
    disk, memory = (f"{n / 1e9:.2f} GB" for n in (left.disk_bytes, left.memory_bytes))
    said = [f"Left: {duration(left.time_s)}, {energy}, {disk} of disk beside the images, {memory} of memory."]
    if made.seed.time_s:
        said.append(f"One more seed of every trial: {duration(made.seed.time_s)}.")
    said.append(
        "Trials, costs and CPU study: by cost records, or by a few steps measured just now. Tables and figures: "
        f"{NOTEBOOK_S:.0f} s a notebook, as on 2 cores of an AMD EPYC."
    )
    return said


def forecast(lacking: Missing, layout: Layout) -> str:
    """What these trials and costs will take: time, energy, CO2."""
    from paperlib.costs.forecast import cost_of

    expected = cost_of(lacking.trials, lacking.costs, read_costs(layout), lacking.fresh)
    joules = expected.energy_j
    energy = "energy unknown" if joules is None else f"{joules / 3600:.2g} Wh, {grid().grams(joules):.2g} g CO2"
    return f"about {duration(expected.time_s)}, {energy}"


def _cells(cost: "Cost") -> list[str]:
    if not cost.time_s:
        return ["–"] * 4
    watt_hours, grams = "?", "?"
    if cost.energy_j is not None:
        watt_hours, grams = f"{cost.energy_j / 3600:.2g}", f"{grid().grams(cost.energy_j):.2g}"
    return [duration(cost.time_s), watt_hours, grams, f"{cost.disk_bytes / 1e6:.1f} MB"]
