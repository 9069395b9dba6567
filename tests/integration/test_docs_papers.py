"""The page on the papers: comments and verdicts may point to an anchor for every claim."""

import re
from typing import get_args

import pandas as pd

from paperlib.claims import CLAIMS
from paperlib.claims.notes import NOTES
from paperlib.claims.verdict import Base
from tests.conftest import ROOT


def test_every_claim_has_its_anchor_and_its_words() -> None:
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    lines = dict(re.findall(r'^- <a id="(\w+)"></a>\*\*\1\*\* \([^)]+\) (.*)$', page, re.MULTILINE))
    assert list(lines) == list(CLAIMS)
    said = {name: claim.text + (f" *{NOTES[name]}*" if name in NOTES else "") for name, claim in CLAIMS.items()}
    assert lines == said
    assert NOTES.keys() <= CLAIMS.keys()


def test_no_verdict_of_the_committed_results_changes_without_a_line_that_says_why() -> None:
    page = (ROOT / "docs" / "verdict_changes.md").read_text(encoding="utf-8")
    changes, _, first = page.partition("## The first ledger")
    lines = re.findall(r"^- ([a-z ]+): (.+)$", first, re.MULTILINE)
    ledger = {claim: base for base, ids in lines for claim in ids.split()}
    assert list(CLAIMS) == sorted(ledger, key=list(CLAIMS).index)
    rows = re.findall(r"^\| ([AC]\d+) \| ([a-z ]+) \| ([a-z ]+) \| (.+) \|$", changes, re.MULTILINE)
    for claim, before, after, why in reversed(rows):  # the newest stands first
        assert ledger[claim] == before, f"{claim} was {ledger[claim]}"
        assert after in get_args(Base) and len(why) > 20
        ledger[claim] = after
    committed = pd.read_csv(ROOT / "results" / "laptop" / "claims.csv").set_index("id").base
    assert committed.to_dict() == ledger, "say in docs/verdict_changes.md why"
