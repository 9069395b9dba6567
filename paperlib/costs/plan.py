"""`paperlib plan`: what a profile will cost here, before it runs, by notebook and by data set."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from paperlib.core.paths import Layout
from paperlib.core.progress import wide_console
from paperlib.meters.carbon import grid
from paperlib.trials.store import Store

if TYPE_CHECKING:
    from paperlib.costs.forecast import Cost

# Executing one notebook and drawing its figures: the mean of the five of `quick`, on 2 cores of an AMD EPYC.
NOTEBOOK_S = 17.0
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
    """All lines, and where energy and CO2 come from."""

    profile: str
    lines: tuple[Line, ...]
    energy_source: str | None

    @property
    def left(self) -> "Cost":
        from paperlib.costs.forecast import total

        return total([line.left for line in self.lines])

    @property
    def seed(self) -> "Cost":
        """What one more seed of everything costs."""
        from paperlib.costs.forecast import total

        return total([line.seed for line in self.lines])


def make_plan(profile: str, only: list[str] | None, layout: Layout) -> Plan:
    """Calibrate what is still to be run, and add it up. PaperlibError for unknown notebooks."""
    from paperlib.costs.cpu_study import edge, settings
    from paperlib.costs.forecast import Cost, calibrate, cost, edge_cost, kind, total
    from paperlib.studies.sections import chosen

    notebooks = chosen(only)
    grids = {number: list(dict.fromkeys(notebook.trials(profile))) for number, notebook in notebooks.items()}
    rates = calibrate(trial for trials in grids.values() for trial in trials)
    watts, source = next(((r.watts, r.source) for r in rates.values() if r.watts is not None), (None, None))
    before = Store(layout).find(trial for trials in grids.values() for trial in trials)
    counted, lines = set[str](), list[Line]()
    for number, notebook in notebooks.items():
        for dataset in dict.fromkeys(trial.dataset for trial in grids[number]):
            trials = [t for t in grids[number] if t.dataset == dataset and t.id not in counted]
            counted |= {t.id for t in trials}  # notebooks share trials
            left = [t for t in trials if t not in before]
            forecast = {t.id: cost(t, rates[kind(t)]) for t in trials}
            seed = total([forecast[t.id] for t in trials if t.seed == 0])
            done = len(trials) - len(left)
            lines.append(Line(number, dataset, len(trials), done, total([forecast[t.id] for t in left]), seed))
        if notebook.measure is edge:
            todo = settings(profile)
            left_over = [s for s in todo if not (layout.edge / f"{s.id}.json").exists()]
            lines.append(
                Line(number, "CPU study", len(todo), len(todo) - len(left_over), edge_cost(left_over, watts), Cost())
            )
        ran = int((layout.notebooks / f"{notebook.name}.ipynb").exists())
        drawing = Cost() if ran else _drawing(watts)
        lines.append(Line(number, "tables and figures", 1, ran, drawing, Cost()))
    return Plan(profile, tuple(lines), source)


def _drawing(watts: float | None) -> "Cost":
    from paperlib.costs.forecast import Cost

    return Cost(NOTEBOOK_S, None if watts is None else NOTEBOOK_S * watts, NOTEBOOK_BYTES, PROCESS_BYTES)


Profile = Annotated[Literal["smoke", "quick", "laptop", "paper"], typer.Option(help="Whose cost.")]
Only = Annotated[list[str] | None, typer.Option(help="Notebook number, such as 01; may be repeated.")]


def plan(profile: Profile = "quick", only: Only = None) -> None:
    """Say what a profile will cost here before it runs: hours, energy, CO2, disk and memory.

    It tries every kind of training of the profile for some seconds: one to several minutes in all.
    """
    made = make_plan(profile, only, Layout.of(profile))
    console = wide_console()
    console.print(render(made))
    for sentence in sentences(made):
        console.print(sentence, soft_wrap=True)


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
    left, here = made.left, grid()
    energy = "energy unknown: no meter answers here"
    if left.energy_j is not None:
        energy = f"{left.energy_j / 3.6e6:.3g} kWh ({made.energy_source}), {here.grams(left.energy_j):.3g} g CO2 "
        energy += f"({here.name}, {here.g_per_kwh:.0f} g per kWh; PAPERLIB_GRID chooses another)"
    disk, memory = (f"{n / 1e9:.2f} GB" for n in (left.disk_bytes, left.memory_bytes))
    found = [f"Left: {duration(left.time_s)}, {energy}, {disk} of disk beside the images, {memory} of memory."]
    if made.seed.time_s:
        found.append(f"One more seed of every trial: {duration(made.seed.time_s)}.")
    found.append(
        "Trials and CPU study: measured just now, a few steps on random images each. Tables and figures: "
        f"{NOTEBOOK_S:.0f} s a notebook, as on 2 cores of an AMD EPYC."
    )
    return found


def duration(seconds: float) -> str:
    """Seconds, minutes, hours or days, whichever reads best."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"


def _cells(cost: "Cost") -> list[str]:
    if not cost.time_s:
        return ["–"] * 4
    watt_hours, grams = "?", "?"
    if cost.energy_j is not None:
        watt_hours, grams = f"{cost.energy_j / 3600:.2g}", f"{grid().grams(cost.energy_j):.2g}"
    return [duration(cost.time_s), watt_hours, grams, f"{cost.disk_bytes / 1e6:.1f} MB"]
