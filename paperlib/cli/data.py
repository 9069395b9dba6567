"""The images: what is here, fetch, verify, render."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help=__doc__, add_completion=False)
Names = Annotated[list[str] | None, typer.Argument(help="Data sets; none for all.")]


def _show(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        for row in rows:
            typer.echo("\t".join(row))
        return
    table = Table(*columns, title=title)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


@app.command()
def status() -> None:
    """Where the images of each set would come from now; exits with 1 if a file is damaged."""
    from paperlib import data

    states = data.status()
    rows = [
        (s.name, s.source or "damaged", " / ".join(f"{n:,}" for n in s.counts or ()), s.note, s.where, s.cure)
        for s in states
    ]
    _show("Data sets", ("set", "source", "train / val / test", "note", "where", "for better ones"), rows)
    raise typer.Exit(int(any(s.source is None for s in states)))


@app.command()
def fetch(
    names: Names = None,
    force: Annotated[bool, typer.Option(help="Get them anew even if they are here.")] = False,
    resolution: Annotated[int | None, typer.Option(help="MedMNIST files of this size (28, 64, 128, 224).")] = None,
    apt_update: Annotated[bool, typer.Option("--apt-update", help="Run apt-get update first, on Debian.")] = False,
) -> None:
    """Real images into the cache; exits with 1 if a set that was asked for by name could not be had."""
    from paperlib.data import download

    outcomes = download.fetch(names or (), force=force, resolution=resolution, apt_update=apt_update)
    _show("Fetched", ("set", "state", "how"), [(o.name, "ok" if o.ok else "missing", o.message) for o in outcomes])
    raise typer.Exit(int(bool(names) and not all(o.ok for o in outcomes)))


@app.command()
def verify(names: Names = None) -> None:
    """Reads and hashes every file that is here; exits with 1 if one is damaged."""
    from paperlib.data import sources

    outcomes = sources.verify(names or ())
    _show("Checked", ("set", "state", "detail"), [(o.name, "ok" if o.ok else "damaged", o.message) for o in outcomes])
    raise typer.Exit(int(not all(o.ok for o in outcomes)))


@app.command()
def render(
    meshes: Annotated[Path | None, typer.Option(help="Folder of .ply meshes; none for ten drawn solids.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write; none for the cache.")] = None,
    images: Annotated[int, typer.Option(min=100, max=1_000_000)] = 10_000,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Draws the industrial set in its COCO layout."""
    from paperlib.core import paths
    from paperlib.core.errors import PaperlibError
    from paperlib.data.synthetic.renderer import render_images

    target = out or paths.cache() / "industrial"
    if target.exists() and not target.is_dir():
        raise PaperlibError(f"--out names {target}, which is no folder")
    typer.echo(f"{render_images(target, meshes, images, seed)}: {images:,} images in {target}")
