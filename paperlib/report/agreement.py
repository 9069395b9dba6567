"""Own results beside the committed ones, in two lines: what agrees, within what, and what cannot be compared."""

from paperlib.claims import verdicts
from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.report.committed import trials_of
from paperlib.report.pages import settled
from paperlib.schema.record import Record
from paperlib.trials.archive import archives, open_archive
from paperlib.trials.differences import TOLERANCES
from paperlib.trials.store import Store

POINTS = TOLERANCES["accuracy"]
COST = 0.2  # ratios to dense, of the same machine


def agreement(layout: Layout) -> list[str]:
    """Lines about the results in `layout` against the first committed archive that shares trials with them.

    They are kept beside the report, and worked out again when that has changed.
    """
    told = layout.report / ".agreement"
    if not settled(told, layout):
        write_atomically(told, "\n".join(_agreement(layout)).encode())
    return told.read_text().splitlines()


def _agreement(layout: Layout) -> list[str]:
    if not archives():
        return ["Reference: none is committed, so nothing was compared."]
    own = {r.id: r for r in Store(layout).records()}
    for archive in archives():
        if not trials_of(archive) & own.keys():
            continue
        with open_archive(archive) as kept:
            theirs = {r.id: r for r in Store(kept).records()}
            pairs = [(own[i], theirs[i]) for i in own if i in theirs]
            if pairs:
                table = Store(kept).table()
                lines = _lines(pairs, len(own), f"results/{kept.name}")
                same = [a.base == b.base for a, b in zip(verdicts(Store(layout).table()), verdicts(table), strict=True)]
                details = f"Details: paperlib compare {layout.results} {archive}"
                return [*lines, f"{sum(same)} of {len(same)} claims get the reference's verdict. {details}"]
    names = ", ".join(f"results/{a.parent.name}" for a in archives())
    return [f"Reference: none of these {len(own)} trials is in {names}: other budgets, nothing was compared."]


def _lines(pairs: list[tuple[Record, Record]], total: int, name: str) -> list[str]:
    images = [(a, b) for a, b in pairs if a.data.content_hash == b.data.content_hash]
    scored = [(a.test.accuracy, b.test.accuracy) for a, b in images if a.test and b.test]
    equal, near = sum(a == b for a, b in scored), sum(abs(a - b) <= POINTS for a, b in scored)
    here = [(a, b) for a, b in images if a.environment == b.environment]
    ratios = [
        (s.ratio, t.ratio)
        for a, b in here
        for s in a.inference
        for t in b.inference
        if (s.variant, s.batch_size) == (t.variant, t.batch_size) != ("dense", s.batch_size)
    ]
    close = sum(abs(s - t) <= COST * max(s, t) for s, t in ratios)
    text = (
        f"Against the reference {name}: {len(pairs)} of {total} trials are in both; test accuracy of {near} of "
        f"{len(scored)} agrees within {100 * POINTS:g} point ({equal} exactly)"
    )
    if ratios:
        text += f", {close} of {len(ratios)} inference ratios within {COST:.0%}"
    left = []
    if len(images) < len(pairs):
        left.append(f"accuracy of {len(pairs) - len(images)} (other images)")
    if len(here) < len(images):
        left.append(f"times, energies and memory of {len(images) - len(here)} (other machine or versions)")
    return [text + (f". Not comparable: {'; '.join(left)}." if left else ".")]
