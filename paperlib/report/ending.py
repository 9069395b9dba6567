"""What a reproduction says at its end, in one screen: what ran, what was found, verdicts here and in the reference."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap

from paperlib.claims.cost_evidence import CostTable
from paperlib.claims.verdict import DECIDED
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.costs.records import cost_table, read_costs
from paperlib.report.agreement import agreement
from paperlib.report.committed import reference, reference_bases
from paperlib.report.cost_findings import Finding
from paperlib.report.findings import findings, headlines
from paperlib.report.freshness import is_current, mark_current, stored_fingerprint
from paperlib.trials.store import Store

COLUMNS, LINES = 80, 30
FINDINGS = 4
SHOWN = 5  # claims that are decided differently


def ending(layout: Layout, seconds: float, files: Sequence[Path]) -> list[str]:
    """At most LINES lines of COLUMNS characters on the results and the report in `layout`; only a path may be longer.

    seconds: that this run took; files: the report. All but these is kept beside the report while that is the same.
    """
    kept, report = layout.report / ".ending", stored_fingerprint(layout.report / "index.html")
    if not is_current(kept, report):
        write_atomically(kept, json.dumps(_body(layout)).encode())
        mark_current(kept, report)
    what, *body = json.loads(kept.read_text())
    took = f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    lines = [*_wrapped(f"Profile {layout.name}: {what}. This run took {took}."), *body]
    shown = [path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path for path in files]
    return [*lines[: LINES - len(files)], *(f"Report: {path}" for path in shown)]


def _body(layout: Layout) -> list[str]:
    """What was run, in a sentence, then the lines below it."""
    tidy, rows = Store(layout).table(), cost_table(read_costs(layout))
    entries = json.loads((layout.report / "claims.json").read_text())
    costs = CostTable(rows)
    what = f"{len(tidy)} trials and {len(set(rows.id)) if len(rows) else 0} cost records"
    found = headlines(tidy, costs, ())
    found += [f for f in findings(tidy, costs) if f not in found][: FINDINGS - len(found)]
    lines = ["What was found:", *(line for finding in found for line in _bullet(finding))]
    lines += _claims({entry["id"]: entry["base"] for entry in entries})
    return [what, *lines, *_wrapped(agreement(layout))]


def _bullet(finding: Finding) -> list[str]:
    return _wrapped(f"- {finding.lead}.", indent="  ")


def _claims(own: Mapping[str, str]) -> list[str]:
    """The verdicts here and in the reference, and which differ."""
    told, archive = [f"The papers' {len(own)} claims here: {_tally(own)}."], reference()
    if archive:
        theirs = reference_bases(archive)
        both = [i for i in own if own[i] in DECIDED and theirs.get(i) in DECIDED]
        differ = [f"{i} (here {own[i]}, there {theirs[i]})" for i in both if own[i] != theirs[i]]
        here = [i for i in own if own[i] in DECIDED and i not in both]
        there = [i for i in own if theirs.get(i) in DECIDED and i not in both]
        told.append(f"In the reference results/{archive.parent.name}: {_tally(theirs)}.")
        more = f" and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
        told.append(
            f"Decided differently: {', '.join(differ[:SHOWN]) or 'none'}{more}. Decided here alone: "
            f"{', '.join(here) or 'none'}; in the reference alone: {', '.join(there) or 'none'}."
        )
    return [line for text in told for line in _wrapped(text)]


def _tally(bases: Mapping[str, str]) -> str:
    return ", ".join(f"{n} {word}" for word, n in Counter(bases.values()).most_common())


def _wrapped(text: str, indent: str = "  ") -> list[str]:
    return wrap(text, COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
