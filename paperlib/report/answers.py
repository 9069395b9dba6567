"""Verdicts from one's own records where these decide, else from the committed reference, and which of the two it is."""

from collections.abc import Sequence
from typing import NamedTuple

from paperlib.claims import CLAIMS, Claim, Verdict, verdicts
from paperlib.claims.verdict import DECIDED
from paperlib.report.committed import Tables, reference_tables


class Answer(NamedTuple):
    """verdict: the one that holds; tables: those that gave it; own: what one's own records say."""

    verdict: Verdict
    tables: Tables
    own: Verdict

    @property
    def source(self) -> str:
        """`own` or `reference`."""
        return "reference" if self.tables.whose.endswith("committed") else "own"


def answers(own: Tables, asked: Sequence[Claim] | None = None) -> list[Answer]:
    """An answer to each of these claims, or to all; the reference's where it decides and `own` does not."""
    ours = verdicts(own.trials, asked, own.costs)
    lacking = [CLAIMS[v.claim] for v in ours if v.base not in DECIDED]
    # Where there are no own records, `own` is the reference already.
    reference = reference_tables() if lacking and not own.whose.endswith("committed") else None
    theirs = verdicts(reference.trials, lacking, reference.costs) if reference else []
    better = {v.claim: v for v in theirs if v.base in DECIDED}
    return [
        Answer(better[v.claim], reference, v) if reference and v.claim in better else Answer(v, own, v) for v in ours
    ]
