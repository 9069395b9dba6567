"""What the findings and the tables by trial say of records of a real, small run."""

from dataclasses import replace

import pandas as pd

from paperlib.claims.cost_evidence import COSTS, CostTable, Network
from paperlib.claims.verdict import Base, Verdict
from paperlib.exhibits import effect_figures
from paperlib.exhibits.results import Source
from paperlib.report.findings import findings, headlines


def test_another_width_of_the_trials_is_told(made: Source) -> None:
    def caption(width: float) -> str:
        exhibit = effect_figures.pareto(replace(made, table=made.table.assign(width=width)), "mlp-small")
        assert exhibit
        return exhibit.caption

    assert "The trials have width 0.5, the cost records 1." in caption(0.5) and "have width" not in caption(1.0)


def test_findings_count_what_the_records_say(made: Source) -> None:
    told = findings(made.table, made.costs)
    assert any(f.lead.startswith("Accuracy is lower in") and "of 4 pruned arms" in f.lead for f in told)
    assert told[-1].lead == "Images" and "stand-in" in told[-1].text
    failed = made.table.assign(status="failed", reason="loss is nan")
    assert any("failed to train" in f.lead and "loss is nan" in f.text for f in findings(failed, made.costs))


def timed(made: Source, ratio: float, again: float = 1.02) -> CostTable:
    """The costs with this realised inference of SET, 1 of the others, and this floor."""
    rows = made.costs.rows.assign(realised_inference_b64_ratio=1.0, inference_b64_ratio_again=again)
    rows.loc[rows.method == "set", "realised_inference_b64_ratio"] = ratio
    return CostTable(rows)


def test_masked_costs_are_counted_beyond_the_noise(made: Source) -> None:
    rows = made.costs.rows.assign(
        inference_b64_ratio=0.9, inference_b64_ratio_again=1.02, step_ratio=1.2, boundary_s=0.0, step_ratio_again=1.5
    )
    told = {f.lead.partition(",")[0]: f.markdown() for f in findings(made.table, CostTable(rows))}
    assert "12 of 12 arms cost less than dense, 0 more" in told["Inference time"]
    floor = CostTable(rows).floor(COSTS["inference_time"], Network("mlp-small", 28))
    assert floor and f"mlp-small 28 px ±{floor.mean:.1%}" in told["Inference time"]
    assert "n = 2 fresh processes" in told["Inference time"]
    # Post-training has dense's own training, so it is no arm here.
    assert "0 of 8 arms cost less than dense, 0 more" in told["Training time"]
    assert "×1.200" in told["Training time"]
    assert "Inference time" not in {f.lead for f in findings(made.table, CostTable(made.costs.rows[:0]))}


def fastest(table: pd.DataFrame, costs: CostTable) -> str:
    return next(f.markdown() for f in findings(table, costs) if "really skipped, inference is" in f.lead)


def test_what_pruning_buys_is_the_fastest_arm_that_keeps_its_accuracy(made: Source) -> None:
    def told(set_accuracy: float, majority: float, ratio: float = 0.5) -> str:
        table = made.table.assign(test_accuracy=0.9, test_majority=majority)
        table.loc[made.table.method == "set", "test_accuracy"] = set_accuracy
        return fastest(table, timed(made, ratio))

    assert "×0.500" in told(0.9, 0.1) and "(set, " in told(0.9, 0.1)
    assert "faster than dense in 4 of 12" in told(0.9, 0.1) and "in 0 of 12" in told(0.9, 0.1, ratio=1.0)
    assert "nothing beyond the noise" in told(0.88, 0.1)  # two points are more than a reader pays
    assert "nothing beyond the noise" in told(0.9, 0.895)  # what has not learnt has nothing to lose
    assert "nothing beyond the noise" in told(0.9, 0.1, ratio=1.0)


def test_one_process_is_beyond_no_noise(made: Source) -> None:
    table, rows = made.table.assign(test_accuracy=0.9, test_majority=0.1), timed(made, 0.5).rows
    said = fastest(table, CostTable(rows[rows.process == 0]))
    assert "faster than dense in 0 of" in said and "nothing beyond the noise" in said and "×" not in said


def test_what_ps_shares_buy_stands_first_with_its_accuracy(made: Source) -> None:
    table = made.table.assign(test_accuracy=0.9, test_majority=0.1)
    table.loc[table.method == "pre-training", "test_accuracy"] = 0.88
    rows = made.costs.rows.assign(
        inference_b64_ratio=0.97, realised_inference_b64_ratio=0.4, step_ratio=1.1, realised_step_ratio=0.6,
        boundary_s=0.0, realised_boundary_s=0.0,
    )  # fmt: skip
    bought, accuracy, *_ = findings(table, CostTable(rows))
    assert bought.lead.startswith("P's 50 %: with masks") and accuracy.lead.startswith("Accuracy is")
    for part in ("takes ×0.97 of dense's time", "it takes ×0.40, at -2.0 points of test accuracy"):
        assert part in bought.lead
    for part in (
        "`mlp-small`",
        "×1.10 with masks, ×0.60 with",
        "] points at 50%",
        "n = 2 seeds, width 1",
    ):
        assert part in bought.text, bought.text
    assert "P's 50" not in str(findings(table, CostTable(rows[:0])))


def test_the_third_headline_counts_the_claims(made: Source) -> None:
    bases: tuple[Base, ...] = ("supported", "contradicted", "contradicted", "no effect", "inconclusive")
    decided = [Verdict(base, claim=f"C{i}") for i, base in enumerate(bases)]
    *_, fared = headlines(made.table, made.costs, decided)
    assert fared.lead == "Of the 5 claims of the two papers these records support 1 and contradict 2; 1 stay open"
    assert "Contradicted: C1, C2." in fared.text and "The others: 1 no effect." in fared.text


def test_the_machine_is_named_and_a_missing_gpu_too(made: Source) -> None:
    of_gpu = made.table.assign(gpu="NVIDIA H200")
    told = [any("No trial ran on a GPU" in f.text for f in findings(t, made.costs)) for t in (made.table, of_gpu)]
    assert told == [True, False]
