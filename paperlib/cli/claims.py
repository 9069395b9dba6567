"""`paperlib claims [ID] [--profile quick]`."""

from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from paperlib.claims import CLAIMS, Verdict, find, tally, verdicts
from paperlib.claims import table as rows_of
from paperlib.core.progress import wide_console
from paperlib.report.committed import table_of
from paperlib.schema.trial import again

SHOWN = 6  # trials and commands printed of one claim; claims.json has them all


def command(
    claim: Annotated[str | None, typer.Argument(metavar="[ID]", help="Such as C46; none for the ledger.")] = None,
    profile: Annotated[str, typer.Option(help="Which results: smoke, quick, laptop, paper or another name.")] = "quick",
) -> None:
    """The verdict on each of the papers' 69 claims, or everything about one."""
    console = wide_console()
    chosen = find(claim) if claim is not None else None
    tidy, whose = table_of(profile)
    if chosen is not None:
        console.print(_one(verdicts(tidy, [chosen])[0], dict(zip(tidy["id"], tidy["command"], strict=True))))
        return
    found = verdicts(tidy)
    if not console.is_terminal:
        typer.echo(rows_of(found)[["id", "section", "kind", "verdict"]].to_csv(sep="\t", index=False), nl=False)
        return
    ledger = Table("claim", "where", "what it says", "verdict", "estimate", "n", title=f"Claims on {whose}")
    for v in found:
        about = CLAIMS[v.claim]
        ledger.add_row(v.claim, about.section, *map(Text, (about.text, v.word, v.figure())), str(v.n or "–"))
    ledger.caption = ", ".join(f"{count} {word}" for word, count in tally(found).items())
    console.print(ledger)


def _one(v: Verdict, commands: dict[str, str]) -> Group:
    about = CLAIMS[v.claim]
    facts = Table.grid(padding=(0, 2))
    rows = {
        "verdict": v.word,
        "estimate": v.figure() + (" (95 % interval over seeds)" if v.estimate and v.estimate.low is not None else ""),
        "n": f"{v.n} seeds" if v.n else "–",
        "noise floor": v.floor_text(),
        "exact p": "–" if v.p is None else f"{v.p:.3g}",
        "found": v.detail or "–",
        "images": v.provenance or "–",
        "takes": v.needs,
        "trials": f"{len(v.trials)}: {' '.join(v.trials[:SHOWN])}{' …' if len(v.trials) > SHOWN else ''}",
    }
    for name, text in rows.items():
        facts.add_row(Text(name, style="bold"), Text(text))
    runs = [Text(f"  {again(commands[i])}") for i in v.trials[:SHOWN] if i in commands]
    head = Text(f"{v.claim} ({about.section}; {about.kind}): {about.text}", style="bold")
    return Group(head, facts, *([Text("re-run its trials, first ones:", style="bold"), *runs] if runs else []))
