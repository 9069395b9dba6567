"""The figure of a claim's page: every setting that was compared, with its interval, margin and noise floor."""

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from paperlib.claims.verdict import Compared, Family
from paperlib.exhibits import style

Floats = NDArray[np.float64]
MARGIN = (0.86, 0.93, 0.86)
DPI = 110
_PLOT, _LETTER, _BETWEEN, _LEGEND = 4.2, 0.055, 0.65, 0.45  # inches: width of a panel and of a letter, room around them
_ROW, _THIN_ROW, _NAMED = 0.17, 0.055, 45  # inches of a row; up to so many are named one by one


def forest(families: Sequence[Family]) -> bytes | None:
    """PNG with a panel for each family; None where nothing was measured.

    Filled markers decide something, hollow ones nothing. Green: the margin, or the range that is claimed; grey: the A/A
    noise floor.
    """
    panels = [(f, rows) for f in families if (rows := [one for one in f.compared if one.estimate])]
    if not panels:
        return None
    style.theme()
    heights = [len(rows) * (_ROW if len(rows) <= _NAMED else _THIN_ROW) for _, rows in panels]
    height, left = sum(heights) + _BETWEEN * len(panels) + _LEGEND, 0.2 + _LETTER * max(map(_longest_name, panels))
    # Placed by hand: a layout engine takes as long as all the drawing, and there are dozens of these figures.
    figure, top = Figure(figsize=(left + _PLOT, height), dpi=DPI), height
    for (family, rows), panel in zip(panels, heights, strict=True):
        top -= _BETWEEN + panel
        bottom = top + _BETWEEN * 0.45
        box = (left / (left + _PLOT), bottom / height, 0.97 * _PLOT / (left + _PLOT), panel / height)
        _draw(figure.add_axes(box), family, rows)
    grey, handles = style.COLOURS["majority"], list[Artist]()
    for method in dict.fromkeys(one.setting.method for _, rows in panels for one in rows):
        colour, marker = style.colour(method), style.marker(method)
        handles.append(Line2D([], [], color=colour, marker=marker, linestyle="", label=method))
    handles += [Patch(color=MARGIN, label=label) for label in dict.fromkeys(_margin_label(f) for f, _ in panels)]
    if any(one.floor for _, rows in panels for one in rows):
        handles.append(Patch(color=style.NOISE, label="A/A noise floor"))
    hollow = Line2D([], [], color=grey, marker="o", markerfacecolor="white", linestyle="", label="decides nothing")
    figure.legend(handles=[*handles, hollow], loc="lower center", ncols=4, frameon=False)
    return style.drawn(figure)


def _longest_name(panel: tuple[Family, Sequence[Compared]]) -> int:
    return max(len(name) for name in _names(panel[1]).values())


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


def _names(rows: Sequence[Compared]) -> dict[int, str]:
    """The names of rows by their places: each one's, or that of the first of each data set and model."""
    if len(rows) <= _NAMED:
        return {place: one.label for place, one in enumerate(rows)}
    cells = [f"{one.setting.dataset} {one.setting.model}" for one in rows]
    return {place: cell for place, cell in enumerate(cells) if not place or cell != cells[place - 1]}


def _name_rows(axes: Axes, rows: Sequence[Compared]) -> None:
    names = _names(rows)
    if len(names) < len(rows):
        axes.hlines(
            [place - 0.5 for place in names if place], 0, 1, transform=axes.get_yaxis_transform(), linewidth=0.3
        )
    for place, name in names.items():
        axes.text(-0.01, place, name, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=7)
    axes.set_yticks([])
    axes.set_ylim(len(rows) - 0.5, -0.5)
