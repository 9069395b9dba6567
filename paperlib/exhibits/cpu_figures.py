"""Section 04: pictures and tables of the CPU study, from its records alone."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paperlib.core.paths import Layout
from paperlib.costs import cpu_study
from paperlib.costs.cpu_study import COMPACT_RUNTIME, RUNTIME
from paperlib.exhibits import style
from paperlib.exhibits.cpu_tables import Study, break_even, latency, recommendation, runtime, stored
from paperlib.exhibits.manifest import Exhibit

COUPLED = "compact, coupled"
_LOOKS = {
    name: {"color": colour, "marker": marker}
    for name, colour, marker in zip(
        ("masked", "compact", COUPLED, "sparse", "bf16", "int8", "compact+int8", COMPACT_RUNTIME),
        sns.color_palette("colorblind"),
        "oXPsD^v*",
        strict=False,
    )
}


def write(layout: Layout) -> list[Exhibit | None]:
    """All exhibits of section 04 from the records of `cpu_study.edge`; none if it has not run."""
    records, machine = cpu_study.stored(layout)
    if not records or machine is None:
        return []
    table, steps = (pd.DataFrame(cpu_study.rows(records, steps=steps)) for steps in (False, True))
    study = Study(layout, records, machine, table[~table.coupled], _curves(table), _curves(steps))
    made = [ratios(study, threads) for threads in sorted(study.table.threads.unique())]
    makers = (training, scenarios, roofline, channels, break_even, latency, stored, recommendation, runtime)
    return [*made, *(make(study) for make in makers)]


def _curves(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of scenario i and of perceptrons; of coupled filters the compact network alone, as a variant of its own."""
    if table.empty:
        return table
    chosen = table[(table.scenario == "i") | table.model.str.startswith("mlp")]
    chosen = chosen[~chosen.coupled | (chosen.variant == "compact")]
    return chosen.assign(variant=chosen.variant.where(~chosen.coupled, COUPLED))


def _noise(axes: Axes, rows: pd.DataFrame) -> None:
    control = rows[rows.variant == "dense-again"]
    axes.axhspan(control.ratio.min(), control.ratio.max(), color=style.NOISE, zorder=0)
    axes.axhline(1, color=style.COLOURS["dense"], linewidth=1)


