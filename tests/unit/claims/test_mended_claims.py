"""Claims whose test or wording was wrong: of each what was mended, on tables with known truth."""

import pandas as pd
import pytest

from paperlib import studies
from paperlib.claims import CLAIMS, Verdict, verdicts
from paperlib.claims.facts import EXCEPTIONS
from paperlib.claims.missing import asked_by
from paperlib.claims.settings import METHODS, Setting, grid_f
from paperlib.claims.verdict import DECIDED
from paperlib.data import DATASETS
from paperlib.data.registry import DOERRICH
from paperlib.execution import compact_training
from paperlib.studies.costs import cost_settings
from paperlib.studies.costs import settings as cost_study
from tests import claim_records as made
from tests.simulated_ledgers import JOULES, Given, Truth, costing, method, pruned, scenario, world


def verdict_on(claim: str, given: Given) -> Verdict:
    (found,) = verdicts(given.tidy, [CLAIMS[claim]], given.costs)
    return found


def ask(claim: str, truth: Truth, gpu: str | None = None) -> Verdict:
    """The verdict on a simulated ledger of this truth, of the arms that the claim asks for."""
    return verdict_on(claim, world(claim, truth, gpu=gpu))


def methods_of(claim: str) -> set[str]:
    return {s.method for s in asked_by(CLAIMS[claim]).trials} - {"dense"}


def test_a1_takes_any_method_and_judges_time_energy_and_accuracy_apart() -> None:
    costs = {"inference": 0.67, "inference_energy": 0.67}
    mixed: dict[str, dict[str, float]] = {"set": costs, "pre-training": {"accuracy": 0.8951}}
    assert ask("A1", lambda s: mixed.get(s.method, {})).base == "supported"
    worse = {name: found | {"accuracy": 0.8} for name, found in mixed.items()}
    assert ask("A1", lambda s: worse.get(s.method, {"accuracy": 0.8} if s.linear else {})).base == "contradicted"


def test_a2_and_a6_have_a_figure_of_their_own_kind_by_method_and_sparsity() -> None:
    truth: Truth = lambda s: {"accuracy": 0.8} if s.method == "post-training" else {}  # noqa: E731
    a2, a6 = ask("A2", truth), ask("A6", truth)
    assert (a2.base, a2.unit, a2.what) == ("contradicted", "ratio", "inference time, batch 64")
    assert (a6.base, a6.unit) == ("contradicted", "points")
    assert "post-training 80% -10" in a6.detail and "set 50% " in a6.detail
    given = world("A6", truth)
    real = given.tidy.assign(source=given.tidy.dataset.map({"octmnist": "stand-in"}).fillna("official"))
    settings = verdict_on("A6", Given(real, given.costs)).families[0].compared
    assert {one.setting.dataset for one in settings if one.estimate is None} == {"octmnist"}, "drawn: decides nothing"


def test_a5_asks_for_arms_that_a_study_makes() -> None:
    asked = asked_by(CLAIMS["A5"])
    grid = {(t.dataset, t.method, t.conv_sparsity, t.sparsity, t.scope) for t in studies.vgg("laptop")}
    wanted = {(s.dataset, s.method, s.conv, s.linear, s.scope) for s in asked.trials if s.dataset == "cifar10"}
    assert wanted <= grid and any(conv for _, _, conv, _, _ in wanted)
    measured = set(cost_study("laptop"))
    assert all(set(cost_settings(*arm)) & measured for arm in asked.costs)


def test_c2_is_about_files_inference_and_time_and_not_the_memory_of_training() -> None:
    lean = dict.fromkeys(("inference", "inference_memory"), 0.8) | {"stored": 0.5}
    assert ask("C2", lambda s: lean | {"memory": 3.0} if s.linear else {}).base == "supported"
    for part, factor in (("stored", 1.0), ("inference_memory", 1.5), ("inference", 1.5)):
        assert ask("C2", lambda s, n=part, x=factor: lean | {n: x} if s.linear else {}).base != "supported"  # type: ignore[misc]
    given = world("C2", lambda s: lean if s.linear else {})
    old = given.costs.assign(inference_memory_bytes=None, dense_inference_memory_bytes=None)
    uncounted = verdict_on("C2", Given(given.tidy, old))
    assert uncounted.base == "inconclusive" and "peak memory of inference was not counted" in uncounted.detail


