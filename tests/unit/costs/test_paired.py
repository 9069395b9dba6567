"""The paired comparison: ratios and intervals on a clock that we move ourselves, then on real work."""

import gc
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mstats
from scipy.stats import t as students

from paperlib.claims.stats import Estimate, mean_interval
from paperlib.core.errors import PaperlibError
from paperlib.costs.paired import compare, load_time, paired_interval
from paperlib.meters import Meters
from paperlib.meters.carbon import Grid
from paperlib.meters.protocols import NoMeter
from paperlib.schema.measurement import Timing
from tests.simulated_meters import PowerTrace, SimulatedEnergy, SimulatedTime

GRID = Grid("ITA", "Italy", 360.0)


def fake() -> tuple[Meters, SimulatedTime]:
    clock = SimulatedTime()
    return Meters("cpu", clock, NoMeter("none"), GRID), clock


def takes(clock: SimulatedTime, seconds: float) -> Callable[[], None]:
    return lambda: clock.advance(seconds)


@given(
    dense=st.floats(1e-6, 10),
    factors=st.lists(st.floats(0.01, 100), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=30, deadline=None)
def test_constant_speeds_give_exact_ratios(dense: float, factors: list[float], seed: int) -> None:
    meters, clock = fake()
    variants = {"dense": takes(clock, dense)} | {f"v{i}": takes(clock, dense * f) for i, f in enumerate(factors)}
    timings = compare(variants, batch_size=64, meters=meters, min_rounds=7, budget_s=1e9, seed=seed)
    assert [t.variant for t in timings] == list(variants)
    for timing, factor in zip(timings, [1.0, *factors], strict=True):
        assert timing.median_s == pytest.approx(dense * factor, rel=1e-3)
        assert timing.ratio == pytest.approx(factor, rel=1e-3)
        assert timing.ratio_low == pytest.approx(factor, rel=1e-3)
        assert timing.ratio_high == pytest.approx(factor, rel=1e-3)
        assert (timing.batch_size, timing.rounds) == (64, 60)
        assert (timing.energy_j_per_image, timing.energy_source) == (None, None)


def noisy(clock: SimulatedTime, seconds: float, rng: np.random.Generator, spread: float = 0.1) -> Callable[[], None]:
    """Work under heavy-tailed noise on a machine whose speed drifts by half every 0.3 s."""

    def call() -> None:
        drift = 1 + 0.5 * math.sin(10 * clock.now)
        clock.advance(seconds * drift * rng.lognormal(0, spread))

    return call


def simulated_intervals(factor: float, repetitions: int) -> list[Timing]:
    found = []
    for seed in range(repetitions):
        meters, clock = fake()
        rng = np.random.default_rng([seed, 1])
        variants = {"dense": noisy(clock, 0.01, rng), "other": noisy(clock, 0.01 * factor, rng)}
        found.append(compare(variants, batch_size=1, meters=meters, min_rounds=30, budget_s=1e9, seed=seed)[1])
    return found


@pytest.mark.parametrize("factor", [1.0, 0.7])
def test_the_interval_covers_the_true_ratio_about_as_often_as_it_claims(factor: float) -> None:
    found = simulated_intervals(factor, 300)
    covered = sum(t.ratio_low <= factor <= t.ratio_high for t in found) / len(found)
    # Binomial error of 300 repetitions at 95 % is 1.3 %; .
    assert 0.91 <= covered <= 0.99
    assert all(t.ratio_low <= t.ratio <= t.ratio_high for t in found)


def test_pairing_cancels_drift_that_would_drown_the_ratio() -> None:
    timing = simulated_intervals(0.9, 1)[0]
    assert timing.ratio_high - timing.ratio_low < 0.15
    assert timing.p99_s > 1.3 * timing.median_s


def test_variants_run_interleaved_in_changing_order() -> None:
    meters, clock = fake()
    seen: list[str] = []

    def named(name: str) -> Callable[[], None]:
        def call() -> None:
            seen.append(name)
            clock.advance(1.0)

        return call

    compare({n: named(n) for n in "abc"}, batch_size=1, meters=meters, min_rounds=40, budget_s=1e9, seed=0)
    rounds = ["".join(seen[i : i + 3]) for i in range(len(seen) - 120, len(seen), 3)]
    assert all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len(set(rounds)) == 6


def test_the_budget_ends_the_rounds_but_leaves_enough_for_an_interval() -> None:
    meters, clock = fake()
    two = {"dense": takes(clock, 1.0), "other": takes(clock, 1.0)}
    assert 20 <= compare(two, batch_size=1, meters=meters, min_rounds=3, budget_s=60, seed=0)[0].rounds < 30
    assert compare(two, batch_size=1, meters=meters, min_rounds=3, budget_s=0, seed=0)[0].rounds == 3
    assert compare(two, batch_size=1, meters=meters, min_rounds=3, budget_s=1e9, seed=0)[0].rounds == 60


def test_rare_variants_take_part_in_the_first_rounds_and_in_every_third() -> None:
    meters, clock = fake()
    variants = {"dense": takes(clock, 1.0), "half": takes(clock, 0.5), "again": takes(clock, 1.0)}
    timings = compare(variants, batch_size=1, meters=meters, min_rounds=9, budget_s=0, seed=0, rare={"half"})
    assert [t.rounds for t in timings] == [9, 5, 9]  # rounds 1, 2, 3, 6 and 9
    half = timings[1]
    assert (half.median_s, half.p99_s, half.ratio) == (pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0.5))


