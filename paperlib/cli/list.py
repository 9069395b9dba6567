"""`paperlib list`."""

import typer
from rich.table import Table
from rich.text import Text

from paperlib.core.progress import wide_console


def command() -> None:
    """Name every figure, table and claim, with the command that answers it."""
    from paperlib.claims import CLAIMS
    from paperlib.report.one_exhibit import known

    exhibits = sorted(known().values(), key=lambda e: (e.section, e.kind))
    rows = [(f"paperlib {e.kind} {e.name}", f"{e.section}: {e.title}") for e in exhibits]
    rows += [(f"paperlib claims {claim.id}", f"{claim.section}: {claim.text}") for claim in CLAIMS.values()]
    console = wide_console()
    if not console.is_terminal:
        typer.echo("\n".join("\t".join(row) for row in rows))
        return
    table = Table("command", "notebook or section, and what it shows")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
