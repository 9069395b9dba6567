"""The sweep: what it holds, that it chooses by validation only, and that no other table or verdict sees it."""

from itertools import product

import pandas as pd
import pytest

from paperlib import claims, studies
from paperlib.claims.effects import arms, main_setting_only
from paperlib.core.paths import Layout
from paperlib.data.imageset import ImageSet
from paperlib.exhibits import sensitivity
from paperlib.exhibits.manifest import output_root
from paperlib.exhibits.results import Source
from paperlib.schema.trial import Trial
from paperlib.studies.profiles import PROFILES
from paperlib.studies.sensitivity import SWEEPS, swept
from paperlib.trials.runner import run
from paperlib.trials.store import tidy


@pytest.fixture(scope="module")
def swept_layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    folder = tmp_path_factory.mktemp("sweep")
    return Layout(folder / "results" / "own", folder / "figures" / "own")


@pytest.fixture()
def source(swept_layout: Layout, tiny_images: ImageSet) -> Source:
    for lr, seed, arm in product((0.05, 0.2, 0.01), range(2), ({}, {"method": "set", "sparsity": 0.5})):
        run(Trial(epochs=1, lr=lr, seed=seed, **arm), swept_layout)
    run(Trial(epochs=1, method="random", sparsity=0.5), swept_layout)  # makes 0.05 the main setting
    return Source.of(swept_layout)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_sweep_differs_from_the_budget_in_its_settings_only(profile: str) -> None:
    for sweep in SWEEPS[profile]:
        shared = set(sweep.fixed)
        for setting, other in product(sweep.settings, repeat=2):
            a, b = (swept(sweep, profile, s)[0].model_dump() for s in (setting, other))
            differ = {name for name in a if a[name] != b[name]}
            assert differ <= set(setting) | set(other) and not differ & shared
        trials = studies.sensitivity_trials(profile, sweep.study)
        assert len(trials) == len({t.id for t in trials})


def test_the_table_shows_validation_accuracy_and_marks_the_best_and_the_used(source: Source) -> None:
    made = [e for e in sensitivity.write(source, "own") if e]
    assert {e.kind for e in made} == {"table", "figure"}
    table = pd.read_csv(output_root(source.layout) / next(f for e in made for f in e.files if f.endswith(".csv")))
    # By hand, from the records and not from the tidy table.
    by_hand: dict[float, list[float]] = {}
    for record in source.records:
        if record.trial.method == "dense":
            by_hand.setdefault(record.trial.lr, []).append(record.curve[-1].val.accuracy)
    means = {lr: sum(found) / len(found) for lr, found in by_hand.items()}
    rate = table["learning rate"].str.split(",").str[0].astype(float)
    shown = table["dense, validation, %"].str.extract(r"^([\d.]+)")[0].astype(float)
    assert dict(zip(rate, shown, strict=True)) == {
        lr: pytest.approx(100 * mean, abs=0.006) for lr, mean in means.items()
    }
    marks = dict(zip(rate, table["Unnamed: 10"].fillna(""), strict=True))
    assert {lr for lr, text in marks.items() if "best" in text} == {
        lr for lr in means if means[lr] == max(means.values())
    }
    assert {lr for lr, text in marks.items() if "used" in text} == {0.05}


def test_no_arm_and_no_verdict_sees_other_settings(source: Source) -> None:
    alone = tidy([r for r in source.records if r.trial.lr == 0.05])
    assert arms(main_setting_only(source.table)) == arms(alone)
    assert claims.verdicts(source.table) == claims.verdicts(alone)


def test_one_setting_gives_no_table(source: Source) -> None:
    assert sensitivity.write(source.where(source.table.main_setting), "own") == []