@given(st.lists(st.floats(0.1, 10), min_size=3, max_size=40))
@settings(max_examples=50, deadline=None)
def test_the_interval_is_that_of_scipys_trimmed_mean(ratios: list[float]) -> None:
    limits = (0.25, 0.25)
    low, high = mstats.trimmed_mean_ci(np.log(ratios), limits)
    expected = np.exp([mstats.trimmed_mean(np.log(ratios), limits), low, high])
    assert paired_interval(np.array(ratios)) == pytest.approx(expected, rel=1e-9)


def gpu(lost_at_s: float | None = None) -> tuple[Meters, SimulatedTime]:
    """A GPU at 300 W whose counter moves ten times a second."""
    clock = SimulatedTime()
    energy = SimulatedEnergy(clock, PowerTrace((0.0, 1.0), (300.0, 300.0)), lost_at_s=lost_at_s)
    return Meters("cuda", clock, energy, GRID), clock


def test_a_counter_gets_a_long_window() -> None:
    meters, clock = gpu()
    variants = {"dense": takes(clock, 2e-3), "half": takes(clock, 1e-3)}
    dense, half = compare(variants, batch_size=4, meters=meters, min_rounds=5, budget_s=5, seed=0)
    # 300 W x 2 ms / 4 images; the counter's two cut updates are a tenth of the window each at most.
    assert dense.energy_j_per_image == pytest.approx(0.15, rel=0.1)
    assert half.energy_j_per_image == pytest.approx(0.075, rel=0.1)
    assert dense.energy_source == "simulated"


def test_a_gpu_that_is_lost_leaves_the_times_standing() -> None:
    meters, clock = gpu(lost_at_s=0.0)
    timing = compare({"dense": takes(clock, 1e-3)}, batch_size=1, meters=meters, min_rounds=5, budget_s=1, seed=0)[0]
    assert timing.median_s == pytest.approx(1e-3)
    assert timing.energy_j_per_image is None


def test_real_work_is_compared_with_modelled_energy() -> None:
    # No speeds are asserted: other work on the machine may stop a thread at any time.
    large = torch.randn(768, 768)
    variants = {"dense": lambda: large @ large, "dense-again": lambda: large @ large, "nothing": lambda: None}
    dense, again, nothing = compare(
        variants, batch_size=1, meters=Meters.for_device("cpu"), min_rounds=15, budget_s=2, seed=0
    )
    assert dense.ratio == dense.ratio_low == dense.ratio_high == 1.0
    assert again.ratio_low <= again.ratio <= again.ratio_high
    assert 0 < nothing.median_s < dense.median_s <= dense.p95_s <= dense.p99_s
    assert dense.energy_source in {"modelled", "rapl"}
    assert dense.energy_j_per_image is not None and dense.energy_j_per_image > 0
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("variants", "rounds", "said"),
    [({}, 10, "at least one variant"), ({"dense": lambda: None}, 2, "at least 3")],
)
def test_bad_requests_are_refused(variants: dict[str, Callable[[], None]], rounds: int, said: str) -> None:
    meters, _ = fake()
    with pytest.raises(PaperlibError, match=said):
        compare(variants, batch_size=1, meters=meters, min_rounds=rounds, budget_s=1, seed=0)


def test_a_counter_inside_an_open_window_is_refused() -> None:
    meters, clock = gpu()
    meters.begin()
    with pytest.raises(PaperlibError, match="do not nest"):
        compare({"dense": takes(clock, 1.0)}, batch_size=1, meters=meters, min_rounds=5, budget_s=1, seed=0)


def test_the_interval_is_yuens() -> None:
    # By hand: of 8 logs two at each end are left out; the Winsorised variance over the share that stays.
    ratios = np.exp([0.5, -0.3, 0.02, 0.01, -0.02, 0.04, 0.03, -0.04])
    logs = np.sort(np.log(ratios))
    winsorised = np.clip(logs, logs[2], logs[-3])
    error = winsorised.std(ddof=1) / (0.5 * math.sqrt(8))
    mean, reach = logs[2:-2].mean(), students.ppf(0.975, 3) * error
    assert paired_interval(ratios) == pytest.approx(tuple(np.exp([mean, mean - reach, mean + reach])))


def ratios_of_processes(factor: float, seed: int) -> list[float]:
    """What three fresh processes find, each with a drift and a bias of its own, on a machine of usual noise."""
    found = []
    for process in range(3):
        meters, clock = fake()
        rng = np.random.default_rng([seed, process, 2])
        slow = rng.normal(1, 0.003)  # what differs between processes
        variants = {"dense": noisy(clock, 2e-3, rng, 0.03), "other": noisy(clock, 2e-3 * factor * slow, rng, 0.03)}
        found.append(compare(variants, batch_size=1, meters=meters, min_rounds=20, budget_s=0, seed=process)[1].ratio)
    return found


def interval_of_processes(factor: float, seed: int) -> Estimate:
    found = mean_interval(np.log(ratios_of_processes(factor, seed)))
    assert found is not None
    return found


def test_dense_beside_dense_is_hardly_ever_an_effect_and_three_per_cent_are_one() -> None:
    alarms = [interval_of_processes(1.0, seed) for seed in range(200)]
    assert np.mean([not a.low <= 0 <= a.high for a in alarms]) <= 0.05
    floor = float(np.percentile([abs(r - 1) for seed in range(20) for r in ratios_of_processes(1.0, seed)], 95))
    assert floor < 0.03
    slower = [interval_of_processes(1.03, 1000 + seed) for seed in range(40)]
    assert all(s.mean > 0.01 for s in slower) and np.mean([s.low > 0 for s in slower]) > 0.6


def test_load_time_is_the_median_of_its_repeats() -> None:
    meters, clock = fake()
    seconds = iter([9.0, 1.0, 2.0])
    assert load_time(lambda: clock.advance(next(seconds)), meters, repeats=3) == 2.0
    with pytest.raises(PaperlibError, match="at least 1"):
        load_time(lambda: None, meters, repeats=0)
