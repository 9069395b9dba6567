"""A verdict on each of the 69 claims of both papers, computed from the records of a profile."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pandas as pd

from paperlib.claims import accuracy, costs, facts  # noqa: F401 (they declare the claims)
from paperlib.claims.evidence import Evidence
from paperlib.claims.ledger import CLAIMS, Claim, claim
from paperlib.claims.verdict import Verdict
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.core.registry import unknown
from paperlib.costs.records import cost_table, read_costs
from paperlib.trials.store import Store

__all__ = ["CLAIMS", "Claim", "Evidence", "Verdict", "claim", "find", "table", "tally", "verdicts", "write"]

for _id in sorted(CLAIMS, key=lambda name: (name[0], int(name[1:]))):
    CLAIMS[_id] = CLAIMS.pop(_id)  # the order of the papers


def find(name: str) -> Claim:
    """The claim of this id, in any case; PaperlibError with the nearest one if there is none."""
    if name.upper() not in CLAIMS:
        raise unknown("claim", name, list(CLAIMS))
    return CLAIMS[name.upper()]


def verdicts(
    tidy: pd.DataFrame,
    claims: Iterable[Claim] | None = None,
    measured: pd.DataFrame | None = None,
    strictness: float = 1.0,
) -> list[Verdict]:
    """Verdicts in the ledger's order on the tables of `trials.store.tidy` and (`measured`) `costs.records.cost_table`.

    Empty tables will do. strictness: a factor on the margins inside which a difference does not matter.
    """
    evidence = replace(Evidence.of(tidy, measured), strictness=strictness)
    return [replace(c.test(evidence), claim=c.id) for c in (CLAIMS.values() if claims is None else claims)]


def tally(decided: Iterable[Verdict], qualified: bool = False) -> dict[str, int]:
    """How many claims got which verdict, most frequent first; `qualified` keeps `(stand-in images)` apart."""
    words = (" ".join([v.base, *(f"({'; '.join(v.caveats)})" for _ in v.caveats[:1] if qualified)]) for v in decided)
    return dict(Counter(words).most_common())


def table(decided: Iterable[Verdict]) -> pd.DataFrame:
    """One row per claim, for csv, the notebook's sortable table and the report."""
    rows = []
    for v in decided:
        about, e = CLAIMS[v.claim], v.estimate
        rows.append(
            {
                "id": v.claim, "section": about.section, "kind": about.kind, "claim": about.text, "verdict": v.word,
                "base": v.base, "estimate": e.mean if e else None, "low": e.low if e else None,
                "high": e.high if e else None, "unit": v.unit, "n": v.n, "noise_floor": v.floor, "p": v.p,
                "detail": v.detail, "needs": v.needs, "images": v.provenance, "trials": " ".join(v.trials),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def write(layout: Layout) -> list[Verdict]:
    """Write results/<profile>/claims.csv and claims.json; returns the verdicts."""
    decided = verdicts(Store(layout).table(), measured=cost_table(read_costs(layout)))
    rows = table(decided)
    write_atomically(layout.results / "claims.csv", rows.to_csv(index=False).encode())
    entries = [
        {k: (None if pd.isna(x) else x) for k, x in row.items()} | {"trials": list(v.trials)}
        for row, v in zip(rows.to_dict("records"), decided, strict=True)
    ]
    write_atomically(
        layout.results / "claims.json", (json.dumps(entries, indent=1, ensure_ascii=False) + "\n").encode()
    )
    return decided