def test_c3_averages_what_each_network_gains_on_its_own_published_accuracy() -> None:
    def gains(vgg16: float, resnet18: float) -> Verdict:
        by_model = {"vgg16": vgg16, "resnet18": resnet18}
        return ask("C3", lambda s: {"accuracy": DOERRICH["bloodmnist", s.model][28][0] / 100 + by_model[s.model]})

    assert gains(0.02, 0.02).base == gains(0.04, 0.0).base == "supported"
    assert gains(0.001, 0.002).base == "contradicted"
    assert "vgg16 +0.1, resnet18 +0.2" in gains(0.001, 0.002).detail


def test_c4_has_its_own_word() -> None:
    assert ask("C4", lambda s: {"accuracy": 0.86}).word.startswith("compares unlike quantities (an accuracy beside an")


@pytest.mark.parametrize("claim", ["C6", "C7", "C16", "C42"])
def test_effects_of_pruning_stand_apart_from_post_training_and_take_the_whole_network(claim: str) -> None:
    level = {"i": 0.91, "ii": 0.93, "iii": 0.95}

    def truth(s: Setting) -> dict[str, float]:
        better = {"accuracy": 0.5 if s.method == "post-training" else level.get(scenario(s), 0.9)}
        better["inference"] = 0.8
        return better if s.linear else {}

    given = world(claim, truth)
    found = verdict_on(claim, given)
    assert found.base == "supported" and "Post-Training: " in found.detail
    for smaller in ({"width": 0.25}, {"val_gain": 0.02}):
        assert verdict_on(claim, Given(given.tidy.assign(**smaller), given.costs)).base == "inconclusive"
    visa = given.tidy.dataset == "visa"  # nine of ten are normal: balanced accuracy counts
    unbalanced = given.tidy.assign(test_accuracy=given.tidy.test_accuracy.mask(visa, 0.9))
    assert verdict_on(claim, Given(unbalanced, given.costs)).base == "supported"


def test_c7_is_read_of_scenarios_ii_and_iii_and_c21_of_two_methods() -> None:
    assert {s.conv for s in asked_by(CLAIMS["C7"]).costs} == {0.5, 0.0}
    assert methods_of("C21") == {"pre-training", "set"}


def test_c10_c12_and_c29_are_not_read_off_our_own_registry() -> None:
    assert verdict_on("C10", Given(pd.DataFrame(), pd.DataFrame())).base == "by definition"
    tidy = made.table(arms=grid_f(("dense",), datasets=("bloodmnist",)), seeds=1)
    assert "our records: inconclusive" in verdict_on("C12", Given(tidy, pd.DataFrame())).detail, "not all images"
    train, val, test = DATASETS["bloodmnist"].counts
    for counts, ours in (((train, val, test), "supported"), ((train, test, val), "contradicted")):
        read = tidy.assign(**dict(zip(("train_images", "val_images", "test_images"), counts, strict=True)))
        found = verdict_on("C12", Given(read, pd.DataFrame()))
        assert found.base == "internally inconsistent" and f"our records: {ours}" in found.detail
    tidy = made.table(arms=grid_f(("post-training",)), seeds=2)
    assert verdict_on("C29", Given(tidy, pd.DataFrame())).base == "by definition"
    assert verdict_on("C29", Given(tidy.assign(shared_training=tidy.id), pd.DataFrame())).base == "contradicted"


