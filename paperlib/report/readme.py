"""What was found, as the README opens with it: written from the committed records, between two markers."""

import re
from collections.abc import Iterator, Sequence

import pandas as pd

from paperlib.claims import CLAIMS, Verdict, tally, verdicts
from paperlib.claims.cost_evidence import CostTable
from paperlib.claims.verdict import DECIDED
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.records import cost_table, read_costs
from paperlib.exhibits.manifest import Exhibit, output_root, read_manifest
from paperlib.report.findings import findings
from paperlib.trials.store import Store

START, END = "<!-- findings: written by `paperlib findings --write README.md` -->", "<!-- end of findings -->"
# The tables of dense accuracies beside published ones.
WORLD = ("world_mlp", "world_vgg", "world_industrial")
# Sections that sum a paper up: its abstract, and the conclusion of F.
_HEADLINE = re.compile(r"abstract| 6$")
# The first two of these that the records give.
PICTURES = ("pareto_mlp-small", "edge_ratio_t1", "accuracy_mlp-small", "pareto_vgg16")


def section(layout: Layout) -> tuple[str, dict[str, bytes]]:
    """Markdown and its pictures (name to PNG bytes) from a folder that `regenerate` has filled."""
    table, costs = Store(layout).table(), cost_table(read_costs(layout))
    decided = verdicts(table, measured=costs)
    counts = ", ".join(f"{n} {word}" for word, n in tally(decided).items())
    *others, images = findings(table, CostTable(costs))
    exhibits = {e.name: e for e in read_manifest(layout)}
    shown = [exhibits[name] for name in PICTURES if name in exhibits][:2]
    pictures = {
        e.name: (output_root(layout) / next(f for f in e.files if f.endswith(".png"))).read_bytes() for e in shown
    }
    summed_up = ((v, CLAIMS[v.claim]) for v in decided if _HEADLINE.search(CLAIMS[v.claim].section))
    headlines = [(v.claim, about.section, about.text, f"**{v.word}**", _figure(v)) for v, about in summed_up]
    untestable = sum(v.base.startswith(("untestable", "inconclusive")) for v in decided)
    lines = [
        "## What was found",
        f"From {len(table)} trials and {len(read_costs(layout))} cost records in `results/{layout.name}/`. "
        f"Images: {images.text}",
        "\n".join(f"- {finding.markdown()}" for finding in others),
        "### Do the claims hold?",
        f"Verdicts on {len(decided)} claims: {counts}. Those of the abstracts and conclusions:",
        _markdown([("", "in", "the paper says", "here", "found"), *headlines]),
        "All that these records decide, with what was found:",
        *_decided(decided),
        *_dense([exhibits[name] for name in WORLD if name in exhibits], layout),
        *(f"![{e.title}](docs/found/{e.name}.png)\n\n{e.title}. {e.caption}" for e in shown),
        f"**Not shown**: {untestable} of the {len(decided)} claims stay open on these records (`paperlib claims ID` "
        "says what each would take); images called `stand-in` and energies called `modelled` say nothing about the "
        "papers' own; no number here is from one of the papers' machines.",
    ]
    return "\n\n".join(lines), pictures


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


def _decided(all_verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The claims that these records decide, verdict by verdict, each in our words with what was found."""
    for word in DECIDED:
        of_word = [v for v in all_verdicts if v.base == word]
        if of_word:
            ids = ", ".join(v.claim for v in of_word)
            lines = "\n".join(
                f"- **{v.claim}** {CLAIMS[v.claim].text.rstrip('.')}: {_figure(v)}{_basis(v)}" for v in of_word
            )
            yield f"<details><summary>{len(of_word)} {word}: {ids}</summary>\n\n{lines}\n\n</details>"


def _dense(world: Sequence[Exhibit], layout: Layout) -> Iterator[str]:
    """The dense accuracies beside published ones, of all sections in one table."""
    if not world:
        return
    files = [output_root(layout) / next(f for f in e.files if f.endswith(".csv")) for e in world]
    table = pd.concat([pd.read_csv(f, dtype=str, keep_default_na=False) for f in files])
    lines = _markdown([list(table.columns), *table.to_numpy().tolist()])
    caption = world[0].caption.partition(" n = ")[0]
    yield f"<details><summary>{world[0].title}</summary>\n\n{caption}\n\n{lines}\n\n</details>"


def _figure(verdict: Verdict) -> str:
    if verdict.estimate is None:
        return verdict.detail if verdict.base in DECIDED else "–"
    return f"{verdict.figure()}, n = {verdict.n}"


def _basis(verdict: Verdict) -> str:
    return f" ({'; '.join(verdict.caveats)})" if verdict.caveats else ""


def written(page: str, text: str) -> str:
    """The page with `text` between the markers. PaperlibError if it has not both."""
    if page.count(START) != 1 or page.count(END) != 1:
        raise PaperlibError(f"the page needs the two lines {START!r} and {END!r} once each")
    before, rest = page.split(START)
    return f"{before}{START}\n{text}\n{END}{rest.split(END)[1]}"
