"""Records on disk: one JSON file per trial, written atomically, and one tidy table of them all."""

import json
import os
import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import ValidationError

from paperlib import data
from paperlib.core.errors import PaperlibError
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.data.registry import DATASETS
from paperlib.models import MODELS
from paperlib.pruners import METHODS
from paperlib.schema.record import SCHEMA, Record
from paperlib.schema.trial import SCOPES, Trial
from paperlib.trials.table import SETTING, row


@dataclass(frozen=True)
class Store:
    """The records of one set of results."""

    layout: Layout

    def path(self, trial_id: str) -> Path:
        """Where the record of this trial lies, or would."""
        return self.layout.trials / f"{trial_id}.json"

    def get(self, trial_id: str) -> Record | None:
        """The record under this id, or None.

        A damaged file is set aside (`.damaged`) with a warning, so that the trial runs again. Raises
        PaperlibError for a record of another schema version.
        """
        return read(self.path(trial_id))

    def find(self, trials: Iterable[Trial]) -> dict[Trial, Record]:
        """The records of those trials that have run on the images that are here now.

        A trial that has run on other images (other pixels, labels or provenance) is not among them; if its record
        of these images was set aside, it is put back. Raises PaperlibError where images cannot be read.
        """
        contents: dict[data.Selection, data.Content] = {}
        records: dict[Trial, Record] = {}
        for trial in trials:
            # Images are asked for only where something could be found.
            if not self.path(trial.id).exists() and not any(self.aside.glob(f"{trial.id}-*.json")):
                continue
            if trial.selection not in contents:
                contents[trial.selection] = data.identify(trial.selection)
            if (record := self.of(trial, contents[trial.selection])) is not None:
                records[trial] = record
        return records

    def of(self, trial: Trial, content: data.Content) -> Record | None:
        """The trial's record of these images; one that was set aside is put back. None if there is none."""
        record = self.get(trial.id)
        if record is not None and (record.data.source, record.data.content_hash) == content[:2]:
            return record
        name = f"{trial.id}-{content.source}-{content.hash}"
        if (earlier := read(self.aside / f"{name}.json")) is None:
            return None
        if record is not None:
            self.set_aside(record)
        for folder, suffix in ((self.layout.trials, ".json"), (self.layout.checkpoints, ".safetensors")):
            with suppress(FileNotFoundError):
                (folder / _ASIDE / f"{name}{suffix}").replace(folder / f"{trial.id}{suffix}")
        return earlier

    def leave_other_images(self, trial: Trial, content: data.Content) -> None:
        """Set the trial's record aside, with a warning, if it is of other images than `content`."""
        record = self.get(trial.id)
        if record is None or (record.data.source, record.data.content_hash) == content[:2]:
            return
        self.set_aside(record)
        was, now = record.data.source, content.source
        what = f"the {was} images have changed" if was == now else f"{now} images are here now, not the {was} ones"
        warnings.warn(
            f"{trial.dataset}: {what}: trials run anew; their earlier records are in {self.aside}", stacklevel=4
        )

    def set_aside(self, record: Record) -> None:
        """Move a trial's record, and its weights, to `other-images/`: it is about to run on other images."""
        for folder, suffix in ((self.layout.checkpoints, ".safetensors"), (self.layout.trials, ".json")):
            (folder / _ASIDE).mkdir(parents=True, exist_ok=True)
            name = f"{record.id}-{record.data.source}-{Path(record.data.content_hash).name}{suffix}"
            with suppress(FileNotFoundError):  # no weights were kept, or another process has just done so
                (folder / f"{record.id}{suffix}").replace(folder / _ASIDE / name)

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
        """Write the record; PaperlibError if that fails."""
        write_atomically(self.path(record.id), (record.model_dump_json(indent=1) + "\n").encode())

    def records(self) -> list[Record]:
        """All readable records, ordered by id."""
        return list(self._read_all())

    def _read_all(self) -> Iterator[Record]:
        for path in sorted(self.layout.trials.glob("*.json")):
            if (record := read(path)) is not None:
                yield record

    def table(self) -> pd.DataFrame:
        """The tidy table of all records."""
        return tidy(self._read_all())

    def write_table(self) -> pd.DataFrame:
        """Write tidy.parquet and tidy.csv beside the trials and return the table."""
        table = self.table()
        write_atomically(self.layout.results / "tidy.csv", table.to_csv(index=False).encode())
        write_atomically(self.layout.results / "tidy.parquet", table.to_parquet(index=False))
        return table


def checkpoint(layout: Layout, trial_id: str) -> Path:
    """Where the trained weights of a trial lie, if they are kept (dense ones are)."""
    return layout.checkpoints / f"{trial_id}.safetensors"


def read(path: Path) -> Record | None:
    """The record in this file, or None if there is none.

    A damaged file is set aside (`.damaged`) with a warning, so that the trial runs again. Raises PaperlibError for
    a record of another schema version.
    """
    try:
        raw = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    version, reason = SCHEMA, "the id does not belong to the trial"
    try:
        record = Record.model_validate_json(raw)
        version = record.schema_version
        if version == SCHEMA and record.id == record.trial.id == path.stem.partition("-")[0]:
            return record
    except ValidationError as error:
        reason = str(error).splitlines()[0]
        with suppress(ValueError, AttributeError):  # it is no JSON, or no object
            version = json.loads(raw).get("schema_version")
    if version != SCHEMA:
        raise PaperlibError(
            f"record {path} has schema version {version}, this paperlib reads {SCHEMA}; "
            "use the matching paperlib, or move the results folder away"
        )
    aside = path.with_suffix(".damaged")
    with suppress(FileNotFoundError):  # another run has just done so
        path.replace(aside)
    warnings.warn(f"damaged record {path.name} ({reason}) set aside as {aside}; it runs again", stacklevel=2)
    return None


_ASIDE = "other-images"
_ORDER: dict[str, Collection[str]] = {"dataset": DATASETS, "model": MODELS, "scope": SCOPES, "method": METHODS}
_SORTED_BY = [
    "dataset_place", "dataset", "model_place", "model", "quirks", "scope_place", "conv_sparsity", "sparsity",
    "method_place", "method", "seed", "id",
]  # fmt: skip


def tidy(records: Iterable[Record]) -> pd.DataFrame:
    """One row per record, in the papers' order; docs/columns.md says what the columns mean.

    Data sets, models and methods that a reader added come last, by name. `main_setting`: whether a row was trained in
    the setting that most trials of its data set and model share (of equally frequent ones the first in sorted order);
    the other rows are a sweep.
    """
    table = pd.DataFrame([row(record) for record in records])
    if table.empty:
        return table
    places = {
        f"{column}_place": table[column].map({name: n for n, name in enumerate(names)}).fillna(len(names))
        for column, names in _ORDER.items()
    }
    ascending = [column != "conv_sparsity" for column in _SORTED_BY]
    order = table.assign(**places).sort_values(_SORTED_BY, ascending=ascending).index
    table = table.loc[order].reset_index(drop=True).infer_objects()
    groups = table.groupby(["dataset", "model", *SETTING], dropna=False)
    rank = groups["id"].transform("size") - groups.ngroup() / (len(table) + 1)
    return table.assign(main_setting=rank == rank.groupby([table.dataset, table.model]).transform("max"))
