"""From paired differences to a word: exact tests for few seeds, equivalence, Holm's correction, the noise rule.

Written out where importing scipy.stats or statsmodels would cost `paperlib claims ID` a second; tests hold them
against both.
"""

from collections.abc import Sequence, Set
from typing import Literal

import numpy as np
import scipy  # loads scipy.stats, which takes a second, where it is first used
from numpy.typing import ArrayLike, NDArray

ALPHA = 0.05
Outcome = Literal["below", "none", "above", "unclear"]


def sign_flip_p(differences: ArrayLike) -> float | None:
    """Two-sided p of "the paired differences are symmetric around 0": exact up to 12 seeds, else 9,999 draws.

    With n seeds it cannot fall below 2 / 2**n; None for fewer than two differences.
    """
    x = np.asarray(differences, float)
    if len(x) < 2:
        return None
    if len(x) > 12:
        test = scipy.stats.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=9_999, rng=0)
        return float(test.pvalue)
    signs = 1 - 2 * (np.arange(2 ** len(x))[:, None] >> np.arange(len(x)) & 1)
    means, mean = (signs * x).mean(1), x.mean()
    rounding = abs(mean) * 100 * np.finfo(float).eps
    return min(1.0, 2 * float(min((means <= mean + rounding).mean(), (means >= mean - rounding).mean())))


def tost_p(differences: ArrayLike, margin: float) -> float:
    """p of "the mean difference lies outside ±margin" (two one-sided t tests); 1 for fewer than two differences."""
    x = np.asarray(differences, float)
    if len(x) < 2 or np.ptp(x) == 0:  # without any spread the mean is known
        return 0.0 if len(x) > 1 and abs(x[0]) < margin else 1.0
    from statsmodels.stats.weightstats import DescrStatsW

    return float(DescrStatsW(x).ttost_mean(-margin, margin)[0])


def beyond_p(differences: ArrayLike, margin: float) -> tuple[float, float]:
    """(p of "not below -margin", p of "not above +margin"), one-sided t tests; (1, 1) for fewer than two."""
    x = np.asarray(differences, float)
    if len(x) < 2:
        return 1.0, 1.0
    if np.ptp(x) == 0:
        return float(x[0] >= -margin), float(x[0] <= margin)
    error = x.std(ddof=1) / len(x) ** 0.5
    below, above = scipy.special.stdtr(len(x) - 1, [(x.mean() + margin) / error, (margin - x.mean()) / error])
    return float(below), float(above)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """p values corrected for their number (Holm 1979), in the same order; as `statsmodels` `multipletests`."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return raised[np.argsort(order)]


def outcomes(
    family: Sequence[ArrayLike], margins: Sequence[float], *, equivalence: bool, claimed: Set[Outcome]
) -> list[Outcome]:
    """What each comparison of one family says.

    family: the paired differences of each comparison, one per seed. margins: of each, in the same unit, the noise
    floor, or for `equivalence` the difference that still counts as comparable. `below` and `above`: the mean lies
    beyond the margin (one-sided, 2.5 %); Holm-corrected where that would speak against the claim, since one such
    comparison is enough for it; uncorrected where it is `claimed`, since there every one is needed. `none`: by TOST
    under `equivalence`, else a mean inside the noise floor. One seed is always `unclear`.
    """
    sides: tuple[Outcome, Outcome] = ("below", "above")
    raw = np.array([beyond_p(x, margin) for x, margin in zip(family, margins, strict=True)]).reshape(-1, 2).T
    p = {side: row if side in claimed else holm(row) for side, row in zip(sides, raw, strict=True)}

    def outcome(place: int, x: NDArray[np.float64], margin: float) -> Outcome:
        if beyond := [side for side in sides if p[side][place] < ALPHA / 2]:
            return beyond[0]
        equal = tost_p(x, margin) < ALPHA if equivalence else len(x) > 1 and abs(x.mean()) <= margin
        return "none" if equal else "unclear"

    return [outcome(i, np.asarray(x, float), margin) for i, (x, margin) in enumerate(zip(family, margins, strict=True))]
