"""The records of one set of results, read once, and their tidy table."""

from collections.abc import Collection
from dataclasses import dataclass

import pandas as pd

from paperlib.claims.effects import main_setting_only
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.schema.record import Record
from paperlib.studies.profiles import F_DATASETS
from paperlib.trials.store import Store, tidy


@dataclass(frozen=True)
class Source:
    """The records of one set of results, read once, and their tidy table."""

    layout: Layout
    records: list[Record]
    table: pd.DataFrame

    @classmethod
    def of(cls, layout: Layout, ids: Collection[str] | None = None) -> "Source":
        """ids: only these records, None for all. Raises PaperlibError if there are no records yet."""
        records = [record for record in Store(layout).records() if ids is None or record.id in ids]
        if not records:
            raise PaperlibError(
                f"no records in {layout.trials}: run `paperlib reproduce --profile {layout.name}` first"
            )
        return cls(layout, records, tidy(records))

    def comparable(self) -> "Source":
        """Only the records of one training setting for each data set and model."""
        return self.only(set(main_setting_only(self.table).id))

    def models(self, *prefixes: str) -> "Source":
        """Only the records of models whose names start so."""
        records = [r for r in self.records if r.trial.model.startswith(prefixes)]
        return self._only(records)

    def datasets(self, *, f: bool) -> "Source":
        """Only the records on paper F's data sets, or only those on others."""
        return self._only([r for r in self.records if (r.trial.dataset.partition(":")[0] in F_DATASETS) == f])

    def only(self, ids: set[str]) -> "Source":
        """Only these records."""
        return self._only([r for r in self.records if r.id in ids])

    def without(self, ids: set[str]) -> "Source":
        """All but these records."""
        return self._only([r for r in self.records if r.id not in ids])

    def _only(self, records: list[Record]) -> "Source":
        return Source(self.layout, records, self.table[self.table.id.isin([r.id for r in records])])
