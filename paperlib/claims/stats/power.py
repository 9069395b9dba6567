"""How many repeats would decide what is undecided, with 80 % power at the means and the spread that were seen."""

import math
from collections.abc import Sequence, Set

import scipy  # loads scipy.stats, which takes a second, where it is first used

from paperlib.claims.stats.decisions import ALPHA, CLEAR, Comparison, Outcome

POWER = 0.8
MOST = 1_000  # repeats; a larger number is not named


def repeats_to_decide(
    family: Sequence[Comparison],
    said: Sequence[Outcome],
    pooled: Comparison,
    bounds: Sequence[float],
    margins: Sequence[float],
    accept: Set[Outcome],
    reject: Set[Outcome],
    share: float = 1.0,
) -> int | None:
    """Repeats (of each comparison) that decide a family; MOST + 1 where it takes more; None where no number does.

    family, bounds and margins as in `outcomes`, said: what it gave; pooled: the mean over the family. Of each
    undecided comparison that outcome is expected which its mean lets expect soonest, at the level that is used there.
    None where these outcomes decide nothing, since the settings differ, or one repeat alone says nothing of the spread.
    """
    if any(not c.df or c.n < 2 for c in family):
        return None
    closed, total = CLEAR | accept | reject, len(family)
    levels = {side: ALPHA / 2 if side in accept else ALPHA / 2 / total for side in _SIDES}  # Holm's strictest
    expected = [
        (c.n, word) if word in closed else _soonest(c, c.df // (c.n - 1), bound, margin, levels, accept)
        for c, word, bound, margin in zip(family, said, bounds, margins, strict=True)
    ]

    def ranked(words: Set[Outcome]) -> list[int]:
        return sorted(n for n, word in expected if word in words)

    good, bad, none = ranked(accept), ranked(reject), ranked({"none"})
    needed, half, ways = math.ceil(share * total - 1e-9), math.ceil(total / 2), list[int | None]()
    bound, margin = sum(bounds) / total, sum(margins) / total
    if len(good) >= needed:
        ways.append(good[needed - 1])
    if len(bad) > total - needed:
        ways.append(bad[total - needed])
    if share == 1:
        ways += [_repeats(pooled, 1, _distances(pooled, side, bound, margin), ALPHA / 4) for side in _SIDES & reject]
    if "none" not in accept | reject and len(none) >= half and not ranked(_SIDES):
        of_mean = _repeats(pooled, 1, _distances(pooled, "none", bound, margin), ALPHA)
        ways.append(of_mean and max(of_mean, none[half - 1]))
    return min((n for n in ways if n is not None), default=None)


_SIDES: Set[Outcome] = {"below", "above"}


def _soonest(
    c: Comparison, arms: int, bound: float, margin: float, levels: dict[Outcome, float], accept: Set[Outcome]
) -> tuple[int, Outcome]:
    """(repeats, outcome) of the first one that such a mean lets expect; arms: those that share the variance."""
    words: list[Outcome] = ["below", "above", "none", *sorted(accept & {"not below", "not above"})]
    found = {w: _repeats(c, arms, _distances(c, w, bound, margin), levels.get(w, ALPHA)) for w in words}
    known: list[tuple[int, Outcome]] = [(n, word) for word, n in found.items() if n is not None]
    return min(known, key=lambda one: one[0], default=(MOST + 1, "unclear"))


def _distances(c: Comparison, word: Outcome, bound: float, margin: float) -> list[float]:
    """How far inside each boundary of an outcome the mean lies; below 0 where it lies outside."""
    return {
        "below": [-bound - c.mean],
        "above": [c.mean - bound],
        "none": [c.mean + margin, margin - c.mean],
        "not below": [c.mean + margin],
        "not above": [margin - c.mean],
        "unclear": [],
    }[word]


def _repeats(c: Comparison, arms: int, distances: Sequence[float], level: float) -> int | None:
    """The fewest with which one-sided t tests against all these boundaries are passed; None where they cannot be."""
    if min(distances) <= 0:
        return None
    spread = c.error * c.n**0.5

    def is_enough(n: int) -> bool:
        df, t = arms * (n - 1), spread / n**0.5
        limit = scipy.special.stdtrit(df, 1 - level)
        missed = sum(float(scipy.special.nctdtr(df, distance / t, limit)) if t else 0.0 for distance in distances)
        return 1 - missed >= POWER

    low, high = 1, MOST + 1  # more repeats, more power
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high
