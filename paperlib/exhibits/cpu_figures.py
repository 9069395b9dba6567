"""Section 04: pictures and tables of the CPU study, from its records alone."""

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from paperlib.core.paths import Layout
from paperlib.costs import cpu_study
from paperlib.costs.cpu_study import EdgeRecord, Machine
from paperlib.exhibits import effect_tables, style
from paperlib.exhibits.manifest import Exhibit

WAYS = ("masked", "compact", "sparse", "bf16", "int8", "compact+int8")
_COLOURS = dict(zip(WAYS, sns.color_palette("colorblind"), strict=False))
_MARKERS = dict(zip(WAYS, "oXsD^v", strict=True))
PAYS = 0.95  # a saving below 5 % is not worth a conversion


def write(layout: Layout) -> list[Exhibit]:
    """All exhibits of section 04 from the records of `edge.edge`; none if it has not run."""
    records, machine = cpu_study.stored(layout)
    if not records or machine is None:
        return []
    table = pd.DataFrame(cpu_study.rows(records))
    made = [ratios(table, records, threads, layout) for threads in sorted(table.threads.unique())]
    made += [scenarios(table, records, layout), roofline(machine, records, layout)]
    made += [break_even(machine, records, layout), latency(table, records, layout), stored(table, records, layout)]
    return [*made, recommendation(table, records, layout)]


def _source(table: pd.DataFrame, records: Sequence[EdgeRecord]) -> str:
    cpu = records[0].environment.cpu
    energy = "/".join(sorted(table.energy_source.dropna().unique())) or "not measured"
    return (
        f"{cpu}. Untrained weights, images of noise (stand-in); n = 1 network per point, "
        f"{int(table.rounds.min())} to {int(table.rounds.max())} paired rounds. Energy: {energy}."
    )


def _ids(records: Sequence[EdgeRecord]) -> list[str]:
    return [r.id for r in records]


def _noise(axes: Axes, rows: pd.DataFrame) -> None:
    control = rows[rows.variant == "dense-again"]
    axes.axhspan(control.ratio.min(), control.ratio.max(), color=style.NOISE, zorder=0)
    axes.axhline(1, color=style.COLOURS["dense"], linewidth=1)


def _log(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else "")


def _lines(axes: Axes, rows: pd.DataFrame, x: str) -> None:
    for way in WAYS:
        here = rows[rows.variant == way].sort_values(x)
        if here.empty:
            continue
        reach = np.clip([here.ratio - here.ratio_low, here.ratio_high - here.ratio], 0, None)
        axes.errorbar(
            here[x] * 100, here.ratio, reach, color=_COLOURS[way], marker=_MARKERS[way], markersize=4, linewidth=1
        )
    _log(axes)


def _legend(figure: Figure, band: bool = True) -> None:
    handles = [Line2D([], [], color=_COLOURS[w], marker=_MARKERS[w], label=w) for w in WAYS]
    if band:
        handles.append(Line2D([], [], color=style.NOISE, linewidth=7, label="A/A control, dense against dense"))
    style.legend_below(figure, handles, 4)


def ratios(table: pd.DataFrame, records: Sequence[EdgeRecord], threads: int, layout: Layout) -> Exhibit:
    """Time of every way as ratio to dense by sparsity, one panel per model and batch size."""
    here = table[(table.threads == threads) & ((table.scenario == "i") | table.model.str.startswith("mlp"))]
    cells = list(here.groupby(["model", "batch_size"], sort=False))
    figure, grid = style.panels([f"{model}, batch {size}" for (model, size), _ in cells], columns=2)
    for axes, (_, rows) in zip(grid, cells, strict=True):
        _noise(axes, rows)
        _lines(axes, rows, "sparsity")
        axes.set_xlabel("sparsity of linear layers and filters, %")
    for axes in grid[::2]:
        axes.set_ylabel("time, ratio to dense")
    _legend(figure)
    word = "1 thread" if threads == 1 else f"all {threads} threads"
    text = (
        f"Time of one batch beside dense, {word}, scenario i (filters and linear weights alike; perceptron: weights "
        "only). Bars: 95 % paired bootstrap intervals over rounds; grey: range of the A/A controls. "
        f"{_source(table, records)}"
    )
    return style.save(
        figure, f"edge_ratio_t{threads}", f"Pruned inference on a CPU, {word}", text, _ids(records), layout
    )


