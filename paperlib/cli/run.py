"""`paperlib run`."""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, cast

import typer
from pydantic.fields import FieldInfo

from paperlib.core.errors import FailedError, PaperlibError
from paperlib.schema.trial import Fields, Trial, flag, make_trial


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """A field of Trial as an option; words of a fixed list are checked by `make_trial`, which suggests the nearest."""
    kind: Any = field.annotation
    default = field.default
    if isinstance(default, dict | tuple):
        kind, default = list[str] | None, None
    elif kind not in {bool, int, float, int | None}:
        kind = str
    option = typer.Option(flag(name), help=field.description)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option])


def takes_trial(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose own options are its keywords, the fields of Trial as options before them."""
    own = [p for p in inspect.signature(command).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    fields = [_parameter(name, field) for name, field in Trial.model_fields.items()]
    command.__signature__ = inspect.Signature([*fields, *own])  # type: ignore[attr-defined]
    return command


def trial_of(fields: dict[str, Any]) -> Trial:
    """The trial of these options, checked before torch is loaded; PaperlibError for what there is not."""
    from paperlib.data import FOLDER, parse_name
    from paperlib.models import MODELS
    from paperlib.pruners import METHODS

    fields["options"] = dict(_option(text) for text in fields["options"] or ())
    fields["quirks"] = tuple(sorted(fields["quirks"] or ()))
    trial = make_trial(cast(Fields, fields))
    METHODS.check(trial.method)
    MODELS.check(trial.model)
    if not trial.dataset.startswith(FOLDER):
        parse_name(trial.dataset)
    return trial


@takes_trial
def command(
    *,
    results: Annotated[str, typer.Option(help="Name of the results folder.")] = "scratch",
    keep_weights: Annotated[bool, typer.Option("--keep-weights", help="Keep them, for `paperlib export`.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run it again, though its record is here.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the whole record as JSON.")] = False,
    **fields: Any,
) -> None:
    """Run one trial, or find its record, and print it."""
    from rich.table import Table

    from paperlib.core.paths import Layout
    from paperlib.core.progress import progress, wide_console
    from paperlib.trials.store import Store

    trial, layout = trial_of(fields), Layout.of(results)
    from paperlib.trials.runner import run  # torch, once it is clear that there is something to run

    before = None if fresh else Store(layout).find([trial]).get(trial)
    title = f"{trial.method} {trial.model} on {trial.dataset}"
    with progress(title, 0 if before else trial.epochs) as step:
        record = run(trial, layout, on_epoch=lambda epoch: step.advance(), keep_weights=keep_weights, fresh=fresh)
    found = before is not None and before.finished == record.finished
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
