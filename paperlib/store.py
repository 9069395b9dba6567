"""Records on disk: one JSON file per trial, written atomically, and one tidy table of them all."""

import hashlib
import json
import os
import re
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from paperlib.data.registry import DATASETS
from paperlib.errors import PaperlibError
from paperlib.meters.reading import Timing
from paperlib.models import MODELS
from paperlib.paths import Layout
from paperlib.pruners import METHODS
from paperlib.record import SCHEMA, Record
from paperlib.trial import SCOPES


def write_atomically(path: Path, data: bytes) -> None:
    """Write all of `data` under `path` or nothing; safe with several writers. PaperlibError if it can't."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        cure = "free some space or choose another folder with PAPERLIB_OUTPUT"
        raise PaperlibError(f"cannot write {path}: {error.strerror}; {cure}") from None


@dataclass(frozen=True)
class Store:
    """The records of one set of results."""

    layout: Layout

    def path(self, trial_id: str) -> Path:
        return self.layout.trials / f"{trial_id}.json"

    def get(self, trial_id: str) -> Record | None:
        """The record under this id, or None.

        A damaged file is set aside (`.damaged`) with a warning, so that the trial runs again. Raises
        PaperlibError for a record of another schema version.
        """
        return self._read(self.path(trial_id))

    def check_writable(self) -> None:
        """PaperlibError, before any work, if no record could be written later."""
        probe = self.layout.trials / f".probe-{os.getpid()}"
        write_atomically(probe, b"")
        probe.unlink(missing_ok=True)

    def put(self, record: Record) -> None:
        write_atomically(self.path(record.id), (record.model_dump_json(indent=1) + "\n").encode())

    def records(self) -> list[Record]:
        """All readable records, ordered by id."""
        found = (self._read(path) for path in sorted(self.layout.trials.glob("*.json")))
        return [record for record in found if record is not None]

    def _read(self, path: Path) -> Record | None:
        try:
            raw = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            version = _version(raw)
            if version == SCHEMA:
                record = Record.model_validate_json(raw)
                if record.id == record.trial.id == path.stem:
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

    def table(self) -> pd.DataFrame:
        """The tidy table of all records; only files that are new or changed since the last call are read."""
        now = pd.DataFrame(
            [(p.stem, s.st_mtime_ns, s.st_size) for p in self.layout.trials.glob("*.json") if (s := p.stat())],
            columns=_STAMP,
        )
        path = self.layout.results / "cache" / f"tidy-{_fingerprint()}.parquet"
        known = pd.DataFrame(columns=_STAMP)
        with suppress(OSError, ValueError):  # none yet, or a damaged one: it is only a cache
            known = pd.read_parquet(path)
        kept = known.merge(now, on=_STAMP)
        rows = self._rows(sorted(set(now["id"]) - set(kept["id"])))
        if len(rows):
            rows = rows.merge(now, on="id")
        both = _ordered(pd.concat([part for part in (kept, rows) if len(part)]) if len(kept) + len(rows) else rows)
        if len(rows) or len(kept) < len(known):
            for old in path.parent.glob("tidy-*.parquet"):
                old.unlink(missing_ok=True)
            write_atomically(path, both.to_parquet(index=False))
        return both.drop(columns=_STAMP[1:], errors="ignore")

    def _rows(self, names: list[str]) -> pd.DataFrame:
        # In portions: the collector of garbage walks over every dict that is alive, again and again.
        parts = []
        for start in range(0, len(names), _PORTION):
            fresh = (self._read(self.path(name)) for name in names[start : start + _PORTION])
            parts.append(pd.DataFrame([_row(record) for record in fresh if record is not None]))
        return pd.concat(full, ignore_index=True) if (full := [part for part in parts if len(part)]) else pd.DataFrame()

    def write_table(self) -> pd.DataFrame:
        """Write tidy.parquet and tidy.csv beside the trials and return the table."""
        table = self.table()
        write_atomically(self.layout.results / "tidy.csv", table.to_csv(index=False).encode())
        write_atomically(self.layout.results / "tidy.parquet", table.to_parquet(index=False))
        return table


_DATASETS, _MODELS, _METHODS = (
    {name: place for place, name in enumerate(names)} for names in (DATASETS, MODELS, METHODS)
)
TRIAL_COLUMNS = (
    "dataset", "model", "width", "method", "scope", "sparsity", "conv_sparsity", "threshold", "draw", "swap", "seed",
    "epochs", "batch_size", "optimizer", "lr", "schedule", "augment", "compute", "execution",
)  # fmt: skip


_STAMP = ["id", "mtime_ns", "size"]
_PORTION = 2_000


@cache
def _fingerprint() -> str:
    # Rows made by other code are not reused.
    return hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]


def _version(raw: bytes) -> int | None:
    # Our own writer puts the version first; anything else is parsed whole.
    if found := re.match(rb'\{\s*"schema_version":\s*(\d+)\s*,', raw):
        return int(found[1])
    version: int | None = json.loads(raw).get("schema_version")
    return version


def tidy(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record, in the papers' order. Units stand in the names; what was not obtained is missing, never 0."""
    return _ordered(pd.DataFrame([_row(record) for record in records]))


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    # A reader's own data sets, models and methods come last, by name.
    if rows.empty:
        return rows

    def places(column: str, names: Mapping[str, int]) -> pd.Series:
        return rows[column].map(names).fillna(len(names))

    keys = pd.DataFrame(
        {
            "a": places("dataset", _DATASETS), "b": rows.dataset, "c": places("model", _MODELS), "d": rows.model,
            "e": rows.quirks, "f": places("scope", {s: i for i, s in enumerate(SCOPES)}), "g": -rows.conv_sparsity,
            "h": rows.sparsity, "i": places("method", _METHODS), "j": rows.method, "k": rows.seed, "l": rows["id"],
        }
    ).reset_index(drop=True)  # fmt: skip
    order = keys.sort_values(keys.columns.tolist()).index
    return rows.iloc[order].reset_index(drop=True).infer_objects()


