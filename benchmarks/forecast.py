"""What `paperlib plan` foretells for a sample of `quick`, beside what those trials then take: within a factor of 1.5.

`python benchmarks/forecast.py [--check]`, on a machine that does nothing else. About a minute.
"""

import os
import statistics
import tempfile
import time

from report import finish

from paperlib import studies
from paperlib.core.paths import Layout
from paperlib.costs.forecast import cost, kind, total
from paperlib.costs.unit_costs import units_of
from paperlib.trials.runner import load_images, run

TIMES = 3


def main() -> None:
    os.environ["PAPERLIB_DEVICE"] = "cpu"
    small = studies.mlp("quick", datasets=["mnist"], models=["mlp-small"], scopes=["global"], seeds=1)
    medium = studies.mlp("quick", datasets=["mnist"], models=["mlp-medium"], sparsities=[0.5], seeds=1)
    filters = [t for t in studies.vgg("quick", scopes=["global"], methods=["set"]) if t.sparsity and not t.quirks]
    trials = [*small[:4], *medium[:3], *filters]
    for trial in trials:
        load_images(trial)  # reading or drawing images is no part of the forecast
    ratios = []
    for _ in range(TIMES):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["PAPERLIB_OUTPUT"] = folder
            units = units_of(map(kind, trials), [])
            told = total(cost(t, units[kind(t)]) for t in trials).time_s
            start = time.perf_counter()
            for trial in trials:
                run(trial, Layout.of("scratch"))
            taken = time.perf_counter() - start
        print(f"{len(trials)} trials: forecast {told:.1f} s, taken {taken:.1f} s")
        ratios.append(max(told / taken, taken / told))
    finish([("forecast and taken, the larger over the smaller", statistics.median(ratios), 1.5, False)])


if __name__ == "__main__":
    main()
