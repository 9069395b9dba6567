"""The command line. Exit codes: 0 done, 1 something failed (recorded), 2 bad input, 130 and 143 interrupted."""

import ast
import io
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from paperlib.core.errors import FailedError, PaperlibError, one_line_warnings

# In the order in which `paperlib --help` lists them; each lies in the file of its name beside this one.
COMMANDS = (
    "reproduce", "run", "list", "figure", "table", "claims", "findings", "report", "plan", "data", "doctor",
    "calibrate", "export", "explain", "compare", "reference", "site", "crate", "trials", "run-batch", "keep-outputs",
    "keep-results",
)  # fmt: skip
# What torch raises as plain RuntimeError on a CPU, and OutOfMemoryError on a GPU.
_NO_MEMORY = re.compile("allocate memory|out of memory|not enough memory", re.IGNORECASE)
_GOES_ON = "the same command goes on where this one stopped"


class _Late(TyperCommand):
    """A command whose module is imported when it is called; `paperlib --help` reads the docstring alone."""

    def __init__(self, name: str) -> None:
        self.module = name.replace("-", "_")
        source = ast.parse(Path(__file__).with_name(f"{self.module}.py").read_text(encoding="utf-8"))
        functions = [node for node in source.body if isinstance(node, ast.FunctionDef) and node.name == "command"]
        super().__init__(name, help=(ast.get_docstring(functions[0] if functions else source) or "").splitlines()[0])

    def real(self) -> Any:
        """The command itself, its module imported: `app`, or the function `command`."""
        module = import_module(f"paperlib.cli.{self.module}")
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(add_completion=False)
            app.command(self.name)(module.command)
        return typer.main.get_command(app)

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        return self.real().make_context(info_name, args, parent, **extra)


class _Commands(TyperGroup):
    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for name in COMMANDS:
            self.add_command(_Late(name))


app = typer.Typer(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A runnable companion to two papers on neural-network pruning.",
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    say_version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    if say_version:
        typer.echo(f"paperlib {version('paperlib')}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        context.get_help()  # with rich it prints itself
        raise typer.Exit


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
    except ModuleNotFoundError as error:  # of an optional extra
        if error.name is None or error.name.partition(".")[0] == "paperlib":
            raise
        print(f"paperlib: this takes {error.name}, which is not installed: pip install {error.name}", file=sys.stderr)
        sys.exit(2)
    except (MemoryError, OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _NO_MEMORY.search(str(error)):
            raise
        first = (str(error) or "out of memory").splitlines()[0]
        print(f"paperlib: {first}; mend it, and {_GOES_ON}", file=sys.stderr)
        sys.exit(1)
    except SystemExit as end:
        if end.code in {130, 143}:  # for Ctrl-C and for SIGTERM
            print(f"paperlib: interrupted; {_GOES_ON}", file=sys.stderr)
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
