"""`paperlib export`."""

from pathlib import Path
from typing import Annotated

import typer


def command(
    trial: Annotated[str, typer.Argument(help="The id that `paperlib run --keep-weights` printed.")],
    to: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(),
    results: Annotated[str, typer.Option(help="Name of the results folder.")] = "scratch",
) -> None:
    """Write a trial's pruned network, compacted, as safetensors and ONNX with all that feeding it takes; checked."""
    from paperlib.core.paths import Layout
    from paperlib.trials.onnx_export import export

    done = export(trial, Layout.of(results), to)
    for file, dense in zip(done.files[:2], done.dense_bytes, strict=True):
        typer.echo(f"{file}: {file.stat().st_size:,} bytes (dense: {dense:,})")
    typer.echo(f"{done.files[2]}: how images are to be scaled, class names and the trial, as in the metadata of both")
    typer.echo(
        f"through {' and '.join(done.runtimes)} {done.accuracy:.2%} of {done.images} test images are right; logits"
        f" differ by at most {done.largest_difference:.1e}"
    )
    if done.refused:
        typer.echo(done.refused)