def test_c13_is_decided_on_what_is_cut_out_during_training(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = Given(pd.DataFrame(), pd.DataFrame())
    assert verdict_on("C13", nothing).base == "contradicted"

    class MasksAlone(compact_training.CompactTraining):
        def __init__(self, network, layers, masks, optimizer) -> None:  # type: ignore[no-untyped-def]
            super().__init__(network, layers, {}, optimizer)

    monkeypatch.setattr(compact_training, "CompactTraining", MasksAlone)
    assert verdict_on("C13", nothing).base == "supported", "filters that are zero are still there"


ALMOST_ALL = {"accuracy": 0.2}


def test_c15_reads_whole_networks_with_almost_all_filters_removed() -> None:
    asked = asked_by(CLAIMS["C15"]).trials
    assert {s.conv for s in asked} == {0.9, 0.95} and methods_of("C15") == {"pre-training", "set"}
    trials = {Setting(t.dataset, t.model, t.method, t.conv_sparsity, t.sparsity) for t in studies.study("03", "paper")}
    assert asked <= trials, "the study makes them"
    given = world("C15", lambda s: ALMOST_ALL if s.conv else {})
    # They are no setting that most trials share, and found all the same.
    assert verdict_on("C15", Given(given.tidy.assign(main_setting=False), given.costs)).base == "supported"
    hopeless = given.tidy.assign(test_accuracy=0.2)
    alone = given.tidy[given.tidy.method != "dense"]
    for tidy in (hopeless, alone, given.tidy.assign(width=0.25), given.tidy.assign(epochs=9)):
        assert verdict_on("C15", Given(tidy, given.costs)).base == "inconclusive"
    perceptrons = given.tidy.assign(model="mlp-small", conv_sparsity=0.0, sparsity=0.95)
    assert verdict_on("C15", Given(perceptrons, given.costs)).base == "inconclusive"


def test_c18_says_that_it_was_not_tested() -> None:
    assert verdict_on("C18", Given(pd.DataFrame(), pd.DataFrame())).word.startswith("untestable here (not tested")


def test_c20_is_a_maximum() -> None:
    def best(s: Setting) -> dict[str, float]:
        return {"best_train_accuracy": 0.5 if (s.dataset, s.method) == ("bloodmnist", "set") else 0.2}

    assert ask("C20", best).base == "supported"
    assert ask("C20", lambda s: {"best_train_accuracy": 0.2}).base == "contradicted"


def test_c25_c37_and_c38_ask_only_what_f_speaks_of() -> None:
    arms = {claim: asked_by(CLAIMS[claim]).trials for claim in ("C25", "C37", "C38")}
    assert set(arms["C25"]) == {*grid_f(("in-training", "set"), ("i",), ("visa",), ("vgg16",))}
    assert set(arms["C37"]) == {*grid_f(("set",), ("i",), ("industrial",))}
    assert set(arms["C38"]) == {*grid_f(("set",), ("ii",), ("industrial",))}


def test_c35_times_the_network_without_its_shortcuts_at_224_px() -> None:
    dense = [*grid_f(("dense",), datasets=("bloodmnist",), models=("resnet18", "resnet18-plain"))]

    def found(*parts: pd.DataFrame) -> Verdict:
        return verdict_on("C35", Given(pd.DataFrame(), pd.concat(parts, ignore_index=True)))

    def timed(large: bool, factor: float) -> pd.DataFrame:
        costs = made.costs(arms=dense, large=large)
        return costs.assign(dense_step_s=costs.dense_step_s.mask(costs.model == "resnet18", 0.004 * factor))

    small = found(timed(large=False, factor=0.5))
    assert small.word.startswith("inconclusive (needs images of 224 px") and "on images of 28 px: " in small.detail
    assert small.figure().startswith("×0.5")
    assert found(timed(large=True, factor=0.5)).base == "supported"
    assert found(timed(large=True, factor=0.5), timed(large=False, factor=2.0)).figure().startswith("×0.5")
    assert found(timed(large=True, factor=2.0)).base == "contradicted"
    whole = timed(large=True, factor=0.5)
    assert found(whole[whole.model == "resnet18"]).base not in DECIDED, "counts of operations tell nothing"


@pytest.mark.parametrize("claim", ["C48", "C49"])
def test_joules_are_levels_of_an_a100_and_their_ratio_a_remark(claim: str) -> None:
    truth: Truth = lambda s: {"level_j": JOULES[claim][s.model]}  # noqa: E731
    assert ask(claim, truth, gpu="A100").base == "supported"
    elsewhere = ask(claim, truth)
    assert elsewhere.word == "untestable here (joules of an A100)" and "here ResNet18 takes ×" in elsewhere.detail
    assert ask(claim, lambda s: {"level_j": 2 * JOULES[claim][s.model]}, gpu="A100").base == "contradicted", "one ratio"


def test_c54_has_a_floor_of_ratios() -> None:
    found = ask("C54", lambda s: {"level_j": 1e6 * (0.5 if s.model == "resnet18" else 1)})
    assert found.base == "supported" and found.floor is not None and found.floor < 0.05


def test_c56_is_decided_by_reading() -> None:
    for factor in (0.5, 2.0):
        assert ask("C56", pruned(factor)).base == "internally inconsistent"


@pytest.mark.parametrize("claim", ["C60", "C63"])
def test_exceptions_that_f_names_itself_do_not_count(claim: str) -> None:
    methods = METHODS if claim == "C60" else METHODS[:3]
    asked = {s for s in grid_f(methods) if s not in EXCEPTIONS and s.method != "post-training"}
    assert asked_by(CLAIMS[claim]).costs == asked < {s for s in grid_f(methods) if s.method != "post-training"}
    assert ask(claim, pruned(0.8)).base == "supported" and ask(claim, pruned(1.5)).base == "contradicted"


SUPPORTING: dict[str, Truth] = {
    "A4": pruned(0.8),
    "C31": costing(method, {"pre-training": 1.5, "in-training": 1.5}),
    "C32": pruned(1.5),
    "C33": pruned(0.8),
    "C51": costing(method, {"pre-training": 1.5, "in-training": 1.5, "set": 0.8}),
    "C60": pruned(0.8),
    "C63": pruned(0.8),
}


@pytest.mark.parametrize("claim", SUPPORTING)
def test_post_training_trains_as_dense_and_is_left_out(claim: str) -> None:
    found = ask(claim, SUPPORTING[claim])
    assert found.base == "supported" and "left out, equal by definition: post-training" in found.detail


def test_what_masks_make_one_network_of_is_equal_by_definition() -> None:
    """Whatever is measured: C53 in all settings, C61 of scenarios i and ii, C62 of SET and In-Training."""
    for truth in (pruned(0.5), pruned(1.0), costing(scenario, {"i": 0.5, "ii": 0.7, "iii": 0.9})):
        assert [ask(claim, truth).base for claim in ("C53", "C61")] == ["equal by definition", "by definition"]
    found = ask("C62", costing(method, {"set": 0.7}))
    assert found.word == "equal by definition (as one masked network)"
    assert ask("C62", pruned(1.0)).figure() == "–", "no figure of another part stands for it"
    costs = made.costs(arms=grid_f(scenarios=("i", "ii")))
    shares = {0.8: 0.2, 0.5: 0.5}
    skipped = costs.assign(realised_inference_b64_ratio=costs.conv_sparsity.map(shares))
    assert "with removed work skipped ×0.400" in verdict_on("C53", Given(pd.DataFrame(), skipped)).detail


def test_c34_says_on_its_page_that_it_cannot_be_supported() -> None:
    from paperlib.claims.notes import NOTES

    assert NOTES["C34"].startswith("Never supported here")
    for factor, word in ((0.5, "contradicted"), (1.0, "no effect"), (2.0, "contradicted")):
        found = ask("C34", lambda s, x=factor: {"level_s": x} if s.model == "resnet18" else {})  # type: ignore[misc]
        assert found.base == word
