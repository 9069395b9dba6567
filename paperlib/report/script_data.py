"""What the pages that draw themselves know: every trial in few bytes, and the arms of the explorer."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from paperlib.claims.cost_arms import setting_of, width_of
from paperlib.claims.cost_evidence import COSTS, CostTable
from paperlib.claims.effects import Arm, arms, main_setting_only, pruned_text
from paperlib.claims.stats import Estimate
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.exhibits import style
from paperlib.exhibits.captions import describe_machines
from paperlib.schema.record import Record
from paperlib.schema.trial import again

_SHOWN = ("training_time", "inference_time", "inference_time_b1")


def write_trials(records: Sequence[Record], layout: Layout) -> None:
    """data/trials-<first digit of the id>.js: what trial.html shows, in files that a page can load from disk."""
    parts: dict[str, dict[str, object]] = {digit: {} for digit in "0123456789abcdef"}
    for record in records:
        parts[record.id[0]][record.id] = _of_trial(record)
    for digit, trials in parts.items():
        text = json.dumps(trials, ensure_ascii=False, separators=(",", ":"), default=str)
        write_atomically(layout.report / "data" / f"trials-{digit}.js", f"show({text});\n".encode())


def _of_trial(record: Record) -> dict[str, object]:
    trial = record.trial
    facts = [
        ("status", record.status),
        ("data set", f"{trial.dataset}, {record.data.shape[0]} px"),
        ("model", f"{trial.model}, width {trial.width:g}"),
        ("method", trial.method),
        ("pruned", pruned_text(trial.model, trial.scope, trial.conv_sparsity, trial.sparsity)),
        ("seed", str(trial.seed)),
        ("training", f"{trial.epochs} epochs, batch {trial.batch_size}, {trial.optimizer}, rate {trial.lr:g}"),
        *(row for row in record.summary() if row[0] != "again"),
        ("machine", describe_machines([record.environment]).removeprefix("machine: ")),
        ("finished", record.finished),
    ]
    curve = {
        f"{part} {name}": [_short(getattr(getattr(epoch, part), name)) for epoch in record.curve]
        for name in ("accuracy", "loss")
        for part in ("train", "val")
    }
    layers = [(layer.name, layer.units, layer.removed) for layer in record.layers]
    return {"facts": facts, "command": again(record.command), "curve": curve, "layers": layers,
            "training": record.shared_training}  # fmt: skip


def _short(value: float | None) -> float | None:
    """Four digits; None for what is no number, which JSON cannot hold."""
    return float(f"{value:.4g}") if value is not None and np.isfinite(value) else None


def _ends(estimate: Estimate | None, scale: float = 1.0) -> list[float | None] | None:
    if estimate is None:
        return None
    return [_short(None if x is None else x * scale) for x in (estimate.mean, estimate.low, estimate.high)]


def explorer(tidy: pd.DataFrame, costs: CostTable, records: Mapping[str, Record]) -> dict[str, object]:
    """The arms with accuracy (%), costs (ratios to dense), validation curves (%) and commands, and the colours."""
    rows: list[dict[str, object]] = []
    dense: dict[str, object] = {}
    for arm in arms(main_setting_only(tidy)):
        own = [records[i] for i in arm.trials if i not in arm.dense_trials]
        dense.setdefault(f"{arm.dataset}|{arm.model}", {
            "accuracy": _ends(arm.dense, 100), "curve": _curve([records[i] for i in arm.dense_trials]),
        })  # fmt: skip
        setting, width = setting_of(arm), width_of(costs, arm.model)
        timed = {
            f"{COSTS[name].title}, {'realised' if realised else 'masked'}": ends
            for name in _SHOWN
            for realised in (False, True)
            if (effect := costs.effect(COSTS[name], setting, realised=realised, width=width))
            and (ends := _ends(effect))
        }
        rows.append({
            "dataset": arm.dataset, "network": arm.model, "method": arm.method, "scope": arm.scope,
            "sparsity": _removed(arm), "accuracy": _ends(arm.own, 100), "change": _ends(arm.effect, 100),
            "n": arm.own.n if arm.own else 0, "costs": timed, "curve": _curve(own), "command": again(own[0].command),
            "ids": arm.trials, "trained": sorted({r.trial.width for r in own}), "timed": width,
        })  # fmt: skip
    colours = {method: to_hex(style.colour(method)) for method in sorted(set(tidy.method))}
    return {"arms": rows, "dense": dense, "colours": colours}


def _removed(arm: Arm) -> str:
    if arm.model.startswith("mlp"):
        return f"{arm.sparsity:.4g}"
    return f"conv {arm.conv_sparsity:g}, linear {arm.sparsity:g}"


def _curve(records: Sequence[Record]) -> list[float | None]:
    """Mean validation accuracy after each epoch, in %, over the records that have as many as the most."""
    curves = defaultdict(list)
    for record in records:
        curves[len(record.curve)].append([100 * epoch.val.accuracy for epoch in record.curve])
    return [_short(value) for value in np.mean(curves[max(curves)], axis=0)] if curves and max(curves) else []
