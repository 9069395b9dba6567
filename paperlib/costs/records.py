"""Cost records on disk, one JSON file per setting, and one table of them all; imports no torch."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.schema.cost import PROCESSES, CostRecord, CostRun, CostSetting
from paperlib.schema.measurement import Timing
from paperlib.trials.table import COLUMNS

BATCHES = (1, 64)  # images per batch of inference
TIMED = ("step", *(f"inference_b{size}" for size in BATCHES))
_SETTING = (
    ("model", "", "name of the network"),
    ("width", "factor", "factor on the network's hidden widths"),
    ("method", "", "pruning method"),
    ("scope", "", "the layers that are pruned, and how removals are shared among them"),
    ("sparsity", "share", "nominal share of linear weights removed in the scope"),
    ("conv_sparsity", "share", "nominal share of filters removed"),
    ("batch_size", "images", "images per training step"),
    ("optimizer", "", "torch optimiser"),
    ("compute", "", "number format"),
    ("classes", "classes", "number of classes"),
)
_PLACE = (
    ("device", "", "torch device"),
    ("cpu", "", "name of the processor"),
    ("gpu", "", "name of the GPU"),
    ("threads", "threads", "torch's threads"),
)
# Name, unit, meaning: every column of the table, in its order.
COST_COLUMNS = (
    ("id", "", "16 hex digits that name the setting and its record"),
    ("process", "", "number of the fresh process that measured it"),
    *_SETTING,
    ("resolution", "pixels", "height of the images"),
    ("image_width", "pixels", "their width"),
    ("channels", "", "their channels"),
    *_PLACE,
    ("grid_g_per_kwh", "g", "CO2 of a kWh"),
    ("others_share", "share", "of the cores' time that other processes took"),
    ("idle_w", "W", "power of the device while the process sleeps, by a counter"),
    ("temperature_c", "°C", "of the device right after the steps or the inferences, the higher one"),
    ("clock_mhz", "MHz", "of the device right after the steps or the inferences, the lower one"),
    ("rounds", "", "rounds of the shortest comparison"),
    *(
        (name.format(what), unit, meaning.format(what))
        for what in TIMED
        for name, unit, meaning in (
            ("{}_energy_source", "", "how the energy of {} was obtained"),
            ("{}_energy_uncertainty", "share", "by which a modelled energy of {} may be off"),
            ("{}_ratio_again", "ratio", "dense measured again (A/A) to dense"),
            ("realised_{}_way", "", "the variant that skips removed work; masked where none pays"),
            *(
                (f"{prefix}{{}}_{part}", unit, f"{who}: {meaning}")
                for prefix, who in (("dense_", "dense"), ("", "masked"), ("realised_", "removed work skipped"))
                for part, unit, meaning in (
                    ("s", "s", "median time of one {}"),
                    ("energy_j", "J", "energy of {}, per image, gross"),
                    ("above_idle_j", "J", "energy of {}, per image, above the idle power"),
                    ("ratio", "ratio", "time to dense, trimmed mean over rounds"),
                    ("energy_ratio", "ratio", "energy to dense"),
                )
                if prefix != "dense_" or not part.endswith("ratio")
            ),
        )
    ),
    ("boundary_s", "s", "masked: new masks at an epoch boundary, 0 where they stay"),
    ("realised_boundary_s", "s", "removed work skipped: the same, with cutting out again"),
    *(
        (f"{prefix}whole_ratio", "ratio", f"{who}: a whole training to its steps × step + boundaries × boundary")
        for prefix, who in (("dense_", "dense"), ("", "masked"), ("realised_", "removed work skipped"))
    ),
    ("cold_s", "s", "masked: weights read and the first answer given"),
    ("dense_cold_s", "s", "dense: the same"),
    ("memory_bytes", "bytes", "masked: peak of a training step, counted"),
    ("dense_memory_bytes", "bytes", "dense: the same"),
    ("realised_memory_bytes", "bytes", "removed work skipped: the same"),
    ("inference_memory_bytes", "bytes", "removed work skipped: peak of an inference of 64 images, counted"),
    ("dense_inference_memory_bytes", "bytes", "dense, in the form that needs least: the same"),
    ("allocator_bytes", "bytes", "masked: what a training step adds to CUDA's allocator at its peak"),
    ("dense_allocator_bytes", "bytes", "dense: the same"),
    ("realised_allocator_bytes", "bytes", "removed work skipped: the same"),
)


def read_costs(layout: Layout) -> list[CostRecord]:
    """All records under results/<profile>/costs, by id; none before a measurement."""
    return [CostRecord.model_validate_json(path.read_bytes()) for path in sorted(layout.costs.glob("*.json"))]


def is_complete(setting: CostSetting, layout: Layout) -> bool:
    """Whether all PROCESSES have measured this setting."""
    path = layout.costs / f"{setting.id}.json"
    return path.exists() and len(CostRecord.model_validate_json(path.read_bytes()).runs) >= PROCESSES


def write_costs(record: CostRecord, layout: Layout) -> None:
    """Write the record; PaperlibError if that fails."""
    write_atomically(layout.costs / f"{record.id}.json", (record.model_dump_json(indent=1) + "\n").encode())


def cost_table(records: Iterable[CostRecord]) -> pd.DataFrame:
    """One row per setting and process; what was not measured is missing.

    `<what>_ratio`: of the masked network to dense in the same process; `realised_<what>_ratio`: of the fastest exact
    variant, which is the masked one where none is faster; `<what>_ratio_again`: of dense measured a second time (A/A).
    """
    rows = [_row(record, number, run) for record in records for number, run in enumerate(record.runs)]
    return pd.DataFrame(rows, columns=[name for name, *_ in COST_COLUMNS])


def write_cost_table(layout: Layout) -> pd.DataFrame:
    """Write costs.csv and costs.parquet beside the records and return the table."""
    table = cost_table(read_costs(layout))
    write_atomically(layout.results / "costs.csv", table.to_csv(index=False).encode())
    write_atomically(layout.results / "costs.parquet", table.to_parquet(index=False))
    return table


def _row(record: CostRecord, process: int, run: CostRun) -> dict[str, Any]:
    setting, environment = record.setting, run.environment
    row: dict[str, Any] = {"id": record.id, "process": process}
    row |= {name: getattr(setting, name) for name, *_ in _SETTING}
    row |= dict(zip(("resolution", "image_width", "channels"), setting.shape, strict=True))
    row |= {name: getattr(environment, name) for name, *_ in _PLACE}
    row |= {"grid_g_per_kwh": run.grid_g_per_kwh, "others_share": run.others}
    row |= {"rounds": min(t.rounds for t in (*run.step, *run.inference))}
    row |= {name: getattr(run, name) for name in ("idle_w", "temperature_c", "clock_mhz")}
    row |= dict(_compared("step", run.step, run.idle_w))
    for size in BATCHES:
        of_size = [t for t in run.inference if t.batch_size == size]
        row |= dict(_compared(f"inference_b{size}", of_size, run.idle_w))
    boundary = {name: run.boundary_s.get(name, 0.0) for name in ("masked", "compact", "sparse")}
    row["boundary_s"], row["realised_boundary_s"] = boundary["masked"], boundary.get(row["realised_step_way"], 0.0)
    whole = {t.variant: t.time_s / t.product_s for t in run.trainings}
    realised_way = row["realised_step_way"]
    row |= {"dense_whole_ratio": whole.get("dense"), "whole_ratio": whole.get("masked")}
    row["realised_whole_ratio"] = whole.get(realised_way) if realised_way != "masked" else None
    row |= {"cold_s": run.cold_s.get("masked"), "dense_cold_s": run.cold_s["dense"]}
    dense = record.memory.get("dense")
    masked = record.memory.get("masked", dense)
    realised = record.memory.get(row["realised_step_way"], masked)
    for prefix, memory in (("", masked), ("dense_", dense), ("realised_", realised)):
        row[f"{prefix}memory_bytes"] = memory.total if memory else None
        row[f"{prefix}allocator_bytes"] = row[f"{prefix}step_allocator_bytes"]
    counted = record.inference_memory
    row["inference_memory_bytes"] = counted and counted.pruned
    row["dense_inference_memory_bytes"] = counted and counted.dense
    return {name: row[name] for name, *_ in COST_COLUMNS}


def _compared(what: str, timings: Iterable[Timing], idle_w: float | None) -> Iterator[tuple[str, Any]]:
    timed = {t.variant: t for t in timings}
    dense, again = timed.pop("dense"), timed.pop("dense-again")
    masked = timed.pop("masked", dense)
    fastest = next(iter(timed.values()), masked)  # there is a further variant only where it pays
    yield f"{what}_energy_source", dense.energy_source
    yield f"{what}_energy_uncertainty", dense.energy_uncertainty
    yield f"{what}_ratio_again", again.ratio
    yield f"realised_{what}_way", fastest.variant
    for prefix, timing in (("dense_", dense), ("", masked), ("realised_", fastest)):
        energy, base = timing.energy_j_per_image, dense.energy_j_per_image
        yield f"{prefix}{what}_s", timing.median_s
        yield f"{prefix}{what}_energy_j", energy
        idle_j = None if idle_w is None else idle_w * timing.median_s / timing.batch_size
        yield f"{prefix}{what}_above_idle_j", None if energy is None or idle_j is None else energy - idle_j
        yield f"{prefix}{what}_allocator_bytes", timing.allocator_bytes
        yield f"{prefix}{what}_ratio", timing.ratio
        yield f"{prefix}{what}_energy_ratio", energy / base if energy and base else None


def columns_page() -> str:
    """The text of docs/columns.md: the columns of both tables."""
    head = ["| column | unit | meaning |", "|---|---|---|"]
    lines = [
        "# Columns of the tables",
        "",
        "What was not measured or does not apply is missing, never 0.",
        "This page is written by `columns_page` in `paperlib/costs/records.py`.",
        "",
        "## What was learnt",
        "",
        "`tidy.csv` and `tidy.parquet` of a results folder, and `paperlib.load_results`, have one row per trial.",
        "",
        *head,
        *(f"| `{name}` | {unit} | {meaning} |" for name, unit, _, meaning in COLUMNS),
        "",
        "## What networks cost",
        "",
        "`costs.csv` and `costs.parquet` have one row per setting and process ([how it is measured](measuring.md)).",
        "",
        *head,
        *(f"| `{name}` | {unit} | {meaning} |" for name, unit, meaning in COST_COLUMNS),
    ]
    return "\n".join(lines) + "\n"
