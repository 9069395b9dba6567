"""From an estimate to a word: exact tests for few seeds, equivalence, Holm's correction, the noise rule."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import scipy  # loads scipy.stats, which takes a second, where it is first used
from numpy.typing import ArrayLike, NDArray

ALPHA = 0.05
Outcome = Literal["below", "none", "above", "unclear"]


def sign_flip_p(differences: ArrayLike) -> float | None:
    """Two-sided p of "the paired differences are symmetric around 0": exact up to 12 seeds, else 9,999 draws.

    With n seeds it cannot fall below 2 / 2**n, and says so; None for fewer than two differences.
    """
    x = np.asarray(differences, float)
    if len(x) < 2:
        return None
    if len(x) > 12:
        test = scipy.stats.permutation_test((x,), np.mean, permutation_type="samples", n_resamples=9_999, rng=0)
        return float(test.pvalue)
    # The same for every choice of signs (a test says so), without loading scipy.stats.
    signs = 1 - 2 * (np.arange(2 ** len(x))[:, None] >> np.arange(len(x)) & 1)
    means, found = (signs * x).mean(1), x.mean()
    rounding = abs(found) * 100 * np.finfo(float).eps
    return min(1.0, 2 * float(min((means <= found + rounding).mean(), (means >= found - rounding).mean())))


def tost_p(differences: ArrayLike, margin: float) -> float | None:
    """p of "the mean difference lies outside ±margin" (two one-sided t tests); None for fewer than two."""
    x = np.asarray(differences, float)
    if len(x) < 2:
        return None
    if np.ptp(x) == 0:  # no spread at all: the mean is known
        return 0.0 if abs(x[0]) < margin else 1.0
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
    """p values corrected for their number (Holm), in the same order."""
    # statsmodels.multipletests gives the same (a test says so) but takes 0.1 s a call.
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    raised = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return raised[np.argsort(order)]


def outcomes(
    family: Sequence[ArrayLike], margins: Sequence[float], *, equivalence: bool, claimed: set[Outcome]
) -> list[Outcome]:
    """What each comparison of one family says.

    family: the paired differences of each comparison. margins: of each the noise floor, or for `equivalence` the
    difference that still counts as comparable. `below` and `above`: the mean lies beyond the margin (one-sided,
    2.5 %); Holm-corrected where that would speak against the claim, since one such comparison is enough for it;
    uncorrected where it is `claimed`, since there every one is needed. `none`: by TOST under `equivalence`, else
    a mean inside the noise floor. One seed is always `unclear`.
    """
    tails = [beyond_p(x, margin) for x, margin in zip(family, margins, strict=True)]
    raw = np.array(tails).reshape(-1, 2).T
    words: list[Outcome] = ["below", "above"]
    p = {w: row if w in claimed else holm(row) for w, row in zip(words, raw, strict=True)}
    found: list[Outcome] = []
    for i, (x, margin) in enumerate(zip((np.asarray(d, float) for d in family), margins, strict=True)):
        beyond = next((w for w in words if p[w][i] < ALPHA / 2), None)
        if beyond is not None:
            found.append(beyond)
        elif equivalence:
            same = tost_p(x, margin)
            found.append("none" if same is not None and same < ALPHA else "unclear")
        else:
            found.append("none" if len(x) > 1 and abs(x.mean()) <= margin else "unclear")
    return found
