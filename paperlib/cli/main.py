"""The command line. Exit codes: 0 done, 1 something failed (recorded), 2 bad input, 130 and 143 interrupted."""

import io
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from paperlib.core.errors import FailedError, PaperlibError, one_line_warnings

# Name of a command to where it lies and what the list of commands says: nothing of it is imported for `--help`.
ELSEWHERE = {
    "claims": ("paperlib.cli.claims:claims", "The verdict on each of the papers' 69 claims, or all about one."),
    "plan": ("paperlib.costs.plan:plan", "Say what a profile will cost here before it runs; some minutes of trying."),
    "data": ("paperlib.cli.data:app", "The images: what is here, fetch, verify."),
    "reference": (
        "paperlib.report.reference:reference",
        "Build the report of the committed results; nothing is trained.",
    ),
    "findings": (
        "paperlib.report.readme:findings_command",
        "What own results say, or the committed ones; --write puts these into the README.",
    ),
    "compare": ("paperlib.trials.differences:compare", "Compare two sets of results trial by trial."),
    "merge": ("paperlib.report.merging:merge", "Bring the results of several machines into one folder."),
    "trials": ("paperlib.studies.batches:trials", "Print the ids of a profile's trials, batch by batch, as JSON."),
    "run-batch": ("paperlib.studies.batches:run_batch", "Run one batch of a profile's trials."),
    "keep-results": (
        "paperlib.report.committed:keep_results",
        "For maintainers: put a profile's results where they are committed.",
    ),
}
_SETTINGS = {"help_option_names": ["-h", "--help"]}


