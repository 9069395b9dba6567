"""Two sets of results, record by record: the regression check of reviewers and of CI."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from paperlib.errors import FailedError, PaperlibError
from paperlib.kept import opened
from paperlib.paths import Layout
from paperlib.record import Record, Scores
from paperlib.registry import unknown
from paperlib.store import Store

# Time, energy and memory belong to a machine: relative tolerances, and only on request within one environment.
COSTS = ("time_s", "energy_j", "co2_g", "peak_memory_bytes", "load_s", "median_s", "ratio", "energy_j_per_image")
_MEASURED = ("training", "inference", "load_s", "environment", "place", "finished", "command")


@dataclass(frozen=True)
class Difference:
    """One field in which two records of one trial disagree; None where one lacks it."""

    id: str
    field: str
    a: Any
    b: Any


def differences(a: Record, b: Record, tolerances: Mapping[str, float] | None = None) -> list[Difference]:
    """Where two records disagree by more than `tolerances` (metric -> absolute; relative for COSTS).

    Without a tolerance, what was computed must be equal, and what was measured (COSTS) is not looked at; it is
    also left out where the two environments differ, for times compare only within one.
    """
    allowed = dict(tolerances or {})
    left, right = _flat(_computed(a)), _flat(_computed(b))
    if a.environment == b.environment:
        left |= _costs(a, allowed)
        right |= _costs(b, allowed)
    found = []
    for field in dict.fromkeys((*left, *right)):
        x, y, metric = left.get(field), right.get(field), field.rsplit(".", 1)[-1]
        if not _close(x, y, allowed.get(metric, 0.0), relative=metric in COSTS):
            found.append(Difference(a.id, field, x, y))
    return found


def _computed(record: Record) -> dict[str, Any]:
    kept = record.model_dump(mode="json", exclude=set(_MEASURED))
    for epoch in kept["curve"]:
        epoch.pop("time_s")
    return kept


def _costs(record: Record, allowed: Mapping[str, float]) -> dict[str, Any]:
    parts: dict[str, Any] = {"load_s": record.load_s}
    parts["training"] = record.training.model_dump() if record.training else None
    parts["inference"] = {f"{t.variant}-b{t.batch_size}": t.model_dump() for t in record.inference}
    return {f: v for f, v in _flat(parts).items() if (m := f.rsplit(".", 1)[-1]) in COSTS and m in allowed}


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    items: Iterator[tuple[Any, Any]]
    if isinstance(value, dict):
        items = iter(value.items())
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return {at: value}
    return {k: v for key, part in items for k, v in _flat(part, f"{at}.{key}" if at else str(key)).items()}


def _close(x: Any, y: Any, tolerance: float, relative: bool) -> bool:
    if isinstance(x, int | float) and isinstance(y, int | float):
        if math.isnan(x) or math.isnan(y):
            return math.isnan(x) and math.isnan(y)
        return x == y or abs(x - y) <= tolerance * (max(abs(x), abs(y)) if relative else 1.0)
    return bool(x == y)


def results_folder(path: Path) -> Store:
    """The store in any folder of results, such as results/quick. PaperlibError if it holds no trials."""
    if not (path / "trials").is_dir():
        raise PaperlibError(f"{path} holds no trials: give a folder of results, such as results/quick")
    return Store(Layout(path, path / "figures"))


def _records(path: Path) -> dict[str, Record]:
    if path.is_file():
        with opened(path) as kept:
            return {record.id: record for record in Store(kept).records()}
    return {record.id: record for record in results_folder(path).records()}


def _tolerances(words: Sequence[str]) -> dict[str, float]:
    known = {*Scores.model_fields, *COSTS} - {"class_recall"}
    found = {}
    for word in words:
        name, _, number = word.partition("=")
        if name not in known:
            raise unknown("metric", name, sorted(known))
        try:
            found[name] = float(number)
        except ValueError:
            found[name] = math.nan
        if not 0 <= found[name] < math.inf:
            raise PaperlibError(f"--tolerance wants metric=number, at least 0, such as accuracy=0.01, not {word!r}")
    return found


def compare(
    a: Annotated[Path, typer.Argument(help="A folder of results, such as results/quick, or a kept records.tar.xz.")],
    b: Annotated[Path, typer.Argument(help="Another one.")],
    tolerance: Annotated[
        list[str] | None, typer.Option(help="accuracy=0.01 (absolute) or time_s=0.2 (relative); may be repeated.")
    ] = None,
) -> None:
    """Compare two sets of results trial by trial; exits with 1 if they differ or one lacks a trial.

    What was computed must be equal within the tolerances (0 if not given). Times, energies and memory are
    compared only if a tolerance for them is given, and only between records of one environment.
    """
    from rich.console import Console
    from rich.table import Table

    allowed = _tolerances(tolerance or ())
    left, right = _records(a), _records(b)
    both = [trial_id for trial_id in left if trial_id in right]
    found = [d for trial_id in both for d in differences(left[trial_id], right[trial_id], allowed)]
    lacking = [(i, "only in a") for i in left if i not in right] + [(i, "only in b") for i in right if i not in left]
    same_place = sum(left[i].environment == right[i].environment for i in both)
    table = Table("trial", "field", "a", "b", title=f"a = {a}, b = {b}", title_justify="left")
    for d in found:
        table.add_row(d.id, d.field, str(d.a), str(d.b))
    for trial_id, where in lacking:
        table.add_row(trial_id, where, "", "")
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    if table.row_count:
        console.print(table)
    typer.echo(f"{len(both)} trials in both, {same_place} of them in one environment; {len(found)} differences")
    if any(metric in COSTS for metric in allowed) and same_place < len(both):
        typer.echo(f"times and energies left out for {len(both) - same_place} trials: other environments")
    if not both:
        raise FailedError("the two have no trial in common")
    if found or lacking:
        raise FailedError(f"{len({d.id for d in found})} trials differ, {len(lacking)} are in one folder only")
