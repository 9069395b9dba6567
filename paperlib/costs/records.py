"""Cost records on disk, one JSON file per setting, and one table of them all; imports no torch."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.schema.cost import PROCESSES, CostRecord, CostRun, CostSetting
from paperlib.schema.measurement import Timing

BATCHES = (1, 64)  # images per batch of inference


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
    return pd.DataFrame([_row(record, number, run) for record in records for number, run in enumerate(record.runs)])


def write_cost_table(layout: Layout) -> pd.DataFrame:
    """Write costs.csv and costs.parquet beside the records and return the table."""
    table = cost_table(read_costs(layout))
    write_atomically(layout.results / "costs.csv", table.to_csv(index=False).encode())
    write_atomically(layout.results / "costs.parquet", table.to_parquet(index=False))
    return table


def _row(record: CostRecord, process: int, run: CostRun) -> dict[str, Any]:
    setting, environment = record.setting, run.environment
    row: dict[str, Any] = {"id": record.id, "process": process}
    names = ("model", "width", "method", "scope", "sparsity", "conv_sparsity", "batch_size", "optimizer", "compute")
    row |= {name: getattr(setting, name) for name in names} | {"classes": setting.classes}
    row |= dict(zip(("resolution", "image_width", "channels"), setting.shape, strict=True))
    row |= {name: getattr(environment, name) for name in ("device", "cpu", "gpu", "threads")}
    row |= {"grid_g_per_kwh": run.grid_g_per_kwh, "others_share": run.others}
    row |= {"rounds": min(t.rounds for t in (*run.step, *run.inference))}
    row |= dict(_compared("step", run.step))
    for size in BATCHES:
        row |= dict(_compared(f"inference_b{size}", [t for t in run.inference if t.batch_size == size]))
    boundary = {name: run.boundary_s.get(name, 0.0) for name in ("masked", "compact")}
    row["boundary_s"], row["realised_boundary_s"] = boundary["masked"], boundary.get(row["realised_step_way"], 0.0)
    row |= {f"{'dense_' if name == 'dense' else ''}cold_s": seconds for name, seconds in run.cold_s.items()}
    dense = record.memory["dense"]
    masked = record.memory.get("masked", dense)
    realised = record.memory.get(row["realised_step_way"], masked)
    row |= {"memory_bytes": masked.total, "dense_memory_bytes": dense.total, "realised_memory_bytes": realised.total}
    return row


def _compared(what: str, timings: Iterable[Timing]) -> Iterator[tuple[str, Any]]:
    timed = {t.variant: t for t in timings}
    dense, again = timed.pop("dense"), timed.pop("dense-again")
    masked = timed.pop("masked", dense)
    fastest = next(iter(timed.values()), masked)  # there is a further variant only where it pays
    yield f"{what}_energy_source", dense.energy_source
    yield f"{what}_ratio_again", again.ratio
    yield f"realised_{what}_way", fastest.variant
    for prefix, timing in (("dense_", dense), ("", masked), ("realised_", fastest)):
        energy, base = timing.energy_j_per_image, dense.energy_j_per_image
        yield f"{prefix}{what}_s", timing.median_s
        yield f"{prefix}{what}_energy_j", energy
        if timing is not dense or prefix != "dense_":
            yield f"{prefix}{what}_ratio", timing.ratio
            yield f"{prefix}{what}_energy_ratio", energy / base if energy and base else None
