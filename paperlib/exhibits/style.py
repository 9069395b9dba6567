"""One visual language: theme, the colour and marker of every method, how a figure is saved and described."""

import io
from collections.abc import Sequence

import matplotlib as mpl
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.exhibits.manifest import Exhibit, relative

# Seaborn's colour-blind safe palette; each method keeps its colour and its marker everywhere.
_PALETTE = sns.color_palette("colorblind")
_ORDER = (
    "random", "pre-training", "in-training", "post-training", "set", "magnitude-gradual", "rigl", "small-dense",
    "iterative",
)  # fmt: skip
COLOURS = (
    {"dense": (0.15, 0.15, 0.15), "majority": (0.5, 0.5, 0.5)}
    | {name: _PALETTE[i] for name, i in zip(_ORDER, (7, 0, 1, 2, 3, 5, 4, 9, 6), strict=True)}
    | {"post-training-random": (0.45, 0.25, 0.1)}
)
MARKERS = {"dense": "_", "majority": "_"} | dict(zip(_ORDER, "XosD^vP*<", strict=True)) | {"post-training-random": ">"}
SERIES = tuple(_PALETTE)  # of things that are not methods
NOISE = (0.85, 0.85, 0.85)
# Inches: one panel, and at most three of them in a row, so that text stays readable at column width.
PANEL = (3.1, 2.5)
COLUMNS = 3
PDF = ("laptop", "paper")  # a quarter of a second a figure: too dear where all must end in ten minutes


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
    return MARKERS.get(method, "h")


def panels(names: Sequence[str], columns: int = COLUMNS, height: float = PANEL[1]) -> tuple[Figure, list[Axes]]:
    """A figure with one titled panel per name, in rows of at most `columns`; the unused places stay empty."""
    theme()
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(max(PANEL[0] * columns, 4.6), height * rows + 0.5), layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in grid[len(names) :]:
        axes.set_visible(False)
    for axes, name in zip(grid, names, strict=False):
        axes.set_title(name, loc="left")
    return figure, grid[: len(names)]


def legend(figure: Figure, methods: Sequence[str], lines: Sequence[tuple[str, Line2D]] = ()) -> None:
    """One legend under all panels: methods with colour and marker, then further lines with their names."""
    handles = [Line2D([], [], color=colour(m), marker=marker(m), linestyle="", label=m) for m in methods]
    for name, line in lines:
        line.set_label(name)
        handles.append(line)
    legend_below(figure, handles, min(4, max(2, int(figure.get_figwidth() // 2))))


def legend_below(figure: Figure, handles: Sequence[Artist], columns: int) -> None:
    """A legend of these under all panels, in `columns` columns or as many as the figure is wide enough for."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    for number in range(min(columns, len(handles)), 0, -1):
        shown = figure.legend(handles=handles, loc="outside lower center", ncols=number, frameon=False)
        if number == 1 or shown.get_window_extent(renderer).width <= figure.bbox.width:
            return
        shown.remove()


def save(figure: Figure, name: str, title: str, caption: str, trials: Sequence[str], layout: Layout) -> Exhibit:
    """Write figures/<profile>/<name>.svg and .png (and .pdf, see PDF) and return their Exhibit."""
    files = []
    formats: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".png": {"Software": None}}
    if layout.name in PDF:
        formats[".pdf"] = {"CreationDate": None}
    for ending, metadata in formats.items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=ending[1:], metadata=metadata)
        path = layout.figures / f"{name}{ending}"
        write_atomically(path, _small(buffer) if ending == ".png" else buffer.getvalue())
        files.append(path)
    return Exhibit(name, "figure", title, caption, relative(files, layout), tuple(sorted(set(trials))))


def _small(png: io.BytesIO) -> bytes:
    # Notebooks and reports embed these: 256 colours lose nothing that an eye sees, and two thirds of the bytes.
    out = io.BytesIO()
    Image.open(png).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
    return out.getvalue()
