"""The figure of a claim's page: every setting that was compared, with its interval, margin and noise floor."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from paperlib.claims.verdict import Compared, Family
from paperlib.exhibits import style

Floats = NDArray[np.float64]
MARGIN = (0.86, 0.93, 0.86)
WIDTH = 7.0  # inches, as the rows' heights
_ROW, _THIN_ROW, _NAMED = 0.17, 0.055, 45  # up to so many rows are named one by one


def forest(families: Sequence[Family]) -> bytes | None:
    """PNG with a panel for each family; None where nothing was measured.

    Filled markers decide something, hollow ones nothing. Green: the margin, or the range that is claimed; grey: the A/A
    noise floor.
    """
    panels = [(f, rows) for f in families if (rows := [one for one in f.compared if one.estimate])]
    if not panels:
        return None
    style.theme()
    heights = [0.55 + len(rows) * (_ROW if len(rows) <= _NAMED else _THIN_ROW) for _, rows in panels]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.5), layout="constrained")
    grid = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (family, rows) in zip(grid, panels, strict=True):
        _draw(axes, family, rows)
    methods = dict.fromkeys(one.setting.method for _, rows in panels for one in rows)
    handles = [Line2D([], [], color=style.colour(m), marker=style.marker(m), linestyle="", label=m) for m in methods]
    handles += [Patch(color=MARGIN, label=label) for label in dict.fromkeys(_margin_label(f) for f, _ in panels)]
    if any(one.floor for _, rows in panels for one in rows):
        handles.append(Patch(color=style.NOISE, label="A/A noise floor"))
    handles.append(
        Line2D([], [], color=style.COLOURS["majority"], marker="o", markerfacecolor="white", linestyle="",
               label="hollow: decides nothing")
    )  # fmt: skip
    style.legend_below(figure, handles, 4)
    return style.png(figure)


def _margin_label(family: Family) -> str:
    return "range that is claimed" if family.asked == "in range" else "margin"


def _draw(axes: Axes, family: Family, rows: Sequence[Compared]) -> None:
    at = np.arange(len(rows), dtype=float)
    means = np.array([one.estimate.mean for one in rows if one.estimate])
    ends = np.array(
        [[np.nan if end is None else end for end in (e.low, e.high)] for e in (one.estimate for one in rows) if e]
    )
    for regions, colour in (([one.margin for one in rows], MARGIN), ([one.floor for one in rows], style.NOISE)):
        if all(regions):
            low, high = np.array(regions, float).T
            edges = np.repeat(at, 2) + np.tile([-0.5, 0.5], len(rows))
            axes.fill_betweenx(edges, np.repeat(low, 2), np.repeat(high, 2), color=colour, linewidth=0, zorder=0)
    for method in dict.fromkeys(one.setting.method for one in rows):
        for decides in (True, False):
            of = np.array([one.setting.method == method and (one.speaks != "neither") == decides for one in rows])
            if of.any():
                reach = np.abs(ends[of] - means[of, None]).T
                axes.errorbar(
                    means[of], at[of], xerr=reach, color=style.colour(method), marker=style.marker(method),
                    markersize=4 if len(rows) <= _NAMED else 2.5, linestyle="", elinewidth=1,
                    markerfacecolor=None if decides else "white",
                )  # fmt: skip
    if not family.level:
        axes.axvline(1 if family.unit == "ratio" else 0, color=style.COLOURS["dense"], linewidth=1)
    shaded = [end for one in rows for region in (one.margin, one.floor) if region for end in region]
    core = np.array([*means, *shaded])
    if family.unit == "ratio":
        axes.set_xlim(*np.exp(_limits(np.log(ends.ravel()), np.log(core))))
        style.log_where_wide(axes.xaxis)
    else:
        axes.set_xlim(*_limits(ends.ravel(), core))
    _name_rows(axes, rows)
    held = "" if family.level else ", ratio to the reference" if family.unit == "ratio" else ", difference"
    axes.set_title(f"{family.title}{held}{'' if family.unit == 'ratio' else f', {family.unit}'}", loc="left")


def _limits(ends: Floats, core: Floats) -> Floats:
    """Around what must be seen (core). Few repeats give intervals that would hide all else; these leave the picture."""
    low, high = core.min(), core.max()
    span = (high - low) or abs(high) or 1.0
    left, right = max(np.nanmin([*ends, low]), low - span), min(np.nanmax([*ends, high]), high + span)
    return np.array([left - 0.03 * span, right + 0.03 * span])


def _name_rows(axes: Axes, rows: Sequence[Compared]) -> None:
    names = [one.label for one in rows]
    places = list(range(len(rows)))
    if len(rows) > _NAMED:  # the first of each data set and model
        cells = [(one.setting.dataset, one.setting.model) for one in rows]
        places = [place for place in places if not place or cells[place] != cells[place - 1]]
        names = [" ".join(cells[place]) for place in places]
        axes.hlines([place - 0.5 for place in places[1:]], 0, 1, transform=axes.get_yaxis_transform(), linewidth=0.3)
    axes.set_yticks(places, names, fontsize=7)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", visible=False)
