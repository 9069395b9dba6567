"""What tables and figures are made from: the records of one set of results, read once, and their tidy table."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import pandas as pd

from paperlib.claims.cost_evidence import CostTable
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.records import cost_table, read_costs
from paperlib.schema.record import Record
from paperlib.trials.store import Store, tidy


@dataclass(frozen=True)
class Source:
    """Trial records, their tidy table (one row each, see `trials.table`), what networks cost, and the folders."""

    layout: Layout
    records: list[Record]
    table: pd.DataFrame
    costs: CostTable

    @classmethod
    def of(cls, layout: Layout, ids: Collection[str] | None = None) -> "Source":
        """ids: only these records, None for all. Raises PaperlibError if there are no records yet."""
        records = [record for record in Store(layout).records() if ids is None or record.id in ids]
        if not records:
            raise PaperlibError(
                f"no records in {layout.trials}: run `paperlib reproduce --profile {layout.name}` first"
            )
        return cls(layout, records, tidy(records), CostTable(cost_table(read_costs(layout))))

    def where(self, chosen: "pd.Series[bool]") -> "Source":
        """Only the records whose rows are true in `chosen`, which has the index of `table`."""
        table = self.table[chosen]
        return replace(self, records=self.records_of(table), table=table)

    def records_of(self, rows: pd.DataFrame) -> list[Record]:
        """The records behind some rows of the table."""
        ids = set(rows.id)
        return [record for record in self.records if record.id in ids]
