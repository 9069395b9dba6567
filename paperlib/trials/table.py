"""Record files read, and each record as one row of the tidy table; imports nothing heavy, since workers do it too."""

import json
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from pydantic import ValidationError

from paperlib.core.errors import PaperlibError
from paperlib.meters.collector import paused
from paperlib.schema.measurement import Timing
from paperlib.schema.record import SCHEMA, Record

TRIAL_COLUMNS = (
    "dataset", "model", "width", "method", "scope", "sparsity", "conv_sparsity", "threshold", "draw", "swap", "seed",
    "epochs", "batch_size", "optimizer", "lr", "schedule", "augment", "compute", "execution",
)  # fmt: skip
# Columns that say how a network was trained: arms are compared within one such setting.
SETTING = ["width", "epochs", "batch_size", "optimizer", "lr", "options", "schedule", "augment", "resolution"]
_PORTION = 2_000
_MANY = 10_000  # files from which on starting workers (about 2 s) pays


def read(path: Path) -> Record | None:
    """The record in this file, or None if there is none.

    A damaged file is set aside (`.damaged`) with a warning, so that the trial runs again. Raises PaperlibError for
    a record of another schema version.
    """
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        version = _version(raw)
        if version == SCHEMA:
            record = Record.model_validate_json(raw)
            if record.id == record.trial.id == path.stem.partition("-")[0]:
                return record
            raise ValueError("the id does not belong to the trial")
    except (ValidationError, ValueError, AttributeError) as error:
        aside = path.with_suffix(".damaged")
        with suppress(FileNotFoundError):  # another run has just done so
            path.replace(aside)
        reason = str(error).splitlines()[0]
        warnings.warn(f"damaged record {path.name} ({reason}) set aside as {aside}; it runs again", stacklevel=2)
        return None
    raise PaperlibError(
        f"record {path} has schema version {version}, this paperlib reads {SCHEMA}; "
        "use the matching paperlib, or move the results folder away"
    )


def frame(paths: Sequence[Path]) -> pd.DataFrame:
    """One row per readable record file, in the order of `paths`; many files are read by all cores."""
    portions = [paths[start : start + _PORTION] for start in range(0, len(paths), _PORTION)]
    workers = min(joblib.cpu_count(), len(portions)) if len(paths) >= _MANY else 1
    parts = joblib.Parallel(n_jobs=workers)(joblib.delayed(_portion)(portion) for portion in portions)
    return pd.concat(full, ignore_index=True) if (full := [part for part in parts if len(part)]) else pd.DataFrame()


def _portion(paths: Sequence[Path]) -> pd.DataFrame:
    with paused():  # it would walk over every dict that is alive, again and again; nothing here is cyclic
        return pd.DataFrame([row(record) for path in paths if (record := read(path)) is not None])


def _version(raw: bytes) -> int | None:
    # Our own writer puts the version first; anything else is parsed whole.
    if found := re.match(rb'\{\s*"schema_version":\s*(\d+)\s*,', raw):
        return int(found[1])
    version: int | None = json.loads(raw).get("schema_version")
    return version


