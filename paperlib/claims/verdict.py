"""What a claim amounts to here: one word, the figures under it, and the trials that they come from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from paperlib.claims.stats import Estimate

Base = Literal[
    "supported", "contradicted", "inside the noise", "inconclusive", "internally inconsistent", "untestable here"
]
Kind = Literal["accuracy", "time", "energy", "memory", "count", "internal consistency"]
# Which part decides when a claim says several things: the weakest.
_WEAKEST: tuple[Base, ...] = (
    "internally inconsistent", "contradicted", "inside the noise", "untestable here", "inconclusive", "supported"
)  # fmt: skip

_CAVEATS = ("images", "energy", "memory", "training")  # order of their last words


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict: what every test of a claim returns.

    base: the word. reason: why it is inconclusive or untestable; it stands behind the word. caveats: what stands in
    for the real thing (`stand-in images`, `small images`); part of the word. estimate: the pooled effect in
    `unit` (`points`, `%`, `ratio`, `s`, `J`, …), None where nothing was measured. floor: the noise floor, or the
    margin of a claim of equality, in that unit, for ratios the distance from 1; None without one. p: exact
    sign-flip test of the pooled effect against none; None for one seed. detail: what was found. needs: what it takes
    to decide, never empty. provenance: data sets and sources of the images. trials: ids of those it rests on.
    claim: its id, which `verdicts` fills in.
    """

    base: Base
    reason: str = ""
    caveats: tuple[str, ...] = ()
    estimate: Estimate | None = None
    unit: str = ""
    floor: float | None = None
    p: float | None = None
    detail: str = ""
    needs: str = ""
    provenance: str = ""
    trials: tuple[str, ...] = ()
    claim: str = ""

    @property
    def word(self) -> str:
        """`supported`, `supported (stand-in images)`, `inconclusive (needs more seeds)`."""
        inside = "; ".join(filter(None, (self.reason, *self.caveats)))
        return f"{self.base} ({inside})" if inside else self.base

    @property
    def n(self) -> int:
        """Seeds under the estimate."""
        return self.estimate.n if self.estimate else 0

    def figure(self) -> str:
        """The estimate with its interval as a reader wants it, or a dash."""
        if self.estimate is None:
            return "–"
        if self.unit == "ratio":
            return "×" + self.estimate.text(digits=3)
        if self.unit in {"points", "%"}:
            return f"{self.estimate.text()} {self.unit}"
        return f"{self.estimate.text(digits=3)} {self.unit}".strip()

    def floor_text(self) -> str:
        """The noise floor or margin in the unit of the estimate (of a ratio in per cent), or a dash."""
        if self.floor is None:
            return "–"
        return f"±{self.floor:.1%}" if self.unit == "ratio" else f"±{self.floor:.3g} {self.unit}".strip()


def between(supported: bool, contradicted: bool, lack: str) -> tuple[Base, str]:
    """(base, reason) of a test with two bounds; `lack` is what is missing if neither is crossed."""
    return ("supported", "") if supported else ("contradicted", "") if contradicted else ("inconclusive", lack)


def join(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim with several parts: its weakest part decides, the others stay in the detail."""
    base = min((v.base for v in verdicts), key=_WEAKEST.index)
    deciding = [v for v in verdicts if v.base == base]
    caveats = {word for v in deciding for word in v.caveats}
    return replace(
        deciding[0],
        reason=_listed(v.reason for v in deciding),
        caveats=tuple(sorted(caveats, key=lambda word: (_CAVEATS.index(word.split()[-1]), word))),
        detail="; ".join(f"{v.detail}: {v.base}" if v.detail else v.base for v in verdicts),
        needs=_listed(v.needs for v in verdicts),
        provenance=_listed(v.provenance for v in verdicts),
        trials=tuple(sorted({i for v in verdicts for i in v.trials})),
    )


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))


def deny(verdict: Verdict) -> Verdict:
    """The verdict on the opposite claim; an effect inside the noise also speaks for `does not`."""
    if verdict.base not in {"supported", "contradicted", "inside the noise"}:
        return verdict
    return replace(verdict, base="contradicted" if verdict.base == "supported" else "supported", reason="")


def inconsistent(why: str, ours: Verdict) -> Verdict:
    """The claim contradicts its own paper; what our records say stands in the detail."""
    detail = f"our records: {ours.word}" + (f"; {ours.detail}" if ours.detail else "")
    return replace(ours, base="internally inconsistent", reason=why, detail=detail)
