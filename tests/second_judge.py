"""The rule of docs/verdicts.md written anew, for the second route: numpy, scipy and statsmodels alone."""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import t
from statsmodels.api import OLS
from statsmodels.stats.multitest import multipletests

Sample = pd.Series  # one value per seed or process, which is its index
Figure = tuple[float, float | None, float | None]  # an estimate and its 95 % interval
WEAKEST = (
    "contradicted", "equal by definition", "untestable here", "no effect", "too noisy to tell", "inconclusive",
    "supported",
)  # fmt: skip


class Part(NamedTuple):
    """One test of a claim. modelled: its energy is; timed: it is about time; compared: by kind the figures of its
    settings."""

    base: str
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    modelled: bool = False
    timed: bool = False
    compared: tuple[tuple[str, Figure], ...] = ()


def regressions(samples: Sequence[Sample], cells: Sequence[Hashable]) -> list[tuple[float, float, float, int]]:
    """(mean, standard error, degrees of freedom, n) of each, by regression on the arms of its cell."""
    found: list[tuple[float, float, float, int]] = [(0.0, 0.0, 0.0, 0)] * len(samples)
    for cell in set(cells):
        places = [place for place, other in enumerate(cells) if other == cell]
        sizes = [len(samples[place]) for place in places]
        design = np.repeat(np.eye(len(places)), sizes, axis=0)
        fitted = OLS(np.concatenate([samples[place] for place in places]), design).fit()
        errors = fitted.bse if fitted.df_resid else np.zeros(len(places))
        for place, mean, error, n in zip(places, fitted.params, errors, sizes, strict=True):
            found[place] = float(mean), float(error), float(fitted.df_resid), n
            if n > 1 and samples[place].var() > 1.1 * fitted.mse_resid:  # wider than its cell
                found[place] = float(mean), float(samples[place].sem()), n - 1.0, n
    return found


def p_above(fit: tuple[float, float, float, int], bound: float) -> float:
    mean, error, df, n = fit
    if n < 2 or not df:
        return 1.0
    if error < 1e-12:
        return float(mean <= bound)
    return float(t(df).sf((mean - bound) / error))


def p_below(fit: tuple[float, float, float, int], bound: float) -> float:
    return p_above((-fit[0], *fit[1:]), -bound)


class Rule(NamedTuple):
    """accept and reject: words for and against; wide: `below` and `above` begin at the margin."""

    accept: set[str]
    reject: set[str]
    wide: bool = False
    share: float = 1.0


BELOW, ABOVE = Rule({"below"}, {"above"}), Rule({"above"}, {"below"})
NOT_BELOW, NOT_ABOVE = (
    Rule({side, "none", f"not {other}"}, {other}, wide=True) for side, other in (("above", "below"), ("below", "above"))
)
SAME = Rule({"none"}, {"below", "above"}, wide=True)
RANGE = SAME  # around the middle of what is claimed


def figure(mean: float, half: float, possible: tuple[float, float], shown: Callable[[float], float]) -> Figure:
    """An estimate with its interval, cut to what the quantity can be, in the unit that is shown."""
    if not math.isfinite(half):
        return shown(mean), None, None
    return shown(mean), shown(max(mean - half, min(possible[0], mean))), shown(min(mean + half, max(possible[1], mean)))


def judge(
    samples: Sequence[Sample | None], cells: Sequence[Hashable], rule: Rule, bounds: Sequence[Any],
    margins: Sequence[float], *, kind: str = "difference", modelled: bool = False, timed: bool = False,
    scale: float = 100, middle: float = 0.0, possible: tuple[float, float] = (-math.inf, math.inf),
) -> Part:  # fmt: skip
    """The rule. kind: of the comparisons, a `ratio` among others; middle: of the range that is claimed; possible: what
    a value can be."""
    found = [each for each in zip(samples, cells, bounds, margins, strict=True) if each[0] is not None]
    if not found:
        return Part("inconclusive")
    taken, of, bounds, margins = zip(*found, strict=True)
    per_seed = pd.concat(taken, axis=1).mean(axis=1)

    def shown(value: float) -> float:
        return float(np.exp(value)) if "ratio" in kind else scale * float(value)

    half = t.ppf(0.975, len(per_seed) - 1) * per_seed.sem() if len(per_seed) > 1 else math.inf
    figures = dict(zip(("estimate", "low", "high"), figure(per_seed.mean(), half, possible, shown), strict=True))
    if None in bounds:
        return Part("inconclusive", **figures, timed=timed)
    fits = regressions([x - middle for x in taken], of)
    halves = [t.ppf(0.975, df) * error if df else math.inf for _, error, df, _ in fits]
    compared = tuple(
        (kind, figure(fit[0] + middle, half, possible, shown)) for fit, half in zip(fits, halves, strict=True)
    )
    if modelled:
        return Part("untestable here", **figures, modelled=True, compared=compared)
    per_seed = per_seed - middle
    p = {"below": [p_below(fit, -b) for fit, b in zip(fits, bounds, strict=True)]}
    p["above"] = [p_above(fit, b) for fit, b in zip(fits, bounds, strict=True)]
    corrected = {side: multipletests(row, method="holm")[1] for side, row in p.items()}
    p = {side: row if side in rule.accept else corrected[side] for side, row in p.items()}
    words = []
    for place, (fit, margin) in enumerate(zip(fits, margins, strict=True)):
        enough = {"not below": p_above(fit, -margin) < 0.05, "not above": p_below(fit, margin) < 0.05}
        beyond = [side for side in ("below", "above") if p[side][place] < 0.025]
        within = "none" if all(enough.values()) else next((word for word, is_so in enough.items() if is_so), "unclear")
        words.append(beyond[0] if beyond else within)
    total = len(samples)
    needed = math.ceil(rule.share * total - 1e-9)
    good, bad = (sum(word in side for word in words) for side in (rule.accept, rule.reject))
    (mean,), bound = regressions([per_seed], [0]), float(np.mean(bounds))
    of_mean = {"below": p_below(mean, -bound), "above": p_above(mean, bound)}
    against = rule.share == 1 and any(q < 0.0125 and side in rule.reject for side, q in of_mean.items())
    margin = float(np.mean(margins))
    equal = max(p_below(mean, margin), p_above(mean, -margin)) < 0.05
    no_effect = min(q for row in corrected.values() for q in row) >= 0.025
    unclear = sum(word not in {"below", "none", "above"} for word in words)
    if good >= needed:
        base = "supported"
    elif bad > total - needed or against:
        base = "contradicted"
    elif "none" not in rule.accept and 2 * words.count("none") >= total and equal and no_effect:
        base = "no effect"
    else:
        measured = 2 * len(words) >= total and any(fit[2] for fit in fits)
        base = "too noisy to tell" if 2 * unclear > len(words) and measured else "inconclusive"
    return Part(base, **figures, timed=timed, compared=compared)


def joined(*parts: Part) -> Part:
    """The weakest decides; modelled energy beside time does not count; figures are those of the first that has any."""
    counted = [part for part in parts if not (part.modelled and any(other.timed for other in parts))]
    base = min((part.base for part in counted), key=WEAKEST.index)
    shown = [part for part in counted if base != "equal by definition" or part.base == base]
    first = next((part for part in shown if part.estimate is not None), shown[0])
    return first._replace(base=base, compared=tuple(one for part in parts for one in part.compared))


def negated(part: Part) -> Part:
    opposite = {
        "contradicted": "supported", "no effect": "supported", "supported": "contradicted",
        "equal by definition": "by definition",
    }  # fmt: skip
    return part._replace(base=opposite.get(part.base, part.base))