def row(record: Record) -> dict[str, Any]:
    """The record as one row of the tidy table: name of the column to value."""
    trial, test, network, training = record.trial, record.test, record.network, record.training
    fields = vars(trial)
    found: dict[str, Any] = {"id": record.id} | {name: fields[name] for name in TRIAL_COLUMNS}
    found |= {
        "options": json.dumps(trial.options, sort_keys=True) if trial.options else "{}",
        "resolution": record.data.shape[0],
        "computed_in": record.compute.choice if record.compute else None,
        "protocol": trial.protocol,
        "quirks": "+".join(trial.quirks),
        "source": record.data.source,
        "data_hash": record.data.content_hash,
        "train_images": record.data.train,
        "test_images": record.data.test,
        "classes": record.data.classes,
        "train_majority": record.data.train_majority,
        "train_entropy": record.data.train_entropy,
        "test_majority": record.data.test_majority,
        "status": record.status,
        "reason": record.reason,
        "parameters": network.parameters if network else None,
        "zeros": network.zeros if network else None,
        "network_sparsity": network.sparsity if network else None,
        "scope_sparsity": network.scope_sparsity if network else None,
        "shared_training": record.shared_training,
    }
    for name in ("loss", "accuracy", "balanced_accuracy", "macro_f1", "precision", "recall", "auc"):
        found[f"test_{name}"] = getattr(test, name) if test else None
    for name in ("time_s", "energy_j", "co2_g", "peak_memory_bytes"):
        found[f"train_{name}"] = getattr(training, name) if training else None
    found["val_accuracy"] = record.curve[-1].val.accuracy if record.curve else None
    losses = [epoch.train.loss for epoch in record.curve]
    falls = [b < a for a, b in pairwise(losses)]
    found["best_train_accuracy"] = max((epoch.train.accuracy for epoch in record.curve), default=None)
    found["first_train_loss"], found["last_train_loss"] = (losses[0], losses[-1]) if losses else (None, None)
    found["train_loss_falling"] = sum(falls) / len(falls) if falls else None
    found["energy_source"] = training.energy_source if training else None
    found["memory_source"] = training.memory_source if training else None
    found["engine"] = record.engine
    found["compact_epochs"] = record.compact_epochs
    found |= vars(record.costs) if record.costs else {}
    found["inference_energy_source"] = next((t.energy_source for t in record.inference if t.energy_source), None)
    found["load_s"] = record.load_s
    for size in sorted({timing.batch_size for timing in record.inference}):
        found |= _inference({t.variant: t for t in record.inference if t.batch_size == size}, size)
    environment = record.environment
    return found | {
        "device": environment.device,
        "cpu": environment.cpu,
        "gpu": environment.gpu,
        "threads": environment.threads,
        "others_share": record.place.others if record.place else None,
        "command": record.command,
        "finished": record.finished,
    }


def _inference(timed: dict[str, Timing], size: int) -> dict[str, Any]:
    """Columns of one batch size: the network as the papers run it, the A/A control, and `realised_…`, the exact
    way that makes removed work disappear (masked itself where nothing pays)."""
    dense, plain = timed["dense"], timed.get("masked", timed["dense"])
    own = [name for name in timed if name not in {"dense", "dense-again", "masked"}]
    realised = timed[own[0]] if own else plain
    again = timed.get("dense-again")
    found: dict[str, Any] = {f"realised_way_b{size}": realised.variant}
    for prefix, timing in (("inference", plain), ("realised", realised)):
        absolute, ratios, ratios_again, absolute_again = _columns(prefix, size)
        found |= zip(absolute, (timing.median_s, timing.energy_j_per_image, timing.peak_memory_bytes), strict=True)
        if timing is not dense:
            found |= zip(ratios, _ratios(timing, dense), strict=True)
        if again:
            found |= zip(ratios_again, _ratios(again, dense), strict=True)
            found |= zip(absolute_again, (again.median_s, again.energy_j_per_image), strict=True)
    return found


@cache
def _columns(prefix: str, size: int) -> tuple[tuple[str, ...], ...]:
    # Made once: a hundred thousand records have the same ones.
    def named(*names: str, end: str = "") -> tuple[str, ...]:
        return tuple(f"{prefix}_{name}_b{size}{end}" for name in names)

    ratios = ("ratio", "ratio_low", "ratio_high", "energy_ratio")
    return (
        named("s", "energy_j", "peak_memory_bytes"),
        named(*ratios),
        named(*ratios, end="_again"),
        named("s", "energy_j", end="_again"),
    )


def _ratios(timing: Timing, dense: Timing) -> tuple[float | None, ...]:
    energy, base = timing.energy_j_per_image, dense.energy_j_per_image
    return timing.ratio, timing.ratio_low, timing.ratio_high, energy / base if energy and base else None