def _log(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def _legend(figure: Figure, rows: pd.DataFrame) -> None:
    drawn = [name for name in _LOOKS if name in set(rows.variant)]
    handles = [Line2D([], [], label=name, **_LOOKS[name]) for name in drawn]
    style.legend_below(figure, [*handles, style.line("A/A control, dense against dense")], 4)


def ratios(study: Study, threads: int) -> Exhibit:
    """Time of every backend as ratio to dense by sparsity, one panel per model and batch size."""
    table = study.curves[study.curves.threads == threads]
    word = "1 thread" if threads == 1 else f"all {threads} threads"
    panels = table.groupby(["model", "batch_size"], sort=False)
    figure = _lines({f"{model}, batch {size}": rows for (model, size), rows in panels})
    text = f"Time of one batch beside dense, {word}. {_explained(table)} {study.source}"
    return study.save(figure, f"edge_ratio_t{threads}", f"Pruned inference on a CPU, {word}", text)


def training(study: Study) -> Exhibit | None:
    """Time of a training step as ratio to dense by sparsity, one panel per model and number of threads."""
    if study.steps.empty:
        return None
    panels = study.steps.groupby(["model", "threads"], sort=False)
    figure = _lines({f"{model}, {threads} thread(s)": r for (model, threads), r in panels})
    text = (
        "Time of one training step (forward, backward, optimiser, mask) at batch 64 beside dense. "
        f"{_explained(study.steps)} {study.source}"
    )
    return study.save(figure, "edge_training", "Pruned training steps on a CPU", text)


def _lines(cells: dict[str, pd.DataFrame]) -> Figure:
    words = ("removed, %", "time, ratio to dense")
    figure, grid = style.panels(list(cells), *words, columns=2)
    for axes, rows in zip(grid, cells.values(), strict=True):
        _noise(axes, rows)
        for name, look in _LOOKS.items():
            one = rows[rows.variant == name].sort_values("sparsity")
            if len(one):
                reach = np.clip([one.ratio - one.ratio_low, one.ratio_high - one.ratio], 0, None)
                axes.errorbar(one.sparsity * 100, one.ratio, reach, markersize=4, linewidth=1, **look)
        _log(axes)
        low, high = axes.get_ylim()  # an interval of few rounds on a busy machine would hide all others
        axes.set_ylim(max(low, rows.ratio.min() / 3), min(high, rows.ratio.max() * 3))
    _legend(figure, pd.concat(cells.values()))
    return figure


def _explained(rows: pd.DataFrame) -> str:
    control = rows[rows.variant == "dense-again"].ratio
    widths = ", ".join(f"{model} {width:g}" for model, width in dict(zip(rows.model, rows.width, strict=True)).items())
    coupled = ", coupled: whole channels of its residual sums" if COUPLED in set(rows.variant) else ""
    through = f"; {COMPACT_RUNTIME}: beside dense through {RUNTIME}" if COMPACT_RUNTIME in set(rows.variant) else ""
    return (
        "Perceptron: single weights go; the others: filters and linear weights alike (scenario i; compact: filters of "
        f"each layer, as in the paper{coupled}{through}). Width factors: {widths}. Bars: 95 % intervals over rounds; "
        f"grey: A/A, ×{control.min():.2f} to ×{control.max():.2f}."
    )


def scenarios(study: Study) -> Exhibit:
    """Paper F's figures 18 and 19: time and energy per image of its scenarios at 80 %."""
    table = study.table
    table = table[(table.sparsity == 0.8) & (table.threads == table.threads.max()) & (table.batch_size == 64)]
    table = table.assign(name=table.model + " " + table.scenario)
    figure, grid = style.panels(["time", "energy"], columns=2, ylabel="ratio to dense")
    names = list(dict.fromkeys(table.name))
    joules = table.set_index(["variant", "id"]).energy_j_per_image.astype(float)
    for backend, look in ({"dense-again": {"color": style.NOISE, "marker": "_"}} | _LOOKS).items():
        rows = table[table.variant == backend]
        at = [names.index(name) for name in rows.name]
        dense = joules.loc[RUNTIME if backend == COMPACT_RUNTIME else "dense"] if len(rows) else joules
        energy = rows.energy_j_per_image.to_numpy(dtype=float) / dense.loc[rows.id].to_numpy()
        for axes, ratio in zip(grid, (rows.ratio, energy), strict=True):
            axes.scatter(at, ratio, s=20, **look)
    for axes in grid:
        _noise(axes, table)
        _log(axes)
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right", fontsize=7)
    _legend(figure, table)
    text = (
        "Scenarios of paper F (filters 80, 50 and 0 %, linear weights 80 %), batch 64, all threads. Masks, as the "
        f"paper ran them, beside ways that skip what was removed ({COMPACT_RUNTIME}: to dense through {RUNTIME}); "
        f"grey: A/A controls of time. {study.source}"
    )
    return study.save(figure, "edge_scenarios", "Masked beside realised, paper F's scenarios", text)


def roofline(study: Study) -> Exhibit:
    """Each layer's speed against its arithmetic intensity, under the measured limits of the machine."""
    machine = study.machine
    networks = list(dict.fromkeys(layer.network.rsplit(" ", 1)[0] for layer in machine.layers))
    figure, grid = style.panels(networks, xlabel="FLOP per byte moved")
    colours = {"dense": style.COLOURS["dense"], "compact": _LOOKS["compact"]["color"]}
    for axes, name in zip(grid, networks, strict=True):
        for kind, colour in colours.items():
            layers = [x for x in machine.layers if x.network == f"{name} {kind}"]
            total = sum(x.time_s for x in layers)
            axes.scatter(
                [x.flops / x.bytes_moved for x in layers], [x.flops / x.time_s / 1e9 for x in layers],
                s=[4 + 150 * x.time_s / total for x in layers], color=colour, alpha=0.6, linewidth=0,
            )  # fmt: skip
        x = np.geomspace(0.3, 500, 50)
        axes.plot(x, np.minimum(machine.peak_flops, x * machine.bandwidth) / 1e9, color="black", linewidth=1)
        axes.set_xscale("log")
        axes.set_yscale("log")
    grid[0].set_ylabel("GFLOP/s")
    names = zip(("dense", "compact, 80 %"), colours.values(), strict=True)
    handles = [Line2D([], [], marker="o", linestyle="", color=colour, label=name) for name, colour in names]
    limit = Line2D([], [], color="black", label="measured limit (matrix product, copy)")
    style.legend_below(figure, [*handles, limit], 3)
    text = (
        f"Convolutions and linear layers at batch 64, one thread, n = 1 (best of 4); area: share of network time. "
        f"Limits measured here: {machine.peak_flops / 1e9:.0f} GFLOP/s, {machine.bandwidth / 1e9:.1f} GB/s; small "
        "tensors that stay in the cache, and Winograd convolutions, may pass the line. Compact layers have less to do "
        f"and reach less of the limit. {machine.environment.cpu}; images of noise (stand-in)."
    )
    return study.save(figure, "edge_roofline", "Where the time goes", text)


def channels(study: Study) -> Exhibit | None:
    """A convolution's time by its number of channels, and whether a multiple of 8 or 16 is worth keeping more."""
    times = pd.DataFrame([time.model_dump() for time in study.machine.channels])
    if times.empty:
        return None
    sizes, said = list(times.batch_size.unique()), list[str]()
    figure, grid = style.panels([f"batch {size}" for size in sizes], xlabel="channels in and out")
    looks = {"multiple of 16": ("#d55e00", 30), "multiple of 8": ("#0072b2", 14), "other": ("#999999", 5)}
    for axes, size in zip(grid, sizes, strict=True):
        ms = times[times.batch_size == size].set_index("channels").time_s * 1e3
        axes.plot(ms.index, ms, color="#999999", linewidth=0.8)
        multiples = np.select([ms.index % 16 == 0, ms.index % 8 == 0], list(looks)[:2], "other")
        for name, (colour, area) in looks.items():
            axes.scatter(ms.index[multiples == name], ms[multiples == name], s=area, color=colour, zorder=2)
        between = ms[ms.index % 16 != 0]
        free = sum(ms[-(-n // 16) * 16] < 1.05 * time for n, time in between.items())
        said.append(f"{free} of {len(between)} at batch {size}")
    grid[0].set_ylabel("ms")
    handles = [Line2D([], [], marker="o", linestyle="", color=c, label=name) for name, (c, _) in looks.items()]
    style.legend_below(figure, handles, 3)
    text = (
        "A 3 × 3 convolution on 14 px, one thread; shortest of 12 calls, n = 1. Of the numbers between multiples of "
        "16 these take as long as the next multiple, to 5 %, so that round_to keeps more for nothing: "
        f"{', '.join(said)}. {study.machine.environment.cpu}; images of noise (stand-in)."
    )
    return study.save(figure, "edge_channels", "Which numbers of channels are fast", text)
