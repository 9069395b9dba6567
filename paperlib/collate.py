"""What each notebook shows: its tables and figures, written from the records and listed in a manifest."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from paperlib import edge_figures, figures, tables
from paperlib.comparisons import METRICS
from paperlib.errors import PaperlibError
from paperlib.exhibits import Exhibit, read_manifest, write_manifest
from paperlib.paths import Layout
from paperlib.record import Record
from paperlib.registry import unknown
from paperlib.store import Store, tidy


@dataclass(frozen=True)
class Source:
    """The records of one set of results, read once, and their tidy table."""

    layout: Layout
    records: list[Record]
    table: pd.DataFrame

    @classmethod
    def of(cls, layout: Layout) -> "Source":
        """Raises PaperlibError if there are no records yet."""
        records = Store(layout).records()
        if not records:
            raise PaperlibError(
                f"no records in {layout.trials}: run `paperlib reproduce --profile {layout.name}` first"
            )
        return cls(layout, records, tidy(records))

    def models(self, *prefixes: str) -> "Source":
        """Only the records of models whose names start so."""
        records = [r for r in self.records if r.trial.model.startswith(prefixes)]
        return Source(self.layout, records, self.table[self.table.model.str.startswith(prefixes)])


def mlp(source: Source) -> list[Exhibit | None]:
    """Section 01: paper P's perceptrons, one table and one figure per model for every metric of its abstract."""
    here = source.models("mlp")
    table, layout = here.table, here.layout
    made: list[Exhibit | None] = [tables.write_comparison(table, name, "mlp", layout) for name in METRICS]
    for model in dict.fromkeys(table.model):
        made += [figures.comparison(table, name, model, layout) for name in METRICS]
        made += [figures.curves(here.records, table, model, q, layout) for q in ("accuracy", "loss")]
        made += [figures.pareto(table, model, layout), figures.layers(here.records, model, layout)]
    return [*made, tables.write_layers(here.records, layout), tables.write_quirks(table, layout)]


SECTIONS: dict[str, Callable[[Layout], Sequence[Exhibit | None]]] = {
    "01": lambda layout: mlp(Source.of(layout)),
    "04": edge_figures.write,
}


def write(number: str, layout: Layout) -> list[Exhibit]:
    """Write the tables and figures of one section and put them into the manifest; returns them.

    Raises PaperlibError for an unknown section, or if there are no records.
    """
    if number not in SECTIONS:
        raise unknown("section", number, list(SECTIONS))
    made = [replace(e, section=number) for e in SECTIONS[number](layout) if e]
    others = [e for e in read_manifest(layout) if e.section != number]
    write_manifest(sorted([*others, *made], key=lambda e: e.section), layout)
    return made