class _Late(TyperCommand):
    """A command whose module is imported when the command is called."""

    def __init__(self, name: str, home: str, text: str) -> None:
        super().__init__(name, help=text)
        self.home = home

    def real(self) -> Any:
        """The command itself, its module imported."""
        module, _, attribute = self.home.partition(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            single = typer.Typer(add_completion=False)
            single.command(self.name)(found)
            found = single
        return typer.main.get_command(found)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return self.real().make_context(info_name, args, parent, **extra)


class _Commands(TyperGroup):
    """All commands, those of other modules late."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for name, (home, text) in ELSEWHERE.items():
            self.add_command(_Late(name, home, text))


app = typer.Typer(
    cls=_Commands,
    context_settings=_SETTINGS,
    help="A runnable companion to two papers on neural-network pruning.",
    pretty_exceptions_enable=False,
)
# What torch raises as plain RuntimeError on a CPU, and OutOfMemoryError on a GPU.
_NO_MEMORY = re.compile("allocate memory|out of memory|not enough memory", re.IGNORECASE)
Profile = Literal["smoke", "quick", "laptop", "paper"]


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    say_version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if say_version:
        from importlib.metadata import version

        typer.echo(f"paperlib {version('paperlib')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        context.get_help()  # with rich it prints itself
        raise typer.Exit


@app.command()
def reproduce(
    profile: Annotated[Profile, typer.Option(help="Budget: smoke and quick take minutes, laptop hours.")] = "quick",
    only: Annotated[list[str] | None, typer.Option(help="Notebook number, such as 01; may be repeated.")] = None,
) -> None:
    """Run the notebooks of a profile and build its tables, figures and report; what is done is kept."""
    from paperlib.core.paths import Layout
    from paperlib.core.progress import wide_console
    from paperlib.exhibits.expected import problems
    from paperlib.report import notebooks, pages
    from paperlib.report.agreement import agreement
    from paperlib.report.bundle import zip_report

    layout = Layout.of(profile)
    notebooks.execute(only, profile, layout)
    page = pages.build(layout)
    console = wide_console()
    console.print(pages.headline(layout))
    console.print(pages.tally(layout), soft_wrap=True)
    for line in agreement(layout):
        console.print(line, soft_wrap=True)
    console.print(f"Report: {page}", soft_wrap=True)
    console.print(f"The same as one file: {zip_report(layout)}", soft_wrap=True)
    if not only and (wrong := problems(layout, page.read_text())):
        raise FailedError(f"the manifest has {len(wrong)} faults: {'; '.join(wrong)}")


@app.command()
def run(
    dataset: Annotated[str, typer.Option(help="mnist, fashionmnist, …, or folder:PATH")] = "mnist",
    model: Annotated[str, typer.Option(help="mlp-small, mlp-medium, …")] = "mlp-small",
    width: Annotated[float, typer.Option(help="Factor on hidden widths.")] = 1.0,
    method: Annotated[str, typer.Option(help="dense, pre-training, in-training, post-training, set, …")] = "dense",
    scope: Annotated[str, typer.Option(help="global, layerwise, global-threshold, erdos-renyi, …")] = "global",
    sparsity: Annotated[float, typer.Option(help="Share of linear weights removed, in [0, 1).")] = 0.0,
    conv_sparsity: Annotated[float, typer.Option(help="Share of filters removed, in [0, 1).")] = 0.0,
    threshold: Annotated[float, typer.Option(help="Method threshold removes the weights below it.")] = 0.0,
    draw: Annotated[int, typer.Option(help="Which random layer ratios scope random-ratios takes.")] = 0,
    swap: Annotated[float, typer.Option(help="Share of active units swapped per epoch boundary.")] = 0.2,
    seed: Annotated[int, typer.Option(help="Seed of weights, masks and order.")] = 0,
    epochs: Annotated[int, typer.Option(help="Passes over the training images.")] = 10,
    batch_size: Annotated[int, typer.Option(help="Images per step.")] = 64,
    optimizer: Annotated[str, typer.Option(help="Any torch optimiser by name.")] = "SGD",
    lr: Annotated[float, typer.Option(help="Learning rate.")] = 0.05,
    option: Annotated[list[str] | None, typer.Option(help="Optimiser option, such as momentum=0.9.")] = None,
    schedule: Annotated[str, typer.Option(help="Of the learning rate: constant or cosine.")] = "constant",
    augment: Annotated[bool, typer.Option("--augment", help="Random crop and flip of training images.")] = False,
    compute: Annotated[str, typer.Option(help="fp32, bf16, each also -channels-last, or auto: the fastest.")] = "fp32",
    resolution: Annotated[int | None, typer.Option(help="Image side in pixels; the set's own if left out.")] = None,
    train_images: Annotated[int | None, typer.Option(help="At most so many training images.")] = None,
    test_images: Annotated[int | None, typer.Option(help="At most so many test images.")] = None,
    test_share: Annotated[float, typer.Option(help="Of each class of folder:PATH, where it has no folder test.")] = 0.2,
    real_images: Annotated[bool, typer.Option("--real-images", help="Refuse drawn stand-ins.")] = False,
    execution: Annotated[str, typer.Option(help="compact where it pays, or masked as in the papers.")] = "compact",
    quirk: Annotated[list[str] | None, typer.Option(help="An as-published arm; may be repeated.")] = None,
    results: Annotated[str, typer.Option(help="Name of the results folder.")] = "scratch",
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Keep them, for `paperlib export`.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run it again, though its record is here.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the whole record as JSON.")] = False,
) -> None:
    """Run one trial, or find its record, and print it."""
    from rich.table import Table

    from paperlib.core.paths import Layout
    from paperlib.core.progress import progress, wide_console
    from paperlib.data import FOLDER, parse_name
    from paperlib.models import MODELS
    from paperlib.pruners import METHODS
    from paperlib.schema.trial import make_trial
    from paperlib.trials.store import Store

    trial = make_trial(
        dataset=dataset,
        model=model,
        width=width,
        method=method,
        scope=scope,
        sparsity=sparsity,
        conv_sparsity=conv_sparsity,
        threshold=threshold,
        draw=draw,
        swap=swap,
        seed=seed,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        options=dict(_option(text) for text in option or ()),
        schedule=schedule,
        augment=augment,
        compute=compute,
        resolution=resolution,
        train_images=train_images,
        test_images=test_images,
        test_share=test_share,
        real_images=real_images,
        execution=execution,
        quirks=tuple(sorted(quirk or ())),
    )
    METHODS.check(method)
    MODELS.check(model)
    layout = Layout.of(results)
    if not dataset.startswith(FOLDER):
        parse_name(dataset)
    from paperlib.trials.runner import run as run_trial  # torch, once it is clear that there is something to run

    known = None if fresh else Store(layout).find([trial]).get(trial)
    with progress(f"{method} {model} on {dataset}", 0 if known else epochs) as step:
        record = run_trial(trial, layout, on_epoch=lambda epoch: step.advance(), keep_weights=keep_weights, fresh=fresh)
    found = known is not None and known.finished == record.finished
    how = f"found, run on {record.finished}; --fresh runs it again" if found else "run now"
    typer.echo(f"{record.id}: {how}", err=True)
    if json:
        typer.echo(record.model_dump_json(indent=1))
    else:
        table = Table(title=record.title, show_header=False, title_justify="left")
        for line in record.summary():
            table.add_row(*line)
        wide_console().print(table)
    if record.status == "failed":
        raise FailedError(f"trial {record.id} failed: {record.reason}")


@app.command()
def export(
    trial: Annotated[str, typer.Argument(help="The id that `paperlib run --keep-weights` printed.")],
    to: Annotated[Path, typer.Option(help="Folder for the files.")] = Path(),
    results: Annotated[str, typer.Option(help="Name of the results folder.")] = "scratch",
) -> None:
    """Write a trial's pruned network, compacted, as safetensors and ONNX with all that feeding it takes; checked."""
    from paperlib.core.paths import Layout
    from paperlib.trials.onnx_export import export as write

    done = write(trial, Layout.of(results), to)
    for file, dense in zip(done.files[:2], done.dense_bytes, strict=True):
        typer.echo(f"{file}: {file.stat().st_size:,} bytes (dense: {dense:,})")
    typer.echo(f"{done.files[2]}: how images are to be scaled, class names and the trial, as in the metadata of both")
    typer.echo(
        f"with onnxruntime {done.accuracy:.2%} of {done.images} test images are right; logits differ by at most"
        f" {done.largest_difference:.1e}"
    )


def _option(text: str) -> tuple[str, float | bool]:
    name, _, value = text.partition("=")
    if name and value.lower() in {"true", "false"}:
        return name, value.lower() == "true"
    try:
        if name:
            return name, float(value)
    except ValueError:
        pass
    raise PaperlibError(f"--option wants name=number or name=true, not {text!r}")


@app.command("keep-outputs")
def keep_outputs(profile: Annotated[Profile, typer.Option(help="Whose outputs.")] = "quick") -> None:
    """For maintainers: put the outputs of executed notebooks into notebooks/, to be committed."""
    from paperlib.core.paths import Layout
    from paperlib.report import notebooks

    for source in notebooks.keep_outputs(profile, Layout.of(profile)):
        typer.echo(source)


@app.command()
def doctor() -> None:
    """Say what this machine has, which meters are real, which images are here, and the cure for each lack."""
    from paperlib.cli.doctor import checks, render
    from paperlib.core.progress import wide_console

    wide_console().print(render(checks()))


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """Turn what a user can mend into one line and an exit code."""
    try:
        yield
    except PaperlibError as error:
        print(f"paperlib: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1 if isinstance(error, FailedError) else 2)
    except typer.TyperException as error:  # a wrong command, option or value
        context = getattr(error, "ctx", None)
        said = " ".join(error.format_message().split()).rstrip(".")
        where = context.command_path if context else "paperlib"
        print(f"paperlib: {said}; `{where} --help` says what it takes", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _NO_MEMORY.search(str(error)):
            raise
        first = (str(error) or "out of memory").splitlines()[0]
        print(f"paperlib: {first}; mend it, and the same command goes on where this one stopped", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code in {130, 143}:  # for Ctrl-C and for SIGTERM
            print("paperlib: interrupted; the same command goes on where this one stopped", file=sys.stderr)
        raise


@contextmanager
def _signals_exit() -> Iterator[None]:
    """Ctrl-C and SIGTERM, which schedulers send before they kill, end the command with 130 and 143.

    Not as KeyboardInterrupt: one that arises within `exec` of a text, as imports do it, ends `python -m paperlib`
    by the signal although it was caught.
    """

    def end(sent: int, _: object) -> None:
        sys.exit(128 + sent)

    before = {sent: signal.signal(sent, end) for sent in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)


def main() -> None:
    """Entry point of the `paperlib` command."""
    one_line_warnings()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale without µ or é must not end a run
    with _signals_exit(), _one_line_errors():
        sys.exit(app(prog_name="paperlib", standalone_mode=False) or 0)
