"""The page on the papers: comments and verdicts may point to an anchor for every claim."""

import re

from paperlib.claims import CLAIMS
from paperlib.claims.notes import NOTES
from tests.conftest import ROOT


def test_every_claim_has_its_anchor_and_its_words() -> None:
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    lines = dict(re.findall(r'^- <a id="(\w+)"></a>\*\*\1\*\* \([^)]+\) (.*)$', page, re.MULTILINE))
    assert list(lines) == list(CLAIMS)
    said = {name: claim.text + (f" *{NOTES[name]}*" if name in NOTES else "") for name, claim in CLAIMS.items()}
    assert lines == said
    assert NOTES.keys() <= CLAIMS.keys()
