"""Notebook 04's tables from the records of the CPU study."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from paperlib.core.paths import Layout
from paperlib.costs.cpu_layers import Machine, crossing
from paperlib.costs.cpu_study import COMPACT_RUNTIME, RUNTIME, RUNTIME_AGAIN, EdgeRecord
from paperlib.exhibits import style, tables
from paperlib.exhibits.captions import energy_sources
from paperlib.exhibits.manifest import Exhibit
from paperlib.exhibits.tables import IDS

EXACT = ("masked", "compact", "sparse")  # answers are the same up to rounding
BACKENDS = (*EXACT, "bf16", "int8", "compact+int8")
WORTHWHILE = 0.95  # a saving below 5 % is not worth a conversion


@dataclass(frozen=True)
class Study:
    """The records of one CPU study. table: one row per network, threads, batch size and backend, of networks that lose
    the papers' filters; curves: the same for F's scenario i and perceptrons, with `COUPLED`; steps: of training steps.
    """

    layout: Layout
    records: list[EdgeRecord]
    machine: Machine
    table: pd.DataFrame
    curves: pd.DataFrame
    steps: pd.DataFrame

    @property
    def source(self) -> str:
        """The end of a caption: processor, images, n, rounds, where energy comes from."""
        energy = energy_sources(self.table.energy_source, self.table.energy_uncertainty)
        return (
            f"{self.records[0].environment.cpu}. Untrained weights, images of noise (stand-in); n = 1 network per "
            f"point, {int(self.table.rounds.min())} to {int(self.table.rounds.max())} paired rounds. Energy: {energy}."
        )

    @property
    def _ids(self) -> list[str]:
        return [record.id for record in self.records]

    def save(self, figure: Figure, name: str, title: str, text: str) -> Exhibit:
        """A figure of all records."""
        return style.save(figure, name, title, text, self._ids, self.layout)

    def write(self, name: str, title: str, text: str, rows: Sequence[dict[str, Any]] | pd.DataFrame) -> Exhibit | None:
        """A table that rests on all records, those under IDS behind its rows."""
        return tables.write(name, title, text, rows, self.layout, trials=self._ids, groups=())


def break_even(study: Study) -> Exhibit | None:
    """From which sparsity on a sparse layer beats dense, per shape of a linear layer and batch size."""
    by_layer: dict[tuple[tuple[int, int], int], list[tuple[float, float]]] = {}
    for one in study.machine.csr:
        by_layer.setdefault((one.shape, one.batch_size), []).append((one.sparsity, one.ratio))
    rows = []
    for (shape, size), points in by_layer.items():
        at, first = crossing(points), min(s for s, _ in points)
        word = "never" if at is None else f"below {first:.0%}" if at == first else f"{at:.0%}"
        speeds = {f"at {s:.0%}": f"×{r:.2f}" for s, r in points}
        rows.append({"layer (in→out)": f"{shape[1]}→{shape[0]}", "batch": size, "break-even": word} | speeds)
    kernel = {"llvm": "this project's kernel", "torch-csr": "torch's CSR"}.get(study.machine.engine or "", "CSR")
    text = (
        f"Time of a sparse layer ({kernel}) as ratio to dense, one thread, n = 1 (shortest of 3 to 30 calls); "
        f"break-even: the share of zeros from which on it is faster. {study.machine.environment.cpu}; inputs: stand-in."
    )
    # Its rows come from machine.json, which is no record: no ids behind them.
    return study.write("edge_break_even", "Break-even sparsity of linear layers", text, rows)


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
        {
            "model": r.setting.model,
            "scenario": r.setting.scenario + " coupled" * r.setting.coupled,
            "sparsity": f"{r.setting.sparsity:.0%}",
        }
        | {f"{n}, KiB": round(getattr(r.costs, f"{n}_bytes") / 1024, 1) for n in ("dense", "csr", "compact", "int8")}
        | {
            "MFLOP per image": round(r.costs.dense_inference_flops / 1e6, 2),
            "without zeros": round(r.costs.inference_flops / 1e6, 2),
            IDS: [r.id],
        }
        for r in study.records
    ]
    return study.write("edge_costs", "Bytes and arithmetic", f"Counted, not measured; n = 1. {study.source}", rows)


def fastest(rows: pd.DataFrame, ways: Sequence[str]) -> tuple[Any, bool]:
    """Of one network's rows that of the fastest of `ways`, and whether it saves 5 % or more, beyond the A/A control."""
    best = rows[rows.variant.isin(ways)].sort_values("ratio").iloc[0]
    return best, bool(best.ratio_high < min(WORTHWHILE, rows[rows.variant == "dense-again"].ratio_low.min()))


def recommendation(study: Study) -> Exhibit | None:
    """The fastest backend of each network here, with what it buys; dense where none leaves the noise."""
    table = []
    groups = study.table.groupby(["model", "scenario", "sparsity", "threads", "batch_size"], sort=False)
    for (model, scenario, sparsity, threads, batch), rows in groups:
        row = {"model": model, "scenario": scenario, "sparsity": f"{sparsity:.0%}", "threads": threads, "batch": batch}
        for kind, ways in (("exact", EXACT), ("any", BACKENDS)):
            best, is_faster = fastest(rows, ways)
            row[f"{kind}: use"] = best.variant if is_faster else "dense"
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
