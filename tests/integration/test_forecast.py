"""The forecast of a plan against what trials of `quick` then take, and how it adds up."""

import time
from pathlib import Path

import pytest

from paperlib import studies
from paperlib.core.paths import Layout
from paperlib.costs.forecast import Cost, Rate, calibrate, cost, kind, split_sizes, total
from paperlib.data.sources import find_images
from paperlib.data.spec import parse_name
from paperlib.schema.trial import make_trial
from paperlib.trials.runner import load_images, run

RATE = Rate(1.0, 10.0, 0.1, 5.0, 2.0, "modelled", 4_000)


def test_the_forecast_of_quick_has_the_size_of_what_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sample of quick's own trials, forecast and then run; about 15 s.

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
    rates = calibrate(trials)
    forecast = total([cost(t, rates[kind(t)]) for t in trials]).time_s
    start = time.perf_counter()
    for trial in trials:
        run(trial, Layout.of("scratch"))
    assert 1 / 10 <= forecast / (time.perf_counter() - start) <= 10


def test_a_trial_costs_its_epochs_images_and_tests() -> None:
    trial = make_trial(dataset="octmnist", epochs=3, train_images=5, test_images=7)
    train, val, test = split_sizes("octmnist", None, 5, 7, real=False)
    assert (train, test) == (5, 7)
    whole = 5.0 + 3 * (10.0 + train * 1.0 + val * 0.1) + test * 0.1
    assert cost(trial, RATE).time_s == pytest.approx(whole)
    assert cost(trial, RATE).energy_j == pytest.approx(2 * whole)
    again = make_trial(
        dataset="octmnist", method="post-training", sparsity=0.5, epochs=3, train_images=5, test_images=7
    )
    assert cost(again, RATE).time_s == pytest.approx(5.0 + test * 0.1), "its dense trial is charged already"
    assert cost(again, RATE).disk_bytes < cost(trial, RATE).disk_bytes, "dense keeps its weights"


def test_split_sizes_are_those_of_the_images() -> None:
    images = load_images(trial := make_trial(train_images=600, test_images=200))
    found = split_sizes(trial.dataset, None, 600, 200, real=False)
    assert found == pytest.approx((len(images.train), len(images.val), len(images.test)), abs=len(images.classes))
    if find_images(parse_name("visa")).source == "stand-in":
        assert sum(split_sizes("visa", 224, None, None, real=True)) == sum(parse_name("visa").info.counts)


def test_an_unknown_energy_stays_unknown() -> None:
    assert (Cost(1, 2.0) + Cost(1, None)).energy_j is None
    assert total([Cost(1, 2.0, 3, 4), Cost(1, 2.0, 3, 1)]) == Cost(2, 4.0, 6, 4)
