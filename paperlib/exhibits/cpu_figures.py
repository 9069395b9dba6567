"""Section 04: pictures and tables of the CPU study, from its records alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paperlib.core.paths import Layout
from paperlib.costs import cpu_study
from paperlib.costs.cpu_study import COMPACT_RUNTIME, RUNTIME, RUNTIME_AGAIN, EdgeRecord, Machine
from paperlib.exhibits import style, tables
from paperlib.exhibits.captions import energy_sources
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.tables import IDS

BACKENDS = ("masked", "compact", "sparse", "bf16", "int8", "compact+int8")
_LOOKS = {
    name: {"color": colour, "marker": marker}
    for name, colour, marker in zip(
        (*BACKENDS, COMPACT_RUNTIME), sns.color_palette("colorblind"), "oXsD^vP", strict=False
    )
}
WORTHWHILE = 0.95  # a saving below 5 % is not worth a conversion


@dataclass(frozen=True)
class Study:
    """The records of one CPU study, with one row per network, threads, batch size and backend in `table`."""

    layout: Layout
    records: list[EdgeRecord]
    machine: Machine
    table: pd.DataFrame

    @property
    def source(self) -> str:
        """The end of a caption: processor, images, n, rounds, where energy comes from."""
        energy = energy_sources(self.table.energy_source, self.table.energy_uncertainty)
        return (
            f"{self.records[0].environment.cpu}. Untrained weights, images of noise (stand-in); n = 1 network per "
            f"point, {int(self.table.rounds.min())} to {int(self.table.rounds.max())} paired rounds. Energy: {energy}."
        )

    def save(self, figure: Figure, name: str, title: str, text: str) -> Exhibit:
        """A figure of all records."""
        return style.save(figure, name, title, text, self.table.id, self.layout)

    def write(self, name: str, title: str, text: str, rows: Sequence[dict[str, Any]] | pd.DataFrame) -> Exhibit | None:
        """A table that rests on all records, those under IDS behind its rows."""
        return tables.write(name, title, text, rows, self.layout, trials=self.table.id, groups=())


def write(layout: Layout) -> list[Exhibit | None]:
    """All exhibits of section 04 from the records of `cpu_study.edge`; none if it has not run."""
    records, machine = cpu_study.stored(layout)
    if not records or machine is None:
        return []
    study = Study(layout, records, machine, pd.DataFrame(cpu_study.rows(records)))
    made = [ratios(study, threads) for threads in sorted(study.table.threads.unique())]
    return [
        *made,
        *(make(study) for make in (scenarios, roofline, break_even, latency, stored, recommendation, runtime)),
    ]


def _noise(axes: Axes, rows: pd.DataFrame) -> None:
    control = rows[rows.variant == "dense-again"]
    axes.axhspan(control.ratio.min(), control.ratio.max(), color=style.NOISE, zorder=0)
    axes.axhline(1, color=style.COLOURS["dense"], linewidth=1)


def _log(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def _legend(figure: Figure) -> None:
    handles = [Line2D([], [], label=name, **look) for name, look in _LOOKS.items()]
    style.legend_below(figure, [*handles, style.line("A/A control, dense against dense")], 4)


def ratios(study: Study, threads: int) -> Exhibit:
    """Time of every backend as ratio to dense by sparsity, one panel per model and batch size."""
    table = study.table
    table = table[(table.threads == threads) & ((table.scenario == "i") | table.model.str.startswith("mlp"))]
    cells = {
        f"{model}, batch {size}": rows for (model, size), rows in table.groupby(["model", "batch_size"], sort=False)
    }
    words = ("sparsity of linear layers and filters, %", "time, ratio to dense")
    figure, grid = style.panels(list(cells), *words, columns=2)
    for axes, rows in zip(grid, cells.values(), strict=True):
        _noise(axes, rows)
        for name, look in _LOOKS.items():
            one = rows[rows.variant == name].sort_values("sparsity")
            if len(one):
                reach = np.clip([one.ratio - one.ratio_low, one.ratio_high - one.ratio], 0, None)
                axes.errorbar(one.sparsity * 100, one.ratio, reach, markersize=4, linewidth=1, **look)
        _log(axes)
    _legend(figure)
    word = "1 thread" if threads == 1 else f"all {threads} threads"
    text = (
        f"Time of one batch beside dense, {word}, scenario i (filters and linear weights alike; perceptron: weights "
        f"only; {COMPACT_RUNTIME} beside the dense network through {RUNTIME}). Bars: 95 % paired bootstrap intervals "
        "over rounds; grey: range of the A/A controls. "
        f"{study.source}"
    )
    return study.save(figure, f"edge_ratio_t{threads}", f"Pruned inference on a CPU, {word}", text)


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
    _legend(figure)
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


def crossing(points: Sequence[tuple[float, float]]) -> float | None:
    """The sparsity from which on ratio < 1, between measured (sparsity, ratio) points; None if never reached."""
    points = sorted(points)
    if points[-1][1] >= 1:
        return None
    last = max((i for i, (_, ratio) in enumerate(points) if ratio >= 1), default=-1)
    if last < 0:
        return points[0][0]
    (s0, r0), (s1, r1) = points[last], points[last + 1]
    return s0 + (s1 - s0) * (r0 - 1) / (r0 - r1)


def break_even(study: Study) -> Exhibit | None:
    """From which sparsity on CSR beats dense, per shape of a linear layer and batch size."""
    by_layer: dict[tuple[tuple[int, int], int], list[tuple[float, float]]] = {}
    for one in study.machine.csr:
        by_layer.setdefault((one.shape, one.batch_size), []).append((one.sparsity, one.ratio))
    rows = []
    for (shape, size), points in by_layer.items():
        at, first = crossing(points), min(s for s, _ in points)
        word = "never" if at is None else f"below {first:.0%}" if at == first else f"{at:.0%}"
        speeds = {f"at {s:.0%}": f"×{r:.2f}" for s, r in points}
        rows.append({"layer (in→out)": f"{shape[1]}→{shape[0]}", "batch": size, "break-even": word} | speeds)
    cpu = study.machine.environment.cpu
    text = f"Time of CSR as ratio to dense, one thread, n = 1 (best of 30). {cpu}; inputs: stand-in."
    # Its rows come from machine.json, which is no record: no ids behind them.
    return study.write("edge_break_even", "Break-even sparsity of CSR", text, rows)


def latency(study: Study) -> Exhibit | None:
    """p50, p95, p99, joules and cold start of every backend at 80 %, batch 1."""
    table = study.table
    rows = table[(table.batch_size == 1) & (table.sparsity == 0.8) & (table.quantised)]
    shown = rows[["model", "threads"]].assign(way=rows.variant)
    for title, column, scale, digits in (
        ("p50, µs", "median_s", 1e6, 1),
        ("p95, µs", "p95_s", 1e6, 1),
        ("p99, µs", "p99_s", 1e6, 1),
        ("mJ per image", "energy_j_per_image", 1e3, 3),
        ("load and first answer, ms", "cold_s", 1e3, 2),
        ("answers changed, %", "disagrees", 100, 1),
    ):
        shown[title] = (rows[column].astype(float) * scale).round(digits)
    shown[IDS] = [[i] for i in rows.id]
    text = f"Batch 1, 80 % sparse. Cold start inside a running process. {study.source}"
    return study.write("edge_latency", "Latency, energy and cold start", text, shown)


def stored(study: Study) -> Exhibit | None:
    """Counted costs per network: bytes in four formats and FLOPs with and without zeros."""
    rows = [
        {"model": r.setting.model, "scenario": r.setting.scenario, "sparsity": f"{r.setting.sparsity:.0%}"}
        | {f"{n}, KiB": round(getattr(r.costs, f"{n}_bytes") / 1024, 1) for n in ("dense", "csr", "compact", "int8")}
        | {
            "MFLOP per image": round(r.costs.dense_inference_flops / 1e6, 2),
            "without zeros": round(r.costs.inference_flops / 1e6, 2),
            IDS: [r.id],
        }
        for r in study.records
    ]
    return study.write("edge_costs", "Bytes and arithmetic", f"Counted, not measured; n = 1. {study.source}", rows)


def recommendation(study: Study) -> Exhibit | None:
    """The fastest backend of each network here, with what it buys; dense where none leaves the noise."""
    table = []
    groups = study.table.groupby(["model", "scenario", "sparsity", "threads", "batch_size"], sort=False)
    for (model, scenario, sparsity, threads, batch), rows in groups:
        row = {"model": model, "scenario": scenario, "sparsity": f"{sparsity:.0%}", "threads": threads, "batch": batch}
        backends = rows[rows.variant.isin(BACKENDS)]
        floor = min(WORTHWHILE, float(rows[rows.variant == "dense-again"].ratio_low.min()))
        for kind, pick in (("exact", backends[~backends.variant.str.contains("int8|bf16")]), ("any", backends)):
            best = pick.sort_values("ratio").iloc[0]
            row[f"{kind}: use"] = best.variant if best.ratio_high < floor else "dense"
            row[f"{kind}: time"] = f"×{best.ratio:.2f} [{best.ratio_low:.2f}, {best.ratio_high:.2f}]"
        table.append(row | {IDS: list(rows.id)})
    text = (
        "Exact: same answers up to rounding; any: also bf16 and int8, which change some. `dense` where the interval of "
        f"the best way reaches the A/A control or saves less than 5 %. {study.source}"
    )
    return study.write("edge_recommendation", "What to use on this machine", text, table)


def runtime(study: Study) -> Exhibit | None:
    """What onnxruntime gains on the dense network, and what pruning gains through it, beside its A/A control."""
    table, columns = [], ["model", "sparsity", "threads", "batch_size"]
    for (model, sparsity, threads, batch), rows in study.table[study.table.runtimes].groupby(columns, sort=False):
        row = {"model": model, "filters removed": f"{sparsity:.0%}", "threads": threads, "batch": batch}
        for title, variant in (
            (f"{RUNTIME} to torch, both dense", RUNTIME),
            (f"compact to dense, both through {RUNTIME}", COMPACT_RUNTIME),
            (f"A/A of {RUNTIME}", RUNTIME_AGAIN),
            ("compact to dense, both in torch", "compact"),
        ):
            (one,) = rows[rows.variant == variant].itertuples()
            row[title] = f"×{one.ratio:.2f} [{one.ratio_low:.2f}, {one.ratio_high:.2f}]"
        table.append(row | {IDS: list(rows.id)})
    text = f"Time as a ratio; what the runtime gains is no gain of pruning. Scenario i. {study.source}"
    return study.write("edge_runtime", "What a runtime gains, and what pruning gains through it", text, table)
