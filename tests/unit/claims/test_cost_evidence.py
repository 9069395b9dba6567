"""Costs as evidence: whole trainings from steps and boundaries, the noise floor, false alarms and power."""

import numpy as np
import pandas as pd
import pytest

from paperlib.claims.builders import above, below
from paperlib.claims.cost_evidence import COSTS, CostTable
from paperlib.claims.evidence import Evidence
from paperlib.claims.settings import Setting, grid_p
from paperlib.costs.records import cost_table
from paperlib.data import DATASETS
from tests import claim_records as made

SET = Setting("mnist", "mlp-small", "set", 0.0, 0.5)


def test_a_training_is_steps_times_step_plus_boundaries_times_boundary() -> None:
    (record,) = made.cost_records(lambda s: {"time": 1.25}, noise=0, arms=[SET])
    runs = tuple(run.model_copy(update={"boundary_s": {"masked": 2.0}}) for run in record.runs)
    rows = CostTable(cost_table([record.model_copy(update={"runs": runs})])).of(SET)
    steps = 10 * -(-DATASETS["mnist"].counts[0] // 64)  # P's epochs, and batches of all its images
    assert rows.train_s.tolist() == pytest.approx([steps * 0.005 + 9 * 2.0] * 3)
    assert rows.train_ratio.tolist() == pytest.approx([(steps * 0.005 + 9 * 2.0) / (steps * 0.004)] * 3)
    # The boundary draws the watts of a dense step: 64 images of 0.1 J in 4 ms.
    assert rows.train_energy_j.tolist() == pytest.approx([steps * 6.4 + 9 * 2.0 * 6.4 / 0.004] * 3)
    assert rows.train_co2_g.tolist() == pytest.approx((rows.train_energy_j / 3.6e6 * 400).tolist())


def test_post_training_has_the_training_of_dense() -> None:
    arm = SET._replace(method="post-training")
    table = CostTable(made.costs(lambda s: {"inference": 0.5}, noise=0, arms=[arm]))
    assert set(table.of(arm).train_ratio) == {1.0}
    assert table.effect(COSTS["inference_time"], arm) == table.effect(COSTS["inference_time_b1"], arm)
    assert table.effect(COSTS["inference_time"], arm).mean == pytest.approx(0.5)  # type: ignore[union-attr]


def test_data_sets_of_one_shape_share_a_measurement_and_others_have_none() -> None:
    table = CostTable(made.costs(arms=[SET]))
    assert set(table.of(SET._replace(dataset="fashionmnist")).id) == set(table.of(SET).id) != set()
    for other in (SET._replace(dataset="emnist"), SET._replace(linear=0.8), SET._replace(model="mlp-medium")):
        assert table.of(other).empty and table.effect(COSTS["training_time"], other) is None
    assert CostTable(pd.DataFrame()).of(SET).empty


def test_the_floor_is_the_95th_percentile_of_dense_measured_again() -> None:
    costs = made.costs(arms=[SET, SET._replace(model="mlp-medium")])
    costs["step_ratio_again"] = [1.01, 0.98, 1.03, 1.1, 1.0, 0.9]
    table = CostTable(costs)
    of_small = np.percentile([0.01, 0.02, 0.03], 95)
    assert table.floor(COSTS["training_time"], {"mlp-small"}) == pytest.approx(of_small)
    assert table.floor(COSTS["training_time"], {"mlp-medium"}) == pytest.approx(np.percentile([0.1, 0.0, 0.1], 95))
    assert table.floor(COSTS["peak_memory"], {"mlp-small"}) == 0  # counted, so without any noise
    assert CostTable(pd.DataFrame()).floor(COSTS["training_time"]) is None


def test_false_alarms_are_rare_and_a_slowdown_of_three_per_cent_is_found() -> None:
    arms = grid_p(("layerwise",), (0.5,), ("mnist",), ("mlp-small",))
    arms = [arm for arm in arms if arm.method == "set"]

    def words(factor: float, seeds: range) -> list[str]:
        tables = (made.costs(lambda s: {"time": factor}, seed=n, noise=0.003, arms=arms) for n in seeds)
        return [above("training_time", arms)(Evidence.of(pd.DataFrame(), table)).base for table in tables]

    assert words(1.0, range(200)).count("supported") <= 0.05 * 200
    assert words(1.03, range(40)).count("supported") >= 36
    assert below("training_time", arms)(
        Evidence.of(pd.DataFrame(), made.costs(lambda s: {"time": 1.03}, noise=0.003, arms=arms))
    ).base in {"contradicted"}
