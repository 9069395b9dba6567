"""The forecast of a plan: how it multiplies, what counts as the same, and its size beside what trials then take."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from paperlib import studies
from paperlib.claims.settings import Setting, dense_of
from paperlib.core.paths import Layout
from paperlib.costs import unit_costs as measuring
from paperlib.costs.cpu_study import CpuSetting
from paperlib.costs.forecast import (
    COUNTING_S,
    CPU_SETUP_S,
    CPU_VARIANTS,
    SETUP_S,
    START_S,
    Cost,
    cost,
    costs_cost,
    costs_of,
    cpu_study_cost,
    kind,
    kind_of_cpu,
    split_sizes,
    total,
)
from paperlib.costs.measurement import INFERENCE, run_costs
from paperlib.costs.unit_costs import Kind, UnitCosts, from_record, measure, units_of
from paperlib.data.sources import find_images
from paperlib.data.spec import parse_name
from paperlib.schema.cost import CostRecord, Effort, make_cost_setting
from paperlib.schema.trial import make_trial
from paperlib.studies import costs
from paperlib.studies.sections import all_trials
from paperlib.trials.environment import cores
from paperlib.trials.runner import load_images, run
from tests.claim_records import cost_records

UNIT = UnitCosts(1.0, 10.0, 0.1, 5.0, 2.0, "modelled", 100, 4_000)


def test_the_forecast_of_quick_has_the_size_of_what_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of quick's own trials, forecast and then run; about half a minute on all MNIST.

    Within a factor of 10, whatever begins or ends to run beside meanwhile: a wrong unit would show. How close it is on
    a quiet machine is measured by `benchmarks/forecast.py`.
    """
    monkeypatch.setenv("PAPERLIB_DEVICE", "cpu")
    small = [t for t in studies.mlp("quick", datasets=["mnist"], models=["mlp-small"], seeds=1) if t.scope == "global"]
    medium = studies.mlp("quick", datasets=["mnist"], models=["mlp-medium"], sparsities=[0.5], seeds=1)
    filters = [t for t in studies.vgg("quick", scopes=["global"], methods=["set"]) if t.sparsity and not t.quirks]
    trials = [*small[:4], *medium[:3], *filters]
    for trial in trials:
        load_images(trial)  # reading or drawing images is no part of the forecast
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(tmp_path))
    units = units_of(map(kind, trials), [])
    assert len(units) == 3, "one measurement a network: masks of single weights change no step"
    told = total(cost(t, units[kind(t)]) for t in trials).time_s
    start = time.perf_counter()
    for trial in trials:
        run(trial, Layout.of("scratch"))
    assert 1 / 10 <= told / (time.perf_counter() - start) <= 10


def test_a_trial_costs_its_steps_boundaries_and_images() -> None:
    trial = make_trial(dataset="octmnist", epochs=3, train_images=5, test_images=7, batch_size=2)
    train, val, test = split_sizes("octmnist", None, 5, 7, real=False)
    assert (train, val, test) == (5, val, 7)
    whole = 5.0 + 3 * (10.0 + 3 * 1.0 + val * 0.1) + 7 * 0.1  # the last of three steps has one image
    assert cost(trial, UNIT) == Cost(
        pytest.approx(whole), pytest.approx(2 * whole), 12_000 + 4_000, 100 + (5 + val + 7) * 28 * 28
    )
    after = cost(trial.model_copy(update={"method": "post-training", "sparsity": 0.5}), UNIT)
    assert after.time_s == pytest.approx(5.0 + 7 * 0.1), "its dense trial is charged already"
    assert after.disk_bytes == 12_000, "dense alone keeps its weights"


def test_networks_that_train_as_one_share_the_time() -> None:
    trials = [make_trial(method="random", sparsity=0.5, seed=seed) for seed in range(64)]
    alone, images = cost(trials[0], UNIT).time_s, cost(trials[0], UNIT, 0.0).time_s
    for count, share in ((2, 1.0), (16, 0.25), (64, 0.13)):
        costs = costs_of(trials[:count], dict.fromkeys(trials, UNIT))
        (each,) = {c.time_s for c in costs.values()}
        assert each == pytest.approx(images + share * (alone - images))
    large = replace(UNIT, weights_bytes=8_000_000)
    assert costs_of(trials, dict.fromkeys(trials, large))[trials[0]].time_s == alone, "a CPU trains it alone"


