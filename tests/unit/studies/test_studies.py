"""The papers' grids: what is in them, what is left out, and what each profile may cost."""

from collections import Counter
from typing import get_args

import pytest

from paperlib import studies
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import ProfileName
from paperlib.studies import cpu
from paperlib.studies.paper_p import QUIRKS
from paperlib.studies.sections import batches
from paperlib.studies.sensitivity import SWEEPS
from paperlib.studies.tutorial import TUTORIALS
from paperlib.trials.archive import ORDER
from paperlib.trials.runner import dense_baseline


@pytest.mark.parametrize("profile", studies.PROFILES)
def test_every_profile_holds_the_controls_of_every_pair(profile: str) -> None:
    trials = studies.mlp(profile)
    assert len(set(trials)) == len(trials)
    pairs = {(t.dataset, t.model, t.seed) for t in trials}
    dense = {(t.dataset, t.model, t.seed) for t in trials if t.method == "dense"}
    mask0 = {(t.dataset, t.model, t.seed) for t in trials if t.method == "random" and t.sparsity == 0}
    assert pairs == dense == mask0


def test_the_whole_grid_is_the_papers() -> None:
    trials = studies.mlp("paper")
    assert {t.dataset for t in trials} == {"mnist", "fashionmnist", "emnist", "cifar10", "octmnist"}
    assert {t.sparsity for t in trials} == {0.0, 0.5, 0.8}
    assert {t.method for t in trials} == {"dense", "random", "pre-training", "in-training", "post-training", "set"}
    assert Counter(t.seed for t in trials).keys() == set(range(5))
    assert {(t.epochs, t.batch_size, t.lr, t.train_images) for t in trials} == {(10, 4, 1e-3, None)}
    assert all(t.real_images for t in trials + studies.quirks("paper"))


def test_impossible_arms_are_left_out() -> None:
    trials = studies.mlp("paper")
    # 256 hidden weights cannot hold half of 12,960; SET has no threshold.
    assert not [t for t in trials if t.model == "mlp-small" and t.scope == "layerwise-matched"]
    assert not [t for t in trials if t.method == "set" and t.scope == "global-threshold"]
    assert [t for t in trials if t.model == "mlp-medium" and t.scope == "layerwise-matched" and t.sparsity == 0.5]


def test_a_reader_changes_one_axis() -> None:
    plain, more = studies.mlp("quick"), studies.mlp("quick", sparsities=[0.5, 0.8, 0.9])
    assert set(plain) < set(more)
    assert {t.sparsity for t in set(more) - set(plain)} == {0.9}
    assert {t.model for t in studies.mlp("quick", models=["mlp-small"])} == {"mlp-small"}


@pytest.mark.parametrize("profile", ["smoke", "quick"])
def test_small_profiles_allow_stand_ins(profile: str) -> None:
    assert not any(t.real_images for t in studies.mlp(profile))


def test_quirks_come_alone_and_together() -> None:
    arms = {t.quirks for t in studies.quirks("quick")}
    assert () in arms and tuple(sorted(QUIRKS)) in arms and len(arms) == 2 + len(QUIRKS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"datasets": []}, "datasets is empty"),
        ({"models": ["mlp-smal"]}, "mlp-small"),
        ({"scopes": ["globl"]}, "global"),
        ({"datasets": ["mnits"]}, "mnist"),
        ({"sparsities": [1.0]}, r"\[0, 1\)"),
    ],
)
def test_nonsense_gets_one_clear_line(arguments: dict[str, list[str]], said: str) -> None:
    with pytest.raises(PaperlibError, match=said) as error:
        studies.mlp("quick", **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_every_list_of_profiles_is_the_one_of_the_command_line() -> None:
    names = get_args(ProfileName)
    assert tuple(studies.PROFILES) == tuple(cpu.BUDGETS) == tuple(SWEEPS) == tuple(TUTORIALS) == names == ORDER[::-1]


@pytest.mark.parametrize("count", [1, 3, 8, 1000])
def test_batches_hold_every_trial_once_and_keep_families_together(count: int) -> None:
    trials = studies.mlp("smoke") + studies.quirks("smoke")
    made = batches(trials, count)
    assert sorted(t.id for batch in made for t in batch) == sorted({t.id for t in trials})
    assert all(made) and len(made) <= count
    home = {dense_baseline(t): n for n, batch in enumerate(made) for t in batch}
    assert all(home[dense_baseline(t)] == n for n, batch in enumerate(made) for t in batch)
    assert made == batches(trials, count)


def test_studies_beside_a_grid_stay_within_the_axes_that_are_replaced() -> None:
    whole, fewer = studies.study("01", "quick"), studies.study("01", "quick", datasets=["mnist"], seeds=1)
    assert set(fewer) < set(whole) and {(t.dataset, t.seed) for t in fewer} == {("mnist", 0)}
    assert any(t.quirks for t in fewer), "the as-published arms are on MNIST"
    assert {t.method for t in studies.study("01", "quick", methods=["set"])} == {"dense", "random", "set"}
    assert studies.study("04", "quick") == []


def test_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(PaperlibError, match="quick"):
        studies.mlp("quik")
