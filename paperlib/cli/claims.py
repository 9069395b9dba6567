"""`paperlib claims [ID] [--profile quick]`."""

from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from paperlib.claims import CLAIMS, Verdict, find, tally, verdicts
from paperlib.claims import table as rows_of
from paperlib.core.progress import wide_console
from paperlib.report.committed import tables_of
from paperlib.schema.trial import again

SHOWN = 6  # records and commands printed of one claim; claims.json has them all


def command(
    claim: Annotated[str | None, typer.Argument(metavar="[ID]", help="Such as C46; none for the ledger.")] = None,
    profile: Annotated[str, typer.Option(help="Which results: smoke, quick, laptop, paper or another name.")] = "quick",
) -> None:
    """The verdict on each of the papers' 69 claims, or everything about one."""
    console = wide_console()
    chosen = find(claim) if claim is not None else None
    tidy, costs, whose = tables_of(profile)
    if chosen is not None:
        half, one, twice = (verdicts(tidy, [chosen], costs, factor)[0] for factor in (0.5, 1.0, 2.0))
        console.print(_one(one, half, twice, dict(zip(tidy["id"], tidy["command"], strict=True))))
        return
    found = verdicts(tidy, measured=costs)
    if not console.is_terminal:
        typer.echo(rows_of(found)[["id", "section", "kind", "verdict"]].to_csv(sep="\t", index=False), nl=False)
        return
    ledger = Table("claim", "where", "what it says", "verdict", "estimate", "n", title=f"Claims on {whose}")
    for v in found:
        about = CLAIMS[v.claim]
        ledger.add_row(v.claim, about.section, *map(Text, (about.text, v.word, v.figure())), str(v.n or "–"))
    ledger.caption = ", ".join(f"{count} {word}" for word, count in tally(found).items())
    console.print(ledger)


def _one(v: Verdict, half: Verdict, twice: Verdict, commands: dict[str, str]) -> Group:
    """half and twice: the verdict at other margins of what matters."""
    about = CLAIMS[v.claim]
    facts, repeats = Table.grid(padding=(0, 2)), "processes" if about.kind in {"time", "energy", "memory"} else "seeds"
    rows = {
        "verdict": v.word,
        "estimate": v.figure()
        + (f" (95 % interval over {repeats})" if v.estimate and v.estimate.low is not None else ""),
        "n": f"{v.n} {repeats}" if v.n else "–",
        "floor or margin": v.floor_text(),
        "p": "–" if v.p is None else f"{v.p:.2g}, of the test that decided, corrected for its family",
        "other margins": f"half: {half.word}; twice: {twice.word}",
        "found": v.detail or "–",
        "images": v.provenance or "–",
        "takes": v.needs,
        "records": f"{len(v.trials)}: {' '.join(v.trials[:SHOWN])}{' …' if len(v.trials) > SHOWN else ''}",
    }
    for name, text in rows.items():
        facts.add_row(Text(name, style="bold"), Text(text))
    runs = [Text(f"  {again(commands[i])}") for i in v.trials[:SHOWN] if i in commands]
    head = Text(f"{v.claim} ({about.section}; {about.kind}): {about.text}", style="bold")
    return Group(head, facts, *([Text("re-run its trials, first ones:", style="bold"), *runs] if runs else []))