def _row(record: Record) -> dict[str, Any]:
    trial, test, network, training = record.trial, record.test, record.network, record.training
    fields = vars(trial)
    row: dict[str, Any] = {"id": record.id} | {name: fields[name] for name in TRIAL_COLUMNS}
    row |= {
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
        row[f"test_{name}"] = getattr(test, name) if test else None
    for name in ("time_s", "energy_j", "co2_g", "peak_memory_bytes"):
        row[f"train_{name}"] = getattr(training, name) if training else None
    losses = [epoch.train.loss for epoch in record.curve]
    falls = [b < a for a, b in pairwise(losses)]
    row["best_train_accuracy"] = max((epoch.train.accuracy for epoch in record.curve), default=None)
    row["first_train_loss"], row["last_train_loss"] = (losses[0], losses[-1]) if losses else (None, None)
    row["train_loss_falling"] = sum(falls) / len(falls) if falls else None
    row["energy_source"] = training.energy_source if training else None
    row["memory_source"] = training.memory_source if training else None
    row["compact_epochs"] = record.compact_epochs
    row |= vars(record.costs) if record.costs else {}
    row["inference_energy_source"] = next((t.energy_source for t in record.inference if t.energy_source), None)
    row["load_s"] = record.load_s
    for size in sorted({timing.batch_size for timing in record.inference}):
        row |= _inference({t.variant: t for t in record.inference if t.batch_size == size}, f"_b{size}")
    environment = record.environment
    return row | {
        "device": environment.device,
        "cpu": environment.cpu,
        "gpu": environment.gpu,
        "threads": environment.threads,
        "command": record.command,
        "finished": record.finished,
    }


def _inference(timed: dict[str, Timing], end: str) -> dict[str, Any]:
    """Columns of one batch size: the network as the papers run it, the A/A control, and `realised_…`, the exact
    way that makes removed work disappear (masked itself where nothing pays)."""
    dense, plain = timed["dense"], timed.get("masked", timed["dense"])
    own = [name for name in timed if name not in {"dense", "dense-again", "masked"}]
    realised = timed[own[0]] if own else plain
    again = timed.get("dense-again")
    row: dict[str, Any] = {f"realised_way{end}": realised.variant}
    for prefix, timing in (("inference", plain), ("realised", realised)):
        row[f"{prefix}_s{end}"] = timing.median_s
        row[f"{prefix}_energy_j{end}"] = timing.energy_j_per_image
        row[f"{prefix}_peak_memory_bytes{end}"] = timing.peak_memory_bytes
        if timing is not dense:
            row |= _ratios(timing, dense, prefix, end)
        if again:
            row |= _ratios(again, dense, prefix, f"{end}_again")
            row[f"{prefix}_s{end}_again"] = again.median_s
            row[f"{prefix}_energy_j{end}_again"] = again.energy_j_per_image
    return row


def _ratios(timing: Timing, dense: Timing, prefix: str, end: str) -> dict[str, float | None]:
    return {
        f"{prefix}_ratio{end}": timing.ratio,
        f"{prefix}_ratio_low{end}": timing.ratio_low,
        f"{prefix}_ratio_high{end}": timing.ratio_high,
        f"{prefix}_energy_ratio{end}": _ratio(timing.energy_j_per_image, dense),
    }


def _ratio(energy_j: float | None, dense: Timing) -> float | None:
    return energy_j / dense.energy_j_per_image if energy_j and dense.energy_j_per_image else None
