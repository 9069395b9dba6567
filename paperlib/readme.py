"""What was found, as the README opens with it: written from the committed records, between two markers."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from paperlib.claims import CLAIMS, Verdict, tally, verdicts
from paperlib.errors import PaperlibError
from paperlib.kept import archives, opened, regenerate
from paperlib.paths import Layout
from paperlib.store import write_atomically

START, END = "<!-- findings: written by `paperlib findings --write README.md` -->", "<!-- end of findings -->"
# The first two of these that the records give.
PICTURES = ("pareto_mlp-small", "edge_ratio_t1", "accuracy_mlp-small", "pareto_vgg16")


def section(layout: Layout) -> tuple[str, dict[str, bytes]]:
    """Markdown and its pictures (name to PNG bytes) from a folder that `regenerate` has filled."""
    from paperlib.exhibits import base, read_manifest
    from paperlib.findings import findings
    from paperlib.store import Store

    table = Store(layout).table()
    found = verdicts(table)
    counts = ", ".join(f"{n} {word}" for word, n in tally(found).items())
    *said, images = findings(table)
    exhibits = {e.name: e for e in read_manifest(layout)}
    shown = [exhibits[name] for name in PICTURES if name in exhibits][:2]
    pictures = {e.name: (base(layout) / next(f for f in e.files if f.endswith(".png"))).read_bytes() for e in shown}
    untestable = sum(v.base.startswith(("untestable", "inconclusive")) for v in found)
    lines = [
        "## What was found",
        f"From the {len(table)} trials in `results/{layout.name}/`. {images}",
        f"**{len(found)} claims**: {counts}.",
        "\n".join(f"- {text}" for text in said),
        *_settled(found),
        *(f"![{e.title}](docs/found/{e.name}.png)\n\n{e.title}. {e.caption}" for e in shown),
        f"**Not shown**: {untestable} of the {len(found)} claims stay open on these records (`paperlib claims ID` "
        "says what each would take); images called `stand-in` and energies called `modelled` say nothing about the "
        "papers' own; no number here is from one of the papers' machines.",
    ]
    return "\n\n".join(lines), pictures


def _settled(found: Sequence[Verdict]) -> Iterator[str]:
    """The claims that these records decide, verdict by verdict, each in our words with what was found."""
    for word in ("supported", "contradicted", "inside the noise", "internally inconsistent"):
        decided = [v for v in found if v.base == word]
        if decided:
            ids = ", ".join(v.claim for v in decided)
            lines = "\n".join(f"- **{v.claim}** {CLAIMS[v.claim].text.rstrip('.')}: {_figure(v)}" for v in decided)
            yield f"<details><summary>{len(decided)} {word}: {ids}</summary>\n\n{lines}\n\n</details>"


def _figure(verdict: Verdict) -> str:
    stands_in = f" ({'; '.join(verdict.rests_on)})" if verdict.rests_on else ""
    return (verdict.detail if verdict.estimate is None else f"{verdict.figure()}, n = {verdict.n}") + stands_in


def written(page: str, text: str) -> str:
    """The page with `text` between the markers. PaperlibError if it has not both."""
    if page.count(START) != 1 or page.count(END) != 1:
        raise PaperlibError(f"the page needs the two lines {START!r} and {END!r} once each")
    before, rest = page.split(START)
    return f"{before}{START}\n{text}\n{END}{rest.split(END)[1]}"


def findings_command(
    write: Annotated[Path | None, typer.Option(help="A page with the two markers, such as README.md.")] = None,
) -> None:
    """What the committed results say; with --write, into the README."""
    found = archives()
    if not found:
        raise PaperlibError("no results are committed: `paperlib keep-results quick` after a run")
    with opened(found[0]) as layout:
        regenerate(layout)
        text, pictures = section(layout)
    if write is None:
        typer.echo(text)
        return
    write_atomically(write, written(write.read_text(), text).encode())
    for name, content in pictures.items():
        write_atomically(write.parent / "docs" / "found" / f"{name}.png", content)
