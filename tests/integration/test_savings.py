"""What the papers' 50 and 80 % buy: the table's figures are those of the cost records, and of trials beside dense."""

import numpy as np
import pandas as pd
import pytest

from paperlib.exhibits import collation, savings
from paperlib.exhibits.results import Source
from tests import measured_costs


def test_times_are_those_of_the_cost_records_and_accuracies_those_of_the_trials(made: Source) -> None:
    exhibit = savings.table(made)
    assert exhibit is not None
    table = pd.read_csv(made.layout.tables / "edge_papers.csv")
    assert list(table.network) == ["P: mlp-small at 28×28×1"] * 2 and list(table.removed) == [
        "global 50%",
        "global 80%",
    ]
    for row, share in zip(table.to_dict("records"), (0.5, 0.8), strict=True):
        (record,) = (
            r
            for r in measured_costs.perceptron()
            if (r.setting.method, r.setting.scope, r.setting.sparsity) == ("pre-training", "global", share)
        )
        ratios = [
            next(t.ratio for t in run.inference if t.variant == "masked" and t.batch_size == 64) for run in record.runs
        ]
        shown = float(row["inference, batch 64, masked"].lstrip("×").split()[0])
        assert shown == pytest.approx(np.exp(np.mean(np.log(ratios))), abs=0.02)
        assert record.id in exhibit.trials
    scores = {
        (r.trial.method, r.trial.scope, r.trial.seed): r.test.accuracy
        for r in made.records
        if r.test and not r.trial.quirks
    }
    change = {
        method: 100 * np.mean([scores[method, "global", s] - scores["dense", "global", s] for s in (0, 1)])
        for method in ("pre-training", "set")
    }
    best, worst = sorted(change, key=lambda method: -change[method])
    half, most = table["accuracy, points"]
    assert half == f"{change[best]:+.1f} ({best}) to {change[worst]:+.1f} ({worst})" and most == "–"
    assert "n = 2 seed(s)" in exhibit.caption and "A/A noise floor" in exhibit.caption


def test_it_is_of_section_04_and_none_without_costs(made: Source) -> None:
    assert [e.name for e in collation.write("04", made.layout)] == ["edge_papers"]
    for path in made.layout.costs.glob("*.json"):
        path.unlink()
    assert collation.write("04", made.layout) == []
