"""The page on the papers: comments and verdicts may point to an anchor for every claim."""

import re

from paperlib.claims import CLAIMS
from tests.conftest import ROOT


def test_every_claim_has_its_anchor_and_its_words() -> None:
    page = (ROOT / "docs" / "papers.md").read_text(encoding="utf-8")
    lines = dict(re.findall(r'^- <a id="(\w+)"></a>\*\*\1\*\* \([^)]+\) (.*)$', page, re.MULTILINE))
    assert list(lines) == list(CLAIMS)
    assert [name for name, line in lines.items() if not line.startswith(CLAIMS[name].text)] == []
