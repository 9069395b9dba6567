"""Collating many records: 100,000 in 10 seconds at most, and time in proportion to their number.

`python benchmarks/collate.py [--check] [--records 100000]`. The records are those of one real tiny trial with
other settings and figures, five seeds an arm: files on disk, read by the Store. `collate` is what a report does when
a hundredth of the records is new: table, arms of all metrics, claims. `cold` reads every file, once in the life of
a results folder; `memory` makes the table from records that are in memory already.
"""

import argparse
import itertools
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from report import finish

from paperlib.claims import verdicts
from paperlib.claims.effects import METRICS, arms
from paperlib.claims.settings import METHODS, MODELS, P_MODELS, P_SETS, SETS
from paperlib.core.paths import Layout
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial
from paperlib.trials.runner import run
from paperlib.trials.store import Store, tidy

LIMIT_S = 10.0
SEEDS = 5


def settings() -> Iterator[dict[str, object]]:
    """Dense, the 0 % control and pruned arms of both papers, over and over with further data sets."""
    # Growth brings new arms, not more seeds of the old ones: the harder case.
    for turn in itertools.count():
        for dataset, model in [*itertools.product(SETS, MODELS), *itertools.product(P_SETS, P_MODELS)]:
            base: dict[str, object] = {"dataset": dataset if not turn else f"{dataset}-{turn}", "model": model}
            pruned = itertools.product(METHODS, ((0.8, 0.8), (0.5, 0.8), (0.0, 0.8), (0.0, 0.5)))
            yield from (base, base | {"method": "random"})
            yield from (base | {"method": m, "conv_sparsity": c, "sparsity": s} for m, (c, s) in pruned)


def records(template: Record, count: int) -> list[Record]:
    """`count` records with figures of their own."""
    rng, found = random.Random(0), []
    for fields, seed in ((f, n) for f in settings() for n in range(SEEDS)):
        if len(found) == count:
            break
        trial = Trial.model_construct(**(template.trial.model_dump() | fields | {"seed": seed}))
        assert template.training is not None
        cost = template.training.model_copy(update={"time_s": rng.lognormvariate(0, 0.02)})
        change = {"id": trial.id, "trial": trial, "training": cost}
        found.append(template.model_copy(update=change))
    return found


def fill(layout: Layout, new: list[Record]) -> None:
    """Write without syncing each file to the disk, which is not what is measured here."""
    layout.trials.mkdir(parents=True, exist_ok=True)
    for record in new:
        (layout.trials / f"{record.id}.json").write_text(record.model_dump_json(indent=1))


def collate(layout: Layout) -> int:
    """What a report does with its records; returns how many there are."""
    table = Store(layout).table()
    for metric in METRICS.values():
        arms(table, metric)
    verdicts(table)
    return len(table)


def clock(job: Callable[..., object], *args: object) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    job(*args)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--records", type=int, default=100_000)
    total = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PAPERLIB_OUTPUT"] = folder
        template = run(
            Trial(method="set", sparsity=0.5, epochs=3, train_images=100, test_images=50), Layout.of("template")
        )
        every = records(template, total)
        took = {}
        for count in (total // 4, total // 2, total):
            layout = Layout.of(f"n{count}")
            late = count // 100
            fill(layout, every[: count - late])
            cold = clock(Store(layout).table)
            fill(layout, every[count - late : count])
            took[count] = clock(collate, layout)
            memory = clock(tidy, every[:count])
            print(
                f"{count:>7,} records: cold {cold:5.1f} s, memory {memory:5.1f} s, collate {took[count]:5.1f} s",
                file=sys.stderr,
            )
        assert len(list(Path(folder).rglob("*.parquet"))) == 3
    finish(
        [
            (f"collate_{total}_s", took[total], LIMIT_S, False),
            ("cold_read_s", cold, LIMIT_S, False),
            ("growth_4x", took[total] / took[total // 4], 5.0, False),
        ]
    )


if __name__ == "__main__":
    main()
