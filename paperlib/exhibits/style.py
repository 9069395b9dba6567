"""One visual language: theme, colour and marker of every method, panels, reference lines, legends, files."""

import io
from collections.abc import Iterable, Sequence

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator
from PIL import Image

from paperlib.claims.stats import Estimate
from paperlib.core.paths import Layout
from paperlib.exhibits import manifest
from paperlib.exhibits.manifest import Exhibit

# Seaborn's colour-blind safe palette; each method keeps its colour and its marker everywhere.
_PALETTE = sns.color_palette("colorblind")
_LOOKS = {
    "dense": ((0.15, 0.15, 0.15), "_"), "majority": ((0.5, 0.5, 0.5), "_"), "random": (_PALETTE[7], "X"),
    "pre-training": (_PALETTE[0], "o"), "in-training": (_PALETTE[1], "s"), "post-training": (_PALETTE[2], "D"),
    "set": (_PALETTE[3], "^"), "magnitude-gradual": (_PALETTE[5], "v"), "rigl": (_PALETTE[4], "P"),
    "small-dense": (_PALETTE[9], "*"), "iterative": (_PALETTE[6], "<"),
    "post-training-random": ((0.45, 0.25, 0.1), ">"),
}  # fmt: skip
COLOURS = {method: colour for method, (colour, _) in _LOOKS.items()}
SERIES = tuple(_PALETTE)  # of things that are not methods
NOISE = (0.85, 0.85, 0.85)
# Inches: one panel, and at most three of them in a row, so that text stays readable at column width.
PANEL = (3.1, 2.5)
COLUMNS = 3
PDF = ("laptop", "station", "paper")  # a quarter of a second a figure: too dear where all must end in ten minutes


def theme() -> None:
    """Seaborn's white grid with small sans-serif type; the same SVG bytes for the same figure."""
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
    mpl.rcParams.update(
        {
            "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that all machines draw the same
            "svg.hashsalt": "paperlib",
            "svg.fonttype": "path",
            "figure.dpi": 100,
            "savefig.dpi": 150,
            "axes.titlesize": 10,
            "axes.labelsize": 9,
            "xtick.labelsize": 8,
            "ytick.labelsize": 8,
            "legend.fontsize": 8,
            "grid.linewidth": 0.6,
        }
    )


def colour(method: str) -> tuple[float, float, float]:
    """The method's colour; black-brown for one that the package does not know (a reader's own)."""
    return COLOURS.get(method, _PALETTE[8])


def marker(method: str) -> str:
    """The method's marker, so that colour is never the only difference."""
    return _LOOKS[method][1] if method in _LOOKS else "h"


def panels(
    names: Sequence[str], xlabel: str = "", ylabel: str = "", *, columns: int = COLUMNS, height: float = PANEL[1]
) -> tuple[Figure, list[Axes]]:
    """A figure with one titled panel per name, in rows of at most `columns`; the unused places stay empty.

    height: of a row, in inches. xlabel stands under every panel, ylabel beside the first one of a row.
    """
    theme()
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(max(PANEL[0] * columns, 4.6), height * rows + 0.5), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    for place, (axes, name) in enumerate(zip(grid, names, strict=False)):
        axes.set_title(name, loc="left")
        axes.set_xlabel(xlabel)
        axes.set_ylabel("" if place % columns else ylabel)
    return figure, grid[: len(names)]


def dot(axes: Axes, x: float, estimate: Estimate | None, scale: float, method: str) -> None:
    """One arm at x: its marker with its interval, in units of 1 / scale; nothing for None."""
    if estimate is not None:
        y, reach = estimate.mean * scale, interval_reach(estimate, scale)
        axes.errorbar(x, y, reach, color=colour(method), marker=marker(method), markersize=4, linewidth=1)


def interval_reach(estimate: Estimate, scale: float) -> list[list[float]] | None:
    """How far the interval reaches below and above the mean, as matplotlib takes it; None at n = 1."""
    if estimate.low is None or estimate.high is None:
        return None
    return [[(estimate.mean - estimate.low) * scale], [(estimate.high - estimate.mean) * scale]]


