"""`paperlib claims [ID] [--profile quick] [--run]`."""

import sys
from typing import Annotated

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text

from paperlib.claims import CLAIMS, Claim, find, tally, verdicts
from paperlib.claims import table as rows_of
from paperlib.claims.missing import missing, refuse
from paperlib.claims.verdict import UNDECIDED
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.core.progress import wide_console
from paperlib.costs.records import cost_table, read_costs
from paperlib.report.answers import Answer, answers
from paperlib.report.committed import Tables, tables_of
from paperlib.schema.trial import again
from paperlib.studies.profiles import PROFILES
from paperlib.studies.profiles import profile as profile_of
from paperlib.trials.store import Store

SHOWN = 6  # records and commands printed of one claim; claims.json has them all


def _ids(incomplete: str) -> list[str]:
    return [name for name in CLAIMS if name.startswith(incomplete.upper())]


def command(
    claim: Annotated[
        str | None,
        typer.Argument(metavar="[ID]", help="Such as C46; none for the ledger.", autocompletion=_ids),
    ] = None,
    profile: Annotated[
        str, typer.Option(help="Which results: smoke, quick, laptop, station, paper or another name.")
    ] = "quick",
    run: Annotated[bool, typer.Option("--run", help="Run what the claim lacks in this profile, then decide.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Run it without a question.")] = False,
) -> None:
    """The verdict on each of the papers' 69 claims, or everything about one."""
    console = wide_console()
    if claim is None and (run or yes):
        raise PaperlibError("--run takes the ID of one claim, such as `paperlib claims C46 --run`")
    if yes and not run:
        raise PaperlibError("--yes goes with --run")
    chosen = find(claim) if claim is not None else None
    if chosen is not None and run:
        if not _run(chosen, profile, ask=not yes):
            return
        layout = Layout.of(profile)
        own = Tables(Store(layout).table(), cost_table(read_costs(layout)), f"results/{profile}")
    else:
        own = Tables(*tables_of(profile))
    if chosen is not None:
        (answer,) = answers(own, [chosen])
        console.print(_one(answer, "" if run else profile))
        return
    found = answers(own)
    if not console.is_terminal:
        rows = rows_of(answer.verdict for answer in found)[["id", "section", "kind", "verdict"]]
        rows["records"] = [answer.source for answer in found]
        typer.echo(rows.to_csv(sep="\t", index=False), nl=False)
        return
    ledger = Table("claim", "where", "what it says", "verdict", "estimate", "n", "records", title="Claims")
    for answer in found:
        v, about, style = answer.verdict, CLAIMS[answer.verdict.claim], "dim" * (answer.source == "reference")
        texts = map(Text, (about.text, v.word, v.figure()))
        ledger.add_row(v.claim, about.section, *texts, str(v.n or "–"), answer.source, style=style)
    words = ", ".join(f"{count} {word}" for word, count in tally(answer.verdict for answer in found).items())
    whose = " and ".join(f"{a.source}: {a.tables.whose}" for a in {a.source: a for a in found}.values())
    ledger.caption = f"{words}. {whose}"
    console.print(ledger)


def _run(claim: Claim, profile: str, *, ask: bool) -> bool:
    """Run the trials and costs that the claim lacks, after saying what they cost; False where the user says no."""
    from paperlib.cli.plan import forecast
    from paperlib.costs.measurement import run_costs
    from paperlib.trials.subprocess_runner import run_in_subprocess

    profile_of(profile)
    layout = Layout.of(profile)
    (verdict,) = verdicts(Store(layout).table(), [claim], cost_table(read_costs(layout)))
    lacking = missing(claim, verdict, profile, layout)
    refuse(claim, verdict, profile, lacking)
    print(f"{claim.id} lacks {lacking} of profile {profile}: {forecast(lacking, layout)}", file=sys.stderr)
    if ask and not sys.stdin.isatty():
        raise PaperlibError("nobody is here to be asked; --yes runs it without a question")
    if ask and input("Run it? [y/N] ").strip().lower() not in {"y", "yes"}:
        return False
    if lacking.trials:
        run_in_subprocess(lacking.trials, layout)
    for effort in dict.fromkeys(lacking.costs.values()):
        run_costs([s for s, e in lacking.costs.items() if e == effort], layout, effort, lacking.processes)
    return True


def _one(answer: Answer, profile: str) -> Group:
    """All about one claim; profile: in which more could be run, or ''."""
    v, tidy, about = answer.verdict, answer.tables.trials, CLAIMS[answer.verdict.claim]
    half, twice = (verdicts(tidy, [about], answer.tables.costs, factor)[0] for factor in (0.5, 2.0))
    commands = dict(zip(tidy["id"], tidy["command"], strict=True)) if len(tidy) else {}
    facts, repeats = Table.grid(padding=(0, 2)), "processes" if about.kind in {"time", "energy", "memory"} else "seeds"
    more = f"`paperlib claims {v.claim} --profile {profile} --run` says what is missing and how long it takes, and asks"
    rows = {
        "verdict": v.word,
        "answered by": f"{answer.source}: {answer.tables.whose}",
        **({"own records": answer.own.word} if answer.own is not v else {}),
        "estimate": v.figure()
        + (f" (95 % interval over {repeats})" if v.estimate and v.estimate.low is not None else ""),
        "n": f"{v.n} {repeats}" if v.n else "–",
        "floor or margin": v.floor_text(),
        "p": "–" if v.p is None else f"{v.p:.2g}, of the test that decided, corrected for its family",
        "other margins": f"half: {half.word}; twice: {twice.word}",
        "found": v.detail or "–",
        "images": v.provenance or "–",
        "takes": v.needs,
        **({"to run": more} if answer.own.base in UNDECIDED and profile in PROFILES else {}),
        "records": f"{len(v.trials)}: {' '.join(v.trials[:SHOWN])}{' …' if len(v.trials) > SHOWN else ''}",
    }
    for name, text in rows.items():
        facts.add_row(Text(name, style="bold"), Text(text))
    runs = [Text(f"  {again(commands[i])}") for i in v.trials[:SHOWN] if i in commands]
    head = Text(f"{v.claim} ({about.section}; {about.kind}): {about.text}", style="bold")
    return Group(head, facts, *([Text("re-run its trials, first ones:", style="bold"), *runs] if runs else []))
