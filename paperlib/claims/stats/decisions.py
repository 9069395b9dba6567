"""From paired differences to a word: one-sided tests, equivalence, non-inferiority, Holm's correction.

Written out where importing scipy.stats or statsmodels would cost `paperlib claims ID` a second; tests hold them
against both.
"""

from collections.abc import Hashable, Sequence, Set
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy  # loads scipy.stats, which takes a second, where it is first used
from numpy.typing import ArrayLike, NDArray

ALPHA = 0.05
WIDER = 1.1  # times the pooled variance: beyond it a comparison has its own
Outcome = Literal["below", "not above", "none", "not below", "above", "unclear"]
CLEAR: Set[Outcome] = {"below", "none", "above"}


@dataclass(frozen=True)
class Comparison:
    """Mean of n paired differences, its standard error and the error's degrees of freedom (0: none can be told)."""

    mean: float
    error: float
    df: int
    n: int

    def p_below(self, bound: float) -> float:
        """p of "the mean is `bound` or more", a one-sided t test; 1 for fewer than two differences."""
        if self.n < 2 or not self.df:
            return 1.0
        if not self.error:  # without any spread the mean is known
            return float(self.mean >= bound)
        return float(scipy.special.stdtr(self.df, (self.mean - bound) / self.error))

    def p_above(self, bound: float) -> float:
        """p of "the mean is `bound` or less"."""
        return Comparison(-self.mean, self.error, self.df, self.n).p_below(-bound)

    def p_within(self, margin: float) -> float:
        """p of "the mean lies outside ±margin" (two one-sided t tests)."""
        return max(self.p_below(margin), self.p_above(-margin))

    @property
    def half_width(self) -> float:
        """Half of the 95 % interval; infinite where there is none."""
        return float(scipy.special.stdtrit(self.df, 1 - ALPHA / 2)) * self.error if self.df else np.inf


def comparisons(family: Sequence[ArrayLike], cells: Sequence[Hashable]) -> list[Comparison]:
    """The comparisons of a family, one value per seed each; those of one cell share their pooled variance.

    Two degrees of freedom of a single comparison of three seeds would throw away what the others of the same data set
    and network say of the spread. Spreads need not be equal, and of three seeds no test could tell: where a
    comparison's own variance is larger than the pooled one it counts, with its own degrees of freedom. One without a
    second seed has none of its own and decides nothing.
    """
    samples = [np.asarray(x, float) for x in family]
    squares, df = dict[Hashable, float](), dict[Hashable, int]()
    for x, cell in zip(samples, cells, strict=True):
        squares[cell] = squares.get(cell, 0.0) + float(((x - x.mean()) ** 2).sum())
        df[cell] = df.get(cell, 0) + len(x) - 1

    def comparison(x: NDArray[np.float64], cell: Hashable) -> Comparison:
        n, variance, freedom = len(x), squares[cell] / max(df[cell], 1), df[cell]
        if n > 1 and (own := float(x.var(ddof=1))) > WIDER * variance:
            variance, freedom = own, n - 1
        return Comparison(float(x.mean()), (variance / n) ** 0.5, freedom, n)

    return list(map(comparison, samples, cells))


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p values corrected for their number (Holm 1979), in the same order; as `statsmodels` `multipletests`."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return raised[np.argsort(order)]


def outcomes(
    family: Sequence[Comparison], bounds: Sequence[float], margins: Sequence[float], claimed: Set[Outcome]
) -> list[tuple[Outcome, float]]:
    """What each comparison of one family says, with the p that says so.

    `below` and `above`: the mean lies beyond ±bound (one-sided, 2.5 %): of a cost the noise floor, of a score 0, or the
    margin where equality is claimed. Holm-corrected where that would speak against the claim, since one such comparison
    is enough for it; uncorrected where it is `claimed`, since there every one is needed. Else `none`: inside ±margin by
    two one-sided tests (5 %), the margin being the smallest difference that matters; `not below` and `not above`: one
    of the two alone, which is non-inferiority; else `unclear`, as one seed always is.
    """
    sides: tuple[Outcome, Outcome] = ("below", "above")
    raw = [
        [c.p_below(-bound) for c, bound in zip(family, bounds, strict=True)],
        [c.p_above(bound) for c, bound in zip(family, bounds, strict=True)],
    ]
    p = {side: row if side in claimed else holm(row) for side, row in zip(sides, raw, strict=True)}

    def outcome(place: int, c: Comparison, margin: float) -> tuple[Outcome, float]:
        for side in sides:
            if p[side][place] < ALPHA / 2:
                return side, float(p[side][place])
        not_below, not_above = c.p_above(-margin), c.p_below(margin)
        if max(not_below, not_above) < ALPHA:
            return "none", max(not_below, not_above)
        if min(not_below, not_above) >= ALPHA:
            return "unclear", 1.0
        return ("not below", not_below) if not_below < ALPHA else ("not above", not_above)

    return [outcome(i, c, margin) for i, (c, margin) in enumerate(zip(family, margins, strict=True))]
