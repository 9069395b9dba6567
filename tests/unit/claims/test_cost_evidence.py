"""Costs as evidence: whole trainings from steps and boundaries, the noise floor, false alarms and power."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from paperlib.claims.builders import above, below
from paperlib.claims.cost_evidence import COSTS, CostTable, Network
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


def test_the_floor_is_students_bound_on_dense_measured_again() -> None:
    costs = made.costs(arms=[SET, SET._replace(model="mlp-medium")])
    costs["step_ratio_again"] = [1.01, 0.98, 1.03, 1.1, 1.0, 0.9]
    table, small = CostTable(costs), Network("mlp-small", 28)
    floor = table.floor(COSTS["training_time"], small)
    logs = np.log([1.01, 0.98, 1.03])
    assert floor is not None and floor.n == 3
    assert np.log1p(floor.mean) == pytest.approx(t(3).ppf(0.975) * np.sqrt((logs**2).mean()))
    assert floor.low is not None and floor.high is not None and floor.low < floor.mean < floor.high
    other = table.floor(COSTS["training_time"], Network("mlp-medium", 28))
    assert other is not None and other.mean > 2 * floor.mean, "each network has its own"
    counted = table.floor(COSTS["peak_memory"], small)
    assert counted is not None and counted.mean == 0, "counted, so without any noise"
    assert CostTable(pd.DataFrame()).floor(COSTS["training_time"], small) is None


def test_the_floor_is_exceeded_once_in_twenty_and_its_interval_covers_it() -> None:
    rng, beyond, covered, true = np.random.default_rng(0), 0, 0, norm.ppf(0.975) * 0.02
    costs = made.costs(arms=[SET])
    for again, new in zip(rng.normal(0, 0.02, (400, 3)), rng.normal(0, 0.02, 400), strict=True):
        floor = CostTable(costs.assign(step_ratio_again=np.exp(again))).floor(
            COSTS["training_time"], Network("mlp-small", 28)
        )
        assert floor and floor.low is not None and floor.high is not None
        beyond += abs(new) > np.log1p(floor.mean)
        factor = t(3).ppf(0.975) / norm.ppf(0.975)
        covered += np.log1p(floor.low) <= factor * true <= np.log1p(floor.high)
    assert beyond / 400 == pytest.approx(0.05, abs=0.025) and covered / 400 == pytest.approx(0.95, abs=0.025)


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
