"""Records on disk: one JSON file per trial, written atomically, and one tidy table of them all."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from paperlib import data
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.data.registry import DATASETS
from paperlib.models import MODELS
from paperlib.pruners import METHODS
from paperlib.schema.record import Record
from paperlib.schema.trial import SCOPES, Trial
from paperlib.trials import table as rows


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
        return rows.read(self.path(trial_id))

    def find(self, trials: Iterable[Trial]) -> dict[Trial, Record]:
        """The records of those trials that have run on the images that are here now.

        A trial that has run on other images (other pixels, labels or provenance) is not among them; if its record
        of these images was set aside, it is put back. Raises PaperlibError where images cannot be read.
        """
        contents: dict[data.Selection, data.Content] = {}
        found: dict[Trial, Record] = {}
        for trial in trials:
            # Images are asked for only where something could be found.
            if not self.path(trial.id).exists() and not any(self.aside.glob(f"{trial.id}-*.json")):
                continue
            if trial.selection not in contents:
                contents[trial.selection] = data.identify(trial.selection)
            if (record := self.of(trial, contents[trial.selection])) is not None:
                found[trial] = record
        return found

    def of(self, trial: Trial, content: data.Content) -> Record | None:
        """The trial's record of these images; one that was set aside is put back. None if there is none."""
        record = self.get(trial.id)
        if record is not None and (record.data.source, record.data.content_hash) == content[:2]:
            return record
        name = f"{trial.id}-{content.source}-{content.hash}"
        if (earlier := rows.read(self.aside / f"{name}.json")) is None:
            return None
        self.set_aside(trial.id)
        for folder, suffix in ((self.layout.trials, ".json"), (self.layout.checkpoints, ".safetensors")):
            with suppress(FileNotFoundError):
                (folder / _ASIDE / f"{name}{suffix}").replace(folder / f"{trial.id}{suffix}")
        return earlier

    def set_aside(self, trial_id: str) -> None:
        """Move a trial's record, and its weights, to `other-images/`: it is about to run on other images."""
        if (record := self.get(trial_id)) is None:
            return
        for folder, suffix in ((self.layout.checkpoints, ".safetensors"), (self.layout.trials, ".json")):
            (folder / _ASIDE).mkdir(parents=True, exist_ok=True)
            name = f"{trial_id}-{record.data.source}-{Path(record.data.content_hash).name}{suffix}"
            with suppress(FileNotFoundError):  # no weights were kept, or another process has just done so
                (folder / f"{trial_id}{suffix}").replace(folder / _ASIDE / name)

    @property
    def aside(self) -> Path:
        """Records of trials that have run on other images since."""
        return self.layout.trials / _ASIDE

    def check_writable(self) -> None:
        """PaperlibError, before any work, if no record could be written later."""
        probe = self.layout.trials / f".probe-{os.getpid()}"
        write_atomically(probe, b"")
        probe.unlink(missing_ok=True)

    def put(self, record: Record) -> None:
        write_atomically(self.path(record.id), (record.model_dump_json(indent=1) + "\n").encode())

    def records(self) -> list[Record]:
        """All readable records, ordered by id."""
        found = (rows.read(path) for path in sorted(self.layout.trials.glob("*.json")))
        return [record for record in found if record is not None]

    def table(self) -> pd.DataFrame:
        """The tidy table of all records; only files that are new or changed since the last call are read."""
        now = pd.DataFrame(self._stamps(), columns=_STAMP)
        path = self.layout.results / "cache" / f"tidy-{_fingerprint()}.parquet"
        known = pd.DataFrame(columns=_STAMP)
        with suppress(OSError, ValueError):  # none yet, or a damaged one: it is only a cache
            known = pd.read_parquet(path)
        kept = known.merge(now, on=_STAMP)
        fresh = rows.frame([self.path(name) for name in sorted(set(now["id"]) - set(kept["id"]))])
        if len(fresh):
            fresh = fresh.merge(now, on="id")
        both = _ordered(pd.concat([part for part in (kept, fresh) if len(part)]) if len(kept) + len(fresh) else fresh)
        if len(fresh) or len(kept) < len(known):
            for old in path.parent.glob("tidy-*.parquet"):
                old.unlink(missing_ok=True)
            write_atomically(path, both.to_parquet(index=False))
        return both.drop(columns=_STAMP[1:], errors="ignore")

    def _stamps(self) -> list[tuple[str, int, int]]:
        with suppress(FileNotFoundError), os.scandir(self.layout.trials) as files:
            found = [(file.name.removesuffix(".json"), file.stat()) for file in files if file.name.endswith(".json")]
            return [(name, stat.st_mtime_ns, stat.st_size) for name, stat in found]
        return []

    def write_table(self) -> pd.DataFrame:
        """Write tidy.parquet and tidy.csv beside the trials and return the table."""
        table = self.table()
        write_atomically(self.layout.results / "tidy.csv", table.to_csv(index=False).encode())
        write_atomically(self.layout.results / "tidy.parquet", table.to_parquet(index=False))
        return table


_DATASETS, _MODELS, _METHODS = (
    {name: place for place, name in enumerate(names)} for names in (DATASETS, MODELS, METHODS)
)
_ASIDE = "other-images"
_STAMP = ["id", "mtime_ns", "size"]


@cache
def _fingerprint() -> str:
    # Rows made by other code are not reused.
    return hashlib.sha256(Path(__file__).read_bytes() + Path(rows.__file__).read_bytes()).hexdigest()[:12]


def tidy(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record, in the papers' order. Units stand in the names; what was not obtained is missing, never 0."""
    return _ordered(pd.DataFrame([rows.row(record) for record in records]))


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    # A reader's own data sets, models and methods come last, by name.
    if table.empty:
        return table

    def places(column: str, names: Mapping[str, int]) -> pd.Series:
        return table[column].map(names).fillna(len(names))

    keys = pd.DataFrame(
        {
            "a": places("dataset", _DATASETS), "b": table.dataset, "c": places("model", _MODELS), "d": table.model,
            "e": table.quirks, "f": places("scope", {s: i for i, s in enumerate(SCOPES)}), "g": -table.conv_sparsity,
            "h": table.sparsity, "i": places("method", _METHODS), "j": table.method, "k": table.seed, "l": table["id"],
        }
    ).reset_index(drop=True)  # fmt: skip
    order = keys.sort_values(keys.columns.tolist()).index
    placed = table.iloc[order].reset_index(drop=True).infer_objects()
    # Of all rows, so the one that a cached part brings along is dropped.
    return placed.drop(columns="main_setting", errors="ignore").assign(main_setting=_main_setting(placed))


def _main_setting(table: pd.DataFrame) -> pd.Series:
    """Whether a row was trained in the setting that most trials of its data set and model share; others are a sweep."""
    groups = table.groupby(["dataset", "model", *rows.SETTING], dropna=False)
    # Of settings with equally many trials, the first in sorted order.
    rank = groups["id"].transform("size") - groups.ngroup() / (len(table) + 1)
    return rank == rank.groupby([table.dataset, table.model]).transform("max")
