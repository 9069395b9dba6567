"""`paperlib compare A B`: two sets of results, trial by trial."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from paperlib.core.errors import FailedError, PaperlibError
from paperlib.core.registry import unknown
from paperlib.costs.records import read_costs
from paperlib.schema.cost import CostRecord
from paperlib.schema.record import Record
from paperlib.trials.differences import (
    COSTS,
    COUNTS,
    TOLERANCES,
    Difference,
    list_cost_differences,
    list_differences,
    opened,
)
from paperlib.trials.store import Store


def command(
    a: Annotated[Path, typer.Argument(help="A folder of results, such as results/quick, or a kept records.tar.xz.")],
    b: Annotated[Path, typer.Argument(help="Another one.")],
    tolerance: Annotated[
        list[str] | None, typer.Option(help="accuracy=0.002 (absolute) or ratio=0.1 (relative); may be repeated.")
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="What was computed must be equal to the last bit.")] = False,
    details: Annotated[bool, typer.Option("--details", help="List the differences trial by trial, too.")] = False,
) -> None:
    """Compare two sets of results; exits with 1 if they differ by more than the tolerances or one lacks a trial.

    On one machine the same seed gives the same numbers. Another one adds float32 numbers in another order, and a
    training magnifies that: without --exact or --tolerance, losses, accuracies and the scores beside them may differ
    by 0.01 (1 point), and counts that follow from trained weights by 1 %; single test answers and the recall of single
    classes are told and not judged. All else must be equal. What networks cost (median_s, ratio to dense,
    energy_j_per_image) is compared only if a tolerance for it is given, and only between records of one environment.
    """
    allowed = _tolerances(tolerance or (), exact)
    (left, costs), (right, other_costs) = _records(a), _records(b)
    both = [(left[i], right[i]) for i in left if i in right]
    lacking = [(i, "only in a") for i in left if i not in right] + [(i, "only in b") for i in right if i not in left]
    unlike = [d for one, other in both for d in list_differences(one, other)]
    measured = [d for i in costs.keys() & other_costs.keys() for d in list_cost_differences(costs[i], other_costs[i])]
    unlike += [d for d in measured if d.metric in allowed]
    beyond = [d for d in unlike if not d.within(allowed)]
    same_place = sum(one.environment == other.environment for one, other in both)
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    wrong = len({d.id for d in beyond})
    lines = [
        *(f"{name} = {path}: {len(records)} trials" for name, path, records in (("a", a, left), ("b", b, right))),
        f"{len(both)} trials in both, {same_place} of them from one environment; "
        f"{len(left) - len(both)} only in a, {len(right) - len(both)} only in b",
        f"{len(both) - wrong} agree, {len(both) - len({d.id for d in unlike})} of them exactly; {wrong} differ",
    ]
    if any(metric in COSTS for metric in allowed) and not measured:
        lines.append("times and energies left out: no network was measured in one environment in both")
    for line in (*lines, *_answered(both, unlike), *_words(unlike)):
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if any(d.size is not None for d in unlike):
        console.print(_summary(unlike, allowed))
    if details:
        table = Table("trial", "field", "a", "b", title="Trial by trial", title_justify="left")
        for d in beyond:
            table.add_row(d.id, d.field, _short(d.a), _short(d.b))
        for trial_id, where in lacking:
            table.add_row(trial_id, where)
        console.print(table)
    if not both:
        raise FailedError("the two have no trial in common")
    if beyond or lacking:
        more = "" if details else "; --details lists them"
        raise FailedError(f"{wrong} trials differ, {len(lacking)} are in one only{more}")


def _records(path: Path) -> tuple[dict[str, Record], dict[str, CostRecord]]:
    with opened(path) as layout:
        return {r.id: r for r in Store(layout).records()}, {r.id: r for r in read_costs(layout)}


def _summary(unlike: Sequence[Difference], allowed: Mapping[str, float]) -> Table:
    """How many trials differ in each number, and by how much at most."""
    table = Table("number", "trials not equal", "beyond the tolerance", "largest difference", "tolerance")
    groups: dict[tuple[str, str], list[Difference]] = {}
    for d in unlike:
        if d.size is not None:
            groups.setdefault((d.field.split(".")[0], d.metric), []).append(d)
    for (part, metric), group in groups.items():
        largest, limit = max(d.size or 0.0 for d in group), allowed.get(metric, 0.0)
        trials, wrong = ({d.id for d in ds} for ds in (group, [d for d in group if not d.within(allowed)]))
        form = "%" if metric in (*COSTS, *COUNTS, "predictions") else "g"
        limited = "any" if limit == math.inf else f"{limit:.3{form}}"
        name = metric if part == metric else f"{part} {metric}"
        table.add_row(name, str(len(trials)), str(len(wrong)), f"{largest:.2{form}}", limited)
    return table


def _answered(both: Sequence[tuple[Record, Record]], unlike: Sequence[Difference]) -> Iterator[str]:
    """One line about the answers on the test images of trials on the same images."""
    images = {
        one.id: one.data.test
        for one, other in both
        if one.data.content_hash == other.data.content_hash and one.predictions and other.predictions
    }
    if images:
        shares = {d.id: d.b for d in unlike if d.field == "predictions" and d.size is not None}
        same = sum(count * shares.get(trial_id, 1.0) for trial_id, count in images.items())
        fewest = f", fewest in {min(shares, key=lambda i: shares[i])}: {min(shares.values()):.2%}" if shares else ""
        yield f"{same / sum(images.values()):.3%} of {sum(images.values()):,} test answers are equal{fewest}"


def _words(unlike: Sequence[Difference]) -> Iterator[str]:
    """One line for each field that is no number, or lacks in one: what stands in a and in b, in how many trials."""
    fields: dict[str, Counter[str]] = {}
    for d in {(d.id, _place(d)): d for d in unlike if d.size is None}.values():
        only = f"only in {'a' if d.b is None else 'b'}"
        pair = only if None in (d.a, d.b) else f"{_short(d.a)} in a, {_short(d.b)} in b"
        fields.setdefault(_place(d), Counter())[pair] += 1
    for name, pairs in fields.items():
        (first, count), *others = pairs.most_common()
        yield f"{name}: {first} ({count} trials{f'; {len(others)} other pairs' if others else ''})"


def _place(d: Difference) -> str:
    parts = [part for part in d.field.split(".") if not part.isdigit()]
    return parts[0] if None in (d.a, d.b) else " ".join(parts)


def _short(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def _tolerances(words: Sequence[str], exact: bool) -> dict[str, float]:
    metrics = sorted({*TOLERANCES, *COSTS})
    tolerances = {} if exact else dict(TOLERANCES)
    for word in words:
        name, _, number = word.partition("=")
        if name not in metrics:
            raise unknown("metric", name, metrics)
        try:
            tolerances[name] = float(number)
        except ValueError:
            tolerances[name] = math.nan
        if not 0 <= tolerances[name] < math.inf:
            raise PaperlibError(f"--tolerance wants metric=number, at least 0, such as accuracy=0.01, not {word!r}")
    return tolerances
