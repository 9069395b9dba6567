"""Own results beside the committed ones: what agrees, within what, and what cannot be compared."""

import pandas as pd

from paperlib.core.paths import Layout
from paperlib.costs.records import cost_table, read_costs
from paperlib.report.committed import trials_of
from paperlib.schema.record import Record
from paperlib.trials.archive import archives, open_archive
from paperlib.trials.differences import TOLERANCES
from paperlib.trials.store import Store

POINTS = TOLERANCES["accuracy"]
COST = 0.2  # ratios to dense, of the same machine


def agreement(layout: Layout) -> str:
    """A sentence on the results in `layout` against the first committed archive that shares trials with them."""
    if not archives():
        return "Reference: none is committed, so nothing was compared."
    records = {r.id: r for r in Store(layout).records()}
    for archive in archives():
        if not trials_of(archive) & records.keys():
            continue
        with open_archive(archive) as unpacked:
            pairs = [(records[r.id], r) for r in Store(unpacked).records() if r.id in records]
            costs = [cost_table(read_costs(each)) for each in (layout, unpacked)]
        return _line(pairs, _ratios(*costs), len(records), f"results/{archive.parent.name}")
    names = ", ".join(f"results/{a.parent.name}" for a in archives())
    return f"Reference: none of these {len(records)} trials is in {names}: other budgets, nothing was compared."


def _ratios(own: pd.DataFrame, reference: pd.DataFrame) -> list[tuple[float, float]]:
    """Masked and realised inference beside dense, (own, reference), of settings that one machine measured for both."""
    if own.empty or reference.empty:
        return []
    names = [f"{way}inference_{size}_ratio" for way in ("", "realised_") for size in ("b1", "b64")]
    means = [table.groupby(["id", "device", "cpu", "threads"])[names].mean() for table in (own, reference)]
    both = means[0].join(means[1].add_suffix(" reference"), how="inner")
    return [(a, b) for name in names for a, b in zip(both[name], both[f"{name} reference"], strict=True)]


def _line(pairs: list[tuple[Record, Record]], ratios: list[tuple[float, float]], total: int, name: str) -> str:
    of_same_images = [(a, b) for a, b in pairs if a.data.content_hash == b.data.content_hash]
    scored = [(a.test.accuracy, b.test.accuracy) for a, b in of_same_images if a.test and b.test]
    equal, near = sum(a == b for a, b in scored), sum(abs(a - b) <= POINTS for a, b in scored)
    text = (
        f"Against the reference {name}: {len(pairs)} of {total} trials are in both; test accuracy of {near} of "
        f"{len(scored)} agrees within {100 * POINTS:g} point ({equal} exactly)"
    )
    if ratios:
        close = sum(abs(s - t) <= COST * max(s, t) for s, t in ratios)
        text += f", {close} of {len(ratios)} inference ratios within {COST:.0%}"
    else:
        text += ", no costs of the same networks on the same CPU"
    other = len(pairs) - len(of_same_images)
    return text + (f". Not comparable: accuracy of {other} (other images)." if other else ".")