def scenarios(table: pd.DataFrame, records: Sequence[EdgeRecord], layout: Layout) -> Exhibit:
    """Paper F's figures 18 and 19: time and energy per image of its scenarios at 80 %."""
    here = table[(table.sparsity == 0.8) & (table.threads == table.threads.max()) & (table.batch_size == 64)]
    figure, grid = style.panels(["time", "energy"], columns=2)
    names = list(dict.fromkeys(f"{r.model}\n{r.scenario}" for r in here.itertuples()))
    dense = here[here.variant == "dense"].set_index("id").energy_j_per_image
    for way in ("dense-again", *WAYS):
        rows = here[here.variant == way]
        at = [names.index(f"{r.model}\n{r.scenario}") for r in rows.itertuples()]
        colour = style.NOISE if way == "dense-again" else _COLOURS[way]
        shape = "_" if way == "dense-again" else _MARKERS[way]
        grid[0].scatter(at, rows.ratio, color=colour, marker=shape, s=20)
        energy = rows.energy_j_per_image.to_numpy(dtype=float) / dense.loc[rows.id].to_numpy(dtype=float)
        grid[1].scatter(at, energy, color=colour, marker=shape, s=20)
    for axes, rows in zip(grid, (here, here), strict=True):
        _noise(axes, rows)
        _log(axes)
        axes.set_xticks(range(len(names)), [n.replace("\n", " ") for n in names], rotation=40, ha="right", fontsize=7)
    grid[0].set_ylabel("ratio to dense")
    _legend(figure)
    text = (
        "Scenarios of paper F (filters 80, 50 and 0 %, linear weights 80 %), batch 64, all threads. Masks, as the "
        f"paper ran them, beside ways that skip what was removed; grey: A/A controls of time. {_source(table, records)}"
    )
    return style.save(
        figure, "edge_scenarios", "Masked beside realised, paper F's scenarios", text, _ids(records), layout
    )


def roofline(machine: Machine, records: Sequence[EdgeRecord], layout: Layout) -> Exhibit:
    """Each layer's speed against its arithmetic intensity, under the measured limits of the machine."""
    networks = list(dict.fromkeys(layer.network.rsplit(" ", 1)[0] for layer in machine.layers))
    figure, grid = style.panels(networks)
    for axes, name in zip(grid, networks, strict=True):
        for kind, colour in (("dense", style.COLOURS["dense"]), ("compact", _COLOURS["compact"])):
            mine = [x for x in machine.layers if x.network == f"{name} {kind}"]
            total = sum(x.time_s for x in mine)
            axes.scatter(
                [x.flops / x.bytes_moved for x in mine], [x.flops / x.time_s / 1e9 for x in mine],
                s=[4 + 150 * x.time_s / total for x in mine], color=colour, alpha=0.6, linewidth=0,
            )  # fmt: skip
        x = np.geomspace(0.3, 500, 50)
        axes.plot(x, np.minimum(machine.peak_flops, x * machine.bandwidth) / 1e9, color="black", linewidth=1)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("FLOP per byte moved")
    grid[0].set_ylabel("GFLOP/s")
    handles = [
        Line2D([], [], marker="o", linestyle="", color=c, label=n)
        for n, c in (("dense", style.COLOURS["dense"]), ("compact, 80 %", _COLOURS["compact"]))
    ]
    handles.append(Line2D([], [], color="black", label="measured limit (matrix product, copy)"))
    style.legend_below(figure, handles, 3)
    text = (
        f"Convolutions and linear layers at batch 64, one thread, n = 1 (best of 4); area: share of network time. "
        f"Limits measured here: {machine.peak_flops / 1e9:.0f} GFLOP/s, {machine.bandwidth / 1e9:.1f} GB/s; small "
        "tensors that stay in the cache, and Winograd convolutions, may pass the line. Compact layers have less to do "
        f"and reach less of the limit. {machine.environment.cpu}; images of noise (stand-in)."
    )
    return style.save(figure, "edge_roofline", "Where the time goes", text, _ids(records), layout)


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


def break_even(machine: Machine, records: Sequence[EdgeRecord], layout: Layout) -> Exhibit:
    """From which sparsity on CSR beats dense, per shape of a linear layer and batch size."""
    lines: dict[tuple[tuple[int, int], int], list[tuple[float, float]]] = {}
    for one in machine.csr:
        lines.setdefault((one.shape, one.batch_size), []).append((one.sparsity, one.ratio))
    found = []
    for (shape, size), points in lines.items():
        at = crossing(points)
        first = min(s for s, _ in points)
        word = "never" if at is None else f"below {first:.0%}" if at == first else f"{at:.0%}"
        speeds = {f"at {s:.0%}": f"×{r:.2f}" for s, r in points}
        found.append({"layer (in→out)": f"{shape[1]}→{shape[0]}", "batch": size, "break-even": word} | speeds)
    text = (
        f"Time of CSR as ratio to dense, one thread, n = 1 (best of 30). {machine.environment.cpu}; inputs: stand-in."
    )
    # Its rows come from machine.json, which is no record.
    return _table("edge_break_even", "Break-even sparsity of CSR", text, pd.DataFrame(found), [], records, layout)


