"""What was found, as the README, docs/findings.md and docs/appendix.md tell it: written from the committed records."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from paperlib.claims import CLAIMS, Verdict, tally, verdicts
from paperlib.claims.verdict import DECIDED
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.forecast import RECORD_BYTES
from paperlib.costs.records import read_costs
from paperlib.exhibits import balance, published
from paperlib.exhibits.collation import SECTIONS
from paperlib.exhibits.manifest import output_root
from paperlib.exhibits.results import Source
from paperlib.report.answers import Answer, answers
from paperlib.report.committed import Tables
from paperlib.report.findings import findings, headlines
from paperlib.studies.sections import COLLATION

START, END = "<!-- findings: written by `paperlib findings --write README.md` -->", "<!-- end of findings -->"
# Sections that sum a paper up: its abstract, and the conclusion of F.
_HEADLINE = re.compile(r"abstract| 6$")


class Told(NamedTuple):
    """What was found, as Markdown: front: the README's part; page: docs/findings.md; appendix: the part of
    docs/appendix.md; picture: PNG of `balance`, or None where the records give none."""

    front: str
    page: str
    appendix: str
    picture: bytes | None


def told(layout: Layout, *, complete: bool = False) -> Told:
    """What the records in a folder say. PaperlibError if it holds none.

    complete: claims that they do not decide have the verdict of the committed reference, which is said.
    """
    source = Source.of(layout)
    tables = Tables(source.table, source.costs.rows, f"results/{layout.name}")
    answered = (
        answers(tables) if complete else [Answer(v, tables, v) for v in verdicts(tables.trials, None, tables.costs)]
    )
    own, decided = [a.own for a in answered], [a.verdict for a in answered]
    borrowed = [a.verdict.claim for a in answered if a.source == "reference"]
    counts = ", ".join(f"{n} {word}" for word, n in tally(decided).items())
    *others, images = findings(source.table, source.costs)
    first = headlines(source.table, source.costs, own)
    shown = balance.figure(source.where(source.table.main_setting))
    picture = None
    if shown:
        picture = (output_root(layout) / next(f for f in shown.files if f.endswith(".png"))).read_bytes()
    made_from = f"{len(source.records)} trials and {source.costs.rows.id.nunique()} cost records"
    summed_up = [(v, CLAIMS[v.claim]) for v in decided if _HEADLINE.search(CLAIMS[v.claim].section)]
    whose = dict.fromkeys(borrowed, " (reference)")
    headline_claims = [
        (v.claim, about.section, about.text, f"**{v.word}**{whose.get(v.claim, '')}", _figure(v))
        for v, about in summed_up
    ]
    front = [
        "\n".join(f"- {finding.markdown()}" for finding in first),
        *_picture("docs/found", shown.title if shown else ""),
        f"From {made_from} in `results/{layout.name}/`. [All findings](docs/findings.md).",
    ]
    page = [
        "# What was found",
        "<!-- written by `paperlib findings --write README.md` -->",
        f"From {made_from} in `results/{layout.name}/`. Images: {images.text}",
        "\n".join(f"- {finding.markdown()}" for finding in others),
        *_picture("found", shown.title if shown else ""),
        *([shown.caption] if shown else []),
        "## Do the claims hold?",
        f"Verdicts on {len(decided)} claims: {counts} ([what each word means](verdicts.md)). Those of the abstracts "
        "and conclusions:",
        _markdown([("", "in", "the paper says", "here", "found"), *headline_claims]),
        *([f"These records do not decide {', '.join(borrowed)}: the reference does."] if borrowed else []),
        "All that is decided, with what was found:",
        *_decided(decided, whose),
        *_dense(source),
        f"**Not shown**: {sum(v.base not in DECIDED for v in decided)} of the {len(decided)} claims stay open on these "
        "records (`paperlib claims ID` says what each would take); images called `stand-in` and energies called "
        "`modelled` say nothing about the papers' own; no number here is from one of the papers' machines.",
    ]
    appendix = _appendix([v for v, _ in summed_up], source)
    return Told("\n\n".join(front), "\n\n".join(page) + "\n", appendix, picture)


def _appendix(headline: Sequence[Verdict], source: Source) -> str:
    """Each headline claim with its command, what that takes where nothing has run yet, and what to expect."""
    table, name = source.table, source.layout.name
    measured = {
        record.id: sum(t.rounds * t.median_s for run in record.runs for t in (*run.step, *run.inference))
        for record in read_costs(source.layout)
    }

    def taken(ids: Collection[str]) -> tuple[float, float]:
        """Seconds of the trainings and measurements of these records, and bytes of all that they leave."""
        of = table[table.id.isin(ids)]
        seconds = of[of.shared_training.isna()].train_time_s.sum() + sum(measured.get(i, 0.0) for i in ids)
        weights = of[of.method == "dense"].get("dense_bytes", pd.Series(dtype=float)).sum()
        return float(seconds), float(RECORD_BYTES * len(ids) + weights)

    rows = [("claim", "command", "minutes", "MB", "expected result")]
    for v in headline:
        about, (seconds, size) = CLAIMS[v.claim], taken(v.trials)
        again = f" --profile {name} --run" if about.kind != "energy" else ""
        takes = (f"{max(1, seconds / 60):.0f}", f"{max(1, size / 1e6):.0f}") if again else ("none", "none")
        expected = f"**{v.word}**" + (f": {_figure(v)}" if v.estimate else "")
        rows.append((f"{v.claim}: {about.text}", f"`paperlib claims {v.claim}{again}`", *takes, expected))
    seconds, size = taken([*table.id, *measured])
    memory = source.costs.rows.dense_memory_bytes.max()
    cpus = ", ".join(sorted(set(table.cpu)))
    return (
        f"{_markdown(rows)}\n\nMinutes and disk are those of the records behind each verdict in `results/{name}/` "
        f"({cpus}, 2 cores): trainings and rounds of measurements as they ran, without drawing. All of `{name}`, "
        f"{len(table)} trials and {len(measured)} cost records, is {seconds / 3600:.0f} hours and {size / 1e6:.0f} MB; "
        f"a training step needs up to {memory / 1e9:.1f} GB of memory. Claims on energy need no run: without a counter "
        "of energy none decides them."
    )


def _picture(folder: str, title: str) -> list[str]:
    return [f"![{title}]({folder}/balance.png)"] if title else []


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *body))


def _decided(all_verdicts: Sequence[Verdict], whose: Mapping[str, str]) -> Iterator[str]:
    """The claims that are decided, verdict by verdict, in our words with what was found; whose: marks by claim."""
    for word in DECIDED:
        of_word = [v for v in all_verdicts if v.base == word]
        if of_word:
            ids = ", ".join(v.claim for v in of_word)
            lines = "\n".join(
                f"- **{v.claim}**{whose.get(v.claim, '')} {CLAIMS[v.claim].text.rstrip('.')}: {_figure(v)}{_basis(v)}"
                for v in of_word
            )
            yield f"<details><summary>{len(of_word)} {word}: {ids}</summary>\n\n{lines}\n\n</details>"


def _dense(source: Source) -> Iterator[str]:
    """The dense accuracies beside published ones, of all sections in one table."""
    main = source.where(source.table.main_setting)
    sections = [section for number, section in SECTIONS.items() if section and number != COLLATION]
    world = [e for section in sections if (e := published.write(section.records(main), section.study))]
    if not world:
        return
    files = [output_root(source.layout) / next(f for f in e.files if f.endswith(".csv")) for e in world]
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