def test_costs_and_cpu_study_take_their_budgets_or_their_least_rounds() -> None:
    settings = [make_cost_setting(method="set", sparsity=s) for s in (0.5, 0.8)]
    units = {Kind(settings[0].network): UNIT}
    once = 2 * COUNTING_S + 3 * SETUP_S * 2 * UNIT.weights_bytes / 4
    given = costs_cost(dict.fromkeys(settings, Effort(3, 1000.0, 7.0)), units)
    assert given.time_s == pytest.approx(3 * START_S + 3 * (1 + 2 * INFERENCE) * 1000.0 + 2 * 7.0 + once)
    least = costs_cost(dict.fromkeys(settings, Effort(3, 0.0)), units)
    assert least.time_s == pytest.approx(3 * START_S + 3 * 4 * (4 + 2 / 6) * (1.0 + 65 * 0.1) + once)
    assert costs_cost({}, {}) == Cost()
    network = CpuSetting(model="mlp-small", width=1.0, scenario="iii", sparsity=0.8, quantised=False, budget_s=100.0)
    unit = replace(UNIT, image_s=1.0)
    shares = sorted({1, cores()})
    images = [cores() / n for n in shares]  # seconds of one image at so many threads
    seconds = CPU_SETUP_S + sum(max(100.0, 4 * CPU_VARIANTS * s * b) for s in images for b in (1, 64))
    assert cpu_study_cost([network], {kind_of_cpu(network): unit}).time_s == pytest.approx(seconds)


def record(monkeypatch: pytest.MonkeyPatch, model: str = "vgg16", **given: object) -> CostRecord:
    (made,) = cost_records(arms=[dense_of(Setting("cifar10", model, "dense", 0, 0))], **given)  # type: ignore[arg-type]
    monkeypatch.setattr(measuring, "cpu_name", lambda: "x")
    monkeypatch.setattr(measuring, "in_fresh_process", lambda work, kinds: pytest.fail(f"measured {kinds}"))
    return made


def test_a_cost_record_of_that_very_setting_is_used_and_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    made = record(monkeypatch)
    trial = make_trial(
        dataset="cifar10", model="vgg16", optimizer="AdamW", options={"weight_decay": 0.05}, batch_size=16, epochs=2,
        train_images=160, test_images=64,
    )  # fmt: skip
    monkeypatch.setenv("PAPERLIB_DEVICE", "cpu")
    assert kind(trial) == Kind(made.setting)
    unit = units_of([kind(trial)], [made])[kind(trial)]
    # 4 ms a step of 16 images and a batch of 64, 0.1 J an image, 10 ms for the first answer; 1 GB.
    assert (unit.step_s, unit.boundary_s, unit.building_s) == (0.004, 0.0, 0.01)
    assert (unit.image_s, unit.watts, unit.memory_bytes) == (0.004 / 64, pytest.approx(400.0), 10**9)
    train, val, test = split_sizes("cifar10", None, 160, 64, real=False)
    assert (train, test) == (160, 64)
    told = 0.01 + 2 * (10 * 0.004 + val * 0.004 / 64) + 0.004
    assert cost(trial, unit).time_s == pytest.approx(told)
    assert cost(trial, unit).energy_j == pytest.approx(400 * told)
    assert from_record(record(monkeypatch, energy_source=None)).watts is None, "unknown, not 0"