def latency(table: pd.DataFrame, records: Sequence[EdgeRecord], layout: Layout) -> Exhibit:
    """p50, p95, p99, joules and cold start of every way at 80 %, batch 1."""
    here = table[(table.batch_size == 1) & (table.sparsity == 0.8) & (table.quantised)]
    shown = pd.DataFrame(
        {
            "model": here.model,
            "threads": here.threads,
            "way": here.variant,
            "p50, µs": (here.median_s * 1e6).round(1),
            "p95, µs": (here.p95_s * 1e6).round(1),
            "p99, µs": (here.p99_s * 1e6).round(1),
            "mJ per image": (here.energy_j_per_image.astype(float) * 1e3).round(3),
            "peak memory, KiB": (here.peak_memory_bytes.astype(float) / 1024).round(1),
            "load and first answer, ms": (here.cold_s.astype(float) * 1e3).round(2),
            "answers changed, %": (here.disagrees.astype(float) * 100).round(1),
        }
    )
    text = f"Batch 1, 80 % sparse. Cold start inside a running process. {_source(table, records)}"
    behind = [{"model": [i]} for i in here.id]
    return _table("edge_latency", "Latency, energy and cold start", text, shown, behind, records, layout)


def stored(table: pd.DataFrame, records: Sequence[EdgeRecord], layout: Layout) -> Exhibit:
    """Counted costs per network: bytes in four formats and FLOPs with and without zeros."""
    found = [
        {"model": r.setting.model, "scenario": r.setting.scenario, "sparsity": f"{r.setting.sparsity:.0%}"}
        | {f"{n}, KiB": round(getattr(r.costs, f"{n}_bytes") / 1024, 1) for n in ("dense", "csr", "compact", "int8")}
        | {
            "MFLOP per image": round(r.costs.dense_inference_flops / 1e6, 2),
            "without zeros": round(r.costs.inference_flops / 1e6, 2),
        }
        for r in records
    ]
    text = f"Counted, not measured; n = 1. {_source(table, records)}"
    behind = [{"model": [r.id]} for r in records]
    return _table("edge_costs", "Bytes and arithmetic", text, pd.DataFrame(found), behind, records, layout)


def recommendation(table: pd.DataFrame, records: Sequence[EdgeRecord], layout: Layout) -> Exhibit:
    """The fastest way of each network here, with what it buys; dense where none leaves the noise."""
    found, behind = [], []
    for group, rows in table.groupby(["model", "scenario", "sparsity", "threads", "batch_size"], sort=False):
        key = cast(tuple[str, str, float, int, int], group)
        ways = rows[rows.variant.isin(WAYS)]
        floor = min(PAYS, float(rows[rows.variant == "dense-again"].ratio_low.min()))
        row: dict[str, object] = dict(zip(("model", "scenario"), key[:2], strict=True))
        row |= {"sparsity": f"{key[2]:.0%}", "threads": key[3], "batch": key[4]}
        for kind, pick in (("exact", ways[~ways.variant.str.contains("int8|bf16")]), ("any", ways)):
            best = pick.sort_values("ratio").iloc[0]
            row[f"{kind}: use"] = best.variant if best.ratio_high < floor else "dense"
            row[f"{kind}: time"] = f"×{best.ratio:.2f} [{best.ratio_low:.2f}, {best.ratio_high:.2f}]"
        found.append(row)
        behind.append({"model": list(rows.id)})
    text = (
        "Exact: same answers up to rounding; any: also bf16 and int8, which change some. `dense` where the interval of "
        f"the best way reaches the A/A control or saves less than 5 %. {_source(table, records)}"
    )
    advice = pd.DataFrame(found)
    return _table("edge_recommendation", "What to use on this machine", text, advice, behind, records, layout)


def _table(
    name: str,
    title: str,
    text: str,
    table: pd.DataFrame,
    behind: Sequence[effect_tables.Behind],
    records: Sequence[EdgeRecord],
    layout: Layout,
) -> Exhibit:
    return effect_tables.write(name, title, text, table, table, behind, layout, trials=_ids(records), groups=())
