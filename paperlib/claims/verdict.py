"""What a claim amounts to here: one word, the figures under it, and the trials that they come from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from paperlib.claims.settings import Setting
from paperlib.claims.stats import Estimate
from paperlib.claims.stats.decisions import Outcome

Base = Literal[
    "supported", "contradicted", "no effect", "too noisy to tell", "inconclusive", "by definition",
    "equal by definition", "internally inconsistent", "compares unlike quantities", "untestable here",
]  # fmt: skip
Kind = Literal["accuracy", "time", "energy", "memory", "count", "internal consistency"]
DECIDED: tuple[Base, ...] = (
    "supported", "contradicted", "no effect", "by definition", "equal by definition", "internally inconsistent",
    "compares unlike quantities",
)  # fmt: skip
UNDECIDED: tuple[Base, ...] = ("too noisy to tell", "inconclusive")
MODELLED = "modelled energy is computed from CPU time"
# Which part decides when a claim says several things: the weakest.
_WEAKEST: tuple[Base, ...] = (
    "internally inconsistent", "compares unlike quantities", "contradicted", "equal by definition", "untestable here",
    "no effect", "too noisy to tell", "inconclusive", "by definition", "supported",
)  # fmt: skip

_CAVEATS = ("images", "energy", "memory", "converged")  # order of their last words


Asked = Literal["lower", "higher", "not higher", "not lower", "equal", "in range"]
Range = tuple[float, float]


@dataclass(frozen=True)
class Compared:
    """One setting of a family of comparisons, in the unit of the family.

    label: the setting, with what it is held against unless that is dense. outcome: what its test says; speaks: for or
    against what is asked. estimate: with the 95 % interval that decided; own: with that of its own values alone; None
    where it was not measured. margin: the ends between which a difference does not matter, or of what is claimed;
    floor: those of the A/A noise, None where the margin decides.
    """

    setting: Setting
    label: str
    outcome: Outcome | Literal["not measured", "dense hardly learns", "equal by definition"] = "not measured"
    speaks: Literal["for", "against", "neither"] = "neither"
    estimate: Estimate | None = None
    own: Estimate | None = None
    margin: Range | None = None
    floor: Range | None = None


@dataclass(frozen=True)
class Family:
    """What one test compared. asked: of the quantity against the reference (level: of the quantity itself), in `needed`
    of the settings or more; denied: the claim is the opposite."""

    title: str
    unit: str
    asked: Asked
    needed: int
    compared: tuple[Compared, ...]
    level: bool = False
    denied: bool = False


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict: what every test of a claim returns.

    base: the word. reason: within what there is no effect, how noisy it is, why it is inconclusive or untestable; it
    stands behind the word. caveats: what stands in
    for the real thing (`stand-in images`, `small images`); part of the word. estimate: the pooled effect in
    `unit` (`points`, `%`, `ratio`, `s`, `J`, …), None where nothing was measured. floor: what decided, the noise floor
    of that network or the margin, in that unit, for ratios the distance from 1; None without one. p: of the test that
    decided, corrected for its family; None where nothing is decided. detail: what was found. needs: what it takes
    to decide, never empty. provenance: data sets and sources of the images. trials: ids of those it rests on.
    what: the quantity that was judged. families: the comparisons of each part. seeds, processes: how many of trials or
    of costs decide it with 80 % power at the spread that was seen (beyond `stats.power.MOST` not counted); None where
    it is decided, or no number does. claim: its id, which `verdicts` fills in.
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
    what: str = ""
    families: tuple[Family, ...] = ()
    seeds: int | None = None
    processes: int | None = None
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
    """The verdict on a claim with several parts: its weakest part decides, the others stay in the detail.

    The first part, of the claim's own kind, gives the figures; where another one decides, the word names it. Time and
    modelled energy are one measurement, which is counted once: beside a part on time such a part decides nothing.
    """
    timed = any(v.unit == "ratio" and "time" in v.what for v in verdicts)
    counted = [v for v in verdicts if not timed or v.reason != MODELLED]
    base = min((v.base for v in counted), key=_WEAKEST.index)
    deciding = [v for v in counted if v.base == base]
    caveats = {word for v in deciding for word in v.caveats}
    shown = deciding if base == "equal by definition" else counted  # no figure of another part stands for it
    first = next((v for v in shown if v.estimate), deciding[0])
    named = base in DECIDED and first not in deciding
    return replace(
        first,
        base=base,
        reason=_listed(" ".join(filter(None, (v.what * named, v.reason))) for v in deciding),
        caveats=tuple(sorted(caveats, key=lambda word: (_CAVEATS.index(word.split()[-1]), word))),
        p=first.p if first in deciding else None,  # another part's says nothing of this word
        detail="; ".join(_part(v) for v in verdicts),
        needs=_listed(v.needs for v in verdicts),
        provenance=_listed(v.provenance for v in verdicts),
        trials=tuple(sorted({i for v in verdicts for i in v.trials})),
        families=tuple(family for v in verdicts for family in v.families),
        seeds=max((v.seeds for v in deciding if v.seeds), default=None),
        processes=max((v.processes for v in deciding if v.processes), default=None),
    )


def strongest(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim that one of several readings makes true: the strongest decides."""
    best = max(verdicts, key=lambda v: _WEAKEST.index(v.base))
    families = [family for v in verdicts for family in v.families]
    whole = tuple(one for family in families for one in family.compared)
    return replace(
        best,
        detail="; ".join(_part(v) for v in verdicts),
        needs=_listed(v.needs for v in verdicts),
        families=tuple(replace(family, needed=1, compared=whole) for family in families[:1]),
    )


def _part(verdict: Verdict) -> str:
    word = verdict.base if verdict.p is None else f"{verdict.base}, p = {verdict.p:.2g}"
    return f"{verdict.detail}: {word}" if verdict.detail else word


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, texts)))


def deny(verdict: Verdict) -> Verdict:
    """The verdict on the opposite claim; no effect also speaks for `does not`, as does what is equal by definition."""
    verdict = replace(verdict, families=tuple(replace(family, denied=not family.denied) for family in verdict.families))
    if verdict.base == "equal by definition":
        return replace(verdict, base="by definition")
    if verdict.base not in {"supported", "contradicted", "no effect"}:
        return verdict
    return replace(verdict, base="contradicted" if verdict.base == "supported" else "supported", reason="")


def flawed(base: Base, why: str, ours: Verdict) -> Verdict:
    """The claim contradicts its own paper, or compares what cannot be; what our records say stands in the detail."""
    detail = f"our records: {ours.word}" + (f"; {ours.detail}" if ours.detail else "")
    return replace(ours, base=base, reason=why, detail=detail)