def dense_level(axes: Axes, dense: Estimate | None, scale: float) -> None:
    """Dense as a line across the panel, its interval as a band."""
    if dense is None:
        return
    axes.axhline(dense.mean * scale, color=COLOURS["dense"], linewidth=1)
    if dense.low is not None and dense.high is not None:
        axes.axhspan(dense.low * scale, dense.high * scale, color=COLOURS["dense"], alpha=0.12, linewidth=0)


def noise_band(axes: Axes, floor: Estimate | None, dense: float = 1.0) -> None:
    """The A/A noise floor, a share of dense, as a grey band around dense; nothing for None."""
    if floor is not None:
        axes.axhspan(dense / (1 + floor.mean), dense * (1 + floor.mean), color=NOISE, zorder=0)


def majority(axes: Axes, values: pd.Series, scale: float = 100) -> None:
    """What a constant predictor reaches, as a dotted line: the first value that is there, if any is."""
    present = values.dropna()
    if len(present):
        axes.axhline(present.iloc[0] * scale, color=COLOURS["majority"], linestyle=":")


def limit_percent(axes: Axes) -> None:
    """Cut the y axis to about 0 to 100: wide intervals of few seeds leave the possible range."""
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -2), min(high, 102))


def co2_axis(axes: Axes, factor: float, label: str) -> None:
    """A second axis at the right: CO2 as `factor` times the energy that the left one shows."""
    both_ways = (lambda y: y * factor, lambda co2: co2 / factor)
    axes.secondary_yaxis("right", functions=both_ways).set_ylabel(label)


def line(label: str) -> Line2D:
    """The legend's entry of a reference line or band, by its label."""
    if label.startswith("majority"):
        return Line2D([], [], color=COLOURS["majority"], linestyle=":", label=label)
    if label.startswith("A/A"):
        return Line2D([], [], color=NOISE, linewidth=7, label=label)
    return Line2D([], [], color=COLOURS["dense"], label=label)


def legend(figure: Figure, methods: Sequence[str], lines: Sequence[str] = ()) -> None:
    """One legend under all panels: methods with colour and marker, then reference lines by their labels."""
    handles = [Line2D([], [], color=colour(m), marker=marker(m), linestyle="", label=m) for m in methods]
    handles += [line(label) for label in lines]
    legend_below(figure, handles, min(4, max(2, int(figure.get_figwidth() // 2))))


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """A legend of these under all panels, in `columns` columns or as many as the figure is wide enough for."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    for number in range(min(columns, len(handles)), 0, -1):
        shown = figure.legend(handles=handles, loc="outside lower center", ncols=number, frameon=False)
        if number == 1 or shown.get_window_extent(renderer).width <= figure.bbox.width:
            return
        shown.remove()


def log_where_wide(axis: XAxis | YAxis, wide: float = 2.5) -> None:
    """A logarithmic axis of ratios, where they differ by more than the factor `wide`."""
    low, high = axis.get_view_interval()
    if low <= 0 or high / low > wide:
        scale = axis.axes.set_yscale if axis.axis_name == "y" else axis.axes.set_xscale
        scale("log", base=2)
        axis.set_major_locator(LogLocator(2, (1.0, 2**0.5) if high < 8 * low else (1.0,)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))


def drawn(figure: Figure) -> bytes:
    """PNG at the figure's own resolution, in a third of the time that `savefig` takes."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return _packed(Image.frombuffer("RGBA", canvas.get_width_height(), bytes(canvas.buffer_rgba())))


def _packed(picture: Image.Image) -> bytes:
    # 256 colours lose nothing that an eye sees, and two thirds of the bytes in a notebook.
    buffer = io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _saved(figure: Figure, form: str, stamp: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, metadata={stamp: None})  # without it: the same bytes again
    return buffer.getvalue()


def save(figure: Figure, name: str, title: str, caption: str, trials: Iterable[str], layout: Layout) -> Exhibit:
    """Write figures/<profile>/<name>.svg and .png (and .pdf, see PDF) and return their Exhibit.

    trials: ids of the records that it shows, at least one.
    """
    contents = {".svg": _saved(figure, "svg", "Date")}
    figure.set_layout_engine("none")  # the panels stay where they are: laying them out takes as long as drawing
    contents[".png"] = _packed(Image.open(io.BytesIO(_saved(figure, "png", "Software"))))
    if layout.name in PDF:
        contents[".pdf"] = _saved(figure, "pdf", "CreationDate")
    return manifest.save("figure", name, title, caption, contents, trials, layout)
