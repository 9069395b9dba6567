"""Results of several machines in one folder; a conflict is listed, never overwritten."""

from pathlib import Path
from typing import Annotated

import typer

from paperlib.core.errors import FailedError
from paperlib.core.paths import Layout
from paperlib.core.progress import wide_console
from paperlib.schema.record import Record
from paperlib.trials.differences import TOLERANCES, Difference, differences, results_folder
from paperlib.trials.store import Store


def merged(stores: list[Store], into: Store) -> tuple[dict[str, Record], dict[str, list[tuple[Record, Record]]]]:
    """The records that all agree on, first come first kept, and the contradicting pairs by id.

    Records that differ in what was measured only (times, energies), or by no more than the tolerances of `compare`,
    which another machine's rounding needs, agree. What `into` holds already counts as
    the first; an id with a contradiction is in the conflicts and not among the agreed.
    """
    agreed: dict[str, Record] = {}
    conflicts: dict[str, list[tuple[Record, Record]]] = {}
    for store in (into, *stores):
        for record in store.records():
            first = agreed.setdefault(record.id, record)
            if differences(first, record, TOLERANCES):
                conflicts.setdefault(record.id, []).append((first, record))
    return {i: r for i, r in agreed.items() if i not in conflicts}, conflicts


def merge(
    folders: Annotated[list[Path], typer.Argument(help="Folders of results, such as a/results/laptop.")],
    into: Annotated[Path, typer.Option(help="Folder to write; what it holds already is kept.")],
) -> None:
    """Bring the results of several machines into one folder; exits with 1 if records contradict each other.

    A trial with contradicting records is listed with its machines and versions and not written.
    """
    from rich.table import Table

    target = Store(Layout(into, into / "figures"))
    target.check_writable()
    agreed, conflicts = merged([results_folder(folder) for folder in folders], target)
    new = [record for record in agreed.values() if not target.path(record.id).exists()]
    for record in new:
        target.put(record)
    table = Table("trial", "field", "one", "other", "one from", "other from", title="Conflicts", title_justify="left")
    for pairs in conflicts.values():
        for one, other in pairs:
            for d in differences(one, other, TOLERANCES):
                table.add_row(d.id, d.field, *_shown(d), _origin(one), _origin(other))
    if conflicts:
        wide_console().print(table)
    if agreed:
        target.write_table()
    typer.echo(f"{into}: {len(new)} records added, {len(agreed) - len(new)} were there, {len(conflicts)} conflicts")
    if conflicts:
        raise FailedError(f"{len(conflicts)} trials contradict each other and were not written: see the list")


def _shown(difference: Difference) -> tuple[str, str]:
    return str(difference.a), str(difference.b)


def _origin(record: Record) -> str:
    e = record.environment
    return f"{e.gpu or e.cpu}, {e.platform}, torch {e.torch}, paperlib {e.paperlib}"