def test_records_of_another_processor_or_of_slower_steps_are_left_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[Kind]()

    def measured(work: object, kinds: list[Kind]) -> list[UnitCosts]:
        asked.extend(kinds)
        return [UNIT] * len(kinds)

    vgg, perceptron = record(monkeypatch), record(monkeypatch, "mlp-small")
    monkeypatch.setattr(measuring, "in_fresh_process", measured)
    assert units_of([Kind(perceptron.setting)], [perceptron]) == {Kind(perceptron.setting): UNIT}
    assert units_of([Kind(vgg.setting, "auto")], [vgg]) == {Kind(vgg.setting, "auto"): UNIT}
    monkeypatch.setattr(measuring, "cpu_name", lambda: "y")
    assert units_of([Kind(vgg.setting)], [vgg]) == {Kind(vgg.setting): UNIT}
    assert asked == [Kind(perceptron.setting), Kind(vgg.setting, "auto"), Kind(vgg.setting)]


def test_what_costs_the_same_is_one_kind() -> None:
    conv = {"model": "resnet18", "dataset": "bloodmnist", "resolution": 28, "sparsity": 0.8}
    dense = kind(make_trial(conv, method="dense", sparsity=0.0))
    assert dense.setting.shape == (28, 28, 3) and dense.setting.method == "dense"
    assert kind(make_trial(conv, method="set", seed=3, lr=0.1)) == dense, "single weights change no step"
    cut = {"conv_sparsity": 0.5, **conv}
    uniform = {kind(make_trial(cut, method=m)) for m in ("pre-training", "in-training", "random")}
    swapped = {kind(make_trial(cut, method=m)) for m in ("set", "rigl")}
    assert len(uniform) == len(swapped) == len(uniform | swapped) - 1 == 1
    for method in ("post-training", "magnitude-gradual", "iterative"):
        assert kind(make_trial(cut, method=method)) == dense
    assert kind(make_trial(cut, method="set", execution="masked")) == dense
    assert kind(make_trial(cut, method="small-dense")).setting.width < 1
    assert kind(make_trial(dataset="emnist")).setting.classes == 47
    assert len({kind(t) for t in all_trials("quick")}) < 30


def test_a_kind_is_measured_with_the_steps_that_train_it() -> None:
    threads = torch.get_num_threads()
    perceptron = Kind(make_cost_setting(batch_size=16))
    cut = make_cost_setting(
        model="resnet18", shape=(16, 16, 3), width=0.125, batch_size=4, optimizer="AdamW", method="in-training",
        sparsity=0.8, conv_sparsity=0.8,
    )  # fmt: skip
    small, filters = measure([perceptron, Kind(cut, "fp32-channels-last")])
    assert small.boundary_s == 0 < filters.boundary_s and torch.get_num_threads() == threads
    for unit in (small, filters):
        assert min(unit.step_s, unit.image_s, unit.building_s, unit.memory_bytes) > 0
    assert small.weights_bytes == 4 * (784 * 16 + 16 + 16 * 16 + 16 + 16 * 10 + 10)


def test_split_sizes_are_those_of_the_images() -> None:
    images = load_images(trial := make_trial(train_images=600, test_images=200))
    found = split_sizes(trial.dataset, None, 600, 200, real=False)
    assert found == pytest.approx((len(images.train), len(images.val), len(images.test)), abs=len(images.classes))
    if find_images(parse_name("visa")).source == "stand-in":
        assert sum(split_sizes("visa", 224, None, None, real=True)) == sum(parse_name("visa").info.counts)


def test_an_unknown_energy_stays_unknown() -> None:
    assert (Cost(1, 2.0) + Cost(1, None)).energy_j is None
    assert cost(make_trial(train_images=5, test_images=7), replace(UNIT, watts=None)).energy_j is None
    assert total([Cost(1, 2.0, 3, 4), Cost(1, 2.0, 3, 1)]) == Cost(2, 4.0, 6, 4)


def test_the_forecast_of_costs_has_the_size_of_what_it_takes(layout: Layout) -> None:
    settings = costs.settings("smoke", "02")
    units = units_of((Kind(s.network) for s in settings), [])
    effort = costs.effort_of("smoke", settings[0])
    told = costs_cost(dict.fromkeys(settings, effort), units, processes=1)
    start = time.perf_counter()
    run_costs(settings, layout, effort, processes=1)
    taken = time.perf_counter() - start
    assert 1 / 10 <= told.time_s / taken <= 10  # a wrong unit would show, whatever else the machine does
    assert told.memory_bytes > 0
