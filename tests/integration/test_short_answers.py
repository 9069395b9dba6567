"""The short answers of the notebooks, on tables whose truth is chosen here; and what they say where it is open."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from paperlib.claims import CLAIMS, Verdict
from paperlib.claims.cost_evidence import CostTable
from paperlib.claims.settings import Setting
from paperlib.core.paths import Layout
from paperlib.report import short_answers
from paperlib.report.short_answers import OPEN, answer_of_claims, collapsed_runs, sentences
from tests import claim_records

LOST = {0.5: 0.02, 0.8: 0.10}  # of accuracy, by the share of weights removed
NOTHING = CostTable(pd.DataFrame())


def mlp(seeds: int) -> pd.DataFrame:
    """Perceptrons that lose LOST, but on `emnist`, where dense has not learnt."""

    def truth(s: Setting) -> dict[str, float]:
        return {"accuracy": 0.21 if s.dataset == "emnist" else 0.9 - LOST.get(s.linear, 0.0)}

    table = claim_records.table(truth, seeds=seeds)
    return table[table.model.str.startswith("mlp")]


def test_the_answer_has_the_medians_the_counts_and_n() -> None:
    table = mlp(3)
    accuracy, time = sentences("mlp", table, NOTHING)
    assert "-2.0 (global 50%), -10.0 (global 80%), -2.0 (layerwise 50%), -10.0 (layerwise 80%); n = 3 seeds" in accuracy
    pruned = table[(table.sparsity > 0) & (table.dataset != "emnist")]
    count = len(pruned.groupby(["dataset", "model", "method", "scope", "sparsity"]))
    assert f"Of {count} pruned arms {count} are below dense and 0 above" in accuracy and "; 0 stay open" in accuracy
    assert "mlp-medium on emnist, mlp-small on emnist" in accuracy and OPEN not in accuracy
    assert OPEN in time, "nothing was timed"


@pytest.mark.parametrize(
    "cut",
    [
        lambda table: table[table.seed == 0],
        lambda table: table[table.sparsity == 0],
        lambda table: table[table.dataset == "emnist"],
    ],
)
def test_what_the_records_do_not_decide_is_open(cut: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    accuracy, _ = sentences("mlp", cut(mlp(3)), NOTHING)
    assert OPEN in accuracy


def test_times_are_those_of_the_costs() -> None:
    costs = claim_records.costs(lambda s: {"inference": 0.5} if s.method != "dense" else {})
    *_, time = sentences("vgg", mlp(3), CostTable(costs))
    of_vgg = costs[(costs.model == "vgg16") & (costs.method != "dense")]
    assert "masked, as in the papers, ×0.50 at the median" in time and "n = 3 fresh processes" in time
    count, total = (int(n) for n in time.partition("faster beyond the noise in ")[2].partition(";")[0].split(" of "))
    assert count == total > 0 and total <= of_vgg.id.nunique()


def test_collapsed_runs_are_counted_beside_dense() -> None:
    def truth(s: Setting) -> dict[str, float]:
        return {"accuracy": 0.21 if s.conv == 0.8 and s.model == "vgg16" else 0.9}

    table = claim_records.table(truth, seeds=2)
    table = table[table.dataset.isin(["bloodmnist", "visa"]) & table.model.isin(["vgg16", "resnet18"])]
    counts = collapsed_runs(table).set_index(["model", "scenario"])
    runs = len(table[(table.model == "vgg16") & (table.conv_sparsity == 0.8)])
    assert tuple(counts.loc["vgg16", "scenario i"]) == (runs, runs) and runs > 0
    assert counts["near chance"].sum() == runs
    collapse, *_ = sentences("industrial", table, NOTHING)
    assert f"0 of {len(table[table.method == 'dense'])} runs of dense" in collapse
    assert f"{runs} of {2 * runs} runs in scenario i" in collapse and OPEN not in collapse


def test_the_answer_on_claims_says_what_is_decided_here_and_what_in_the_reference(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = list(CLAIMS)
    here = [Verdict("supported" if n < 2 else "inconclusive", needs="x", claim=name) for n, name in enumerate(names)]
    bases = ["contradicted", "contradicted", "no effect", *["too noisy to tell"] * (len(names) - 3)]
    monkeypatch.setattr(short_answers, "reference", lambda: tmp_path / "laptop" / "records.tar.xz")
    monkeypatch.setattr(short_answers, "reference_bases", lambda archive: dict(zip(names, bases, strict=True)))
    said = answer_of_claims(here, layout)
    assert f"Of {len(names)} claims the records in results/scratch decide 2: 2 supported" in said
    assert f"results/laptop, decides: 1 no effect ({names[2]})" in said
    assert f"{len(names) - 3} stay open in both" in said
