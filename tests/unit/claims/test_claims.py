"""Claims on tables with known truth: every verdict for every kind of claim, and what a verdict rests on."""

from collections import Counter
from typing import get_args

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from paperlib.claims import CLAIMS, Evidence, Verdict, facts, verdicts
from paperlib.claims.builders import Test, below
from paperlib.claims.settings import METHODS, Setting, grid_f
from paperlib.claims.verdict import DECIDED, Base, Kind, deny, join
from tests import claim_records as made
from tests.claim_worlds import NOTHING, ask, saving, world
from tests.conftest import temporarily
from tests.simulated_ledgers import Given

UNTESTABLE = "untestable here (modelled energy is computed from CPU time)"
NO_EFFECT = "no effect (within ±5.0%)"
UNSCALED = "inconclusive (needs the whole network, converged"


@pytest.fixture(scope="module")
def cheaper() -> Given:
    return world(0.6)


@pytest.fixture(scope="module")
def dearer() -> Given:
    return world(1.5, accuracy=0.3)


@pytest.fixture(scope="module")
def equal() -> Given:
    return world()


def test_ledger_is_complete_and_every_test_belongs_to_one_claim() -> None:
    assert list(CLAIMS) == [f"A{i}" for i in range(1, 7)] + [f"C{i}" for i in range(1, 64)]
    assert all(name == claim.id and callable(claim.test) for name, claim in CLAIMS.items())
    assert {c.kind for c in CLAIMS.values()} == set(get_args(Kind))
    assert len({c.text for c in CLAIMS.values()}) == len(CLAIMS)


def test_the_first_graph_is_all_that_set_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    from paperlib import pruners
    from paperlib.pruners.methods import SET, InTraining, RandomMask

    registry = pruners.METHODS

    (verdict,) = verdicts(pd.DataFrame(), [CLAIMS["C10"]])
    assert verdict.base == "by definition" and "equal at 12 of 12" in verdict.detail
    before = torch.get_rng_state()
    assert verdicts(pd.DataFrame(), [CLAIMS["C10"]]) == [verdict] and torch.equal(torch.get_rng_state(), before)

    class OtherUpdates(SET):
        update_masks = RandomMask.update_masks

    for other in (OtherUpdates, InTraining):  # other boundaries, and the same start
        with temporarily(registry, "set", other):
            assert ask(NOTHING, "C10") == ["contradicted"]


def test_every_claim_has_a_verdict_on_any_records(equal: Given) -> None:
    tidy, costs = equal
    for trials, measured in (NOTHING, (tidy[tidy.seed < 2], costs[costs.process < 1]), (tidy.head(40), costs.head(9))):
        found = verdicts(trials, measured=measured)
        assert [v.claim for v in found] == list(CLAIMS)
        assert all(v.base in get_args(Base) and v.needs for v in found)
        assert all(v.reason for v in found if v.base not in {"supported", "contradicted", "by definition"})
        assert all((v.p is None) or v.base in {*DECIDED} for v in found)


def test_the_comparisons_behind_a_verdict_are_those_that_it_counts(cheaper: Given, dearer: Given, equal: Given) -> None:
    for tidy, costs in (cheaper, dearer, equal):
        for v in verdicts(tidy, measured=costs):
            for family in v.families:
                sides = Counter(one.speaks for one in family.compared)
                compared = [one for one in family.compared if one.estimate]
                for word, count in Counter(one.outcome for one in compared).items():
                    assert f"{count} {word}" in v.detail or family.needed == 1, (v.claim, word)
                if len(v.families) == 1 and not family.denied and v.base in {"supported", "contradicted"}:
                    enough = sides["for"] >= family.needed
                    assert enough == (v.base == "supported"), v.claim
                for one in compared:
                    assert one.estimate and one.own and one.margin and one.estimate.mean == pytest.approx(one.own.mean)
                    assert one.floor is None or one.margin[0] <= one.floor[0] < one.floor[1] <= one.margin[1]


# One claim of each kind that measures, and what it says under each truth.
KINDS = {"time": "C52", "energy": "C46", "memory": "C2"}


@pytest.mark.parametrize("claim", KINDS.values(), ids=KINDS)
def test_costs_reach_every_verdict(claim: str, cheaper: Given, dearer: Given, equal: Given) -> None:
    tidy, costs = cheaper
    assert ask(cheaper, claim) == ["supported"]
    said = "contradicted (peak memory of inference; inference time, batch 64)"
    assert ask(dearer, claim) == [said if claim == "C2" else "contradicted"]
    assert ask(equal, claim) == ["no effect (within ±5 %; within ±5.0%)" if claim == "C2" else NO_EFFECT]
    assert ask(Given(tidy, costs[costs.process == 0]), claim)[0].startswith("inconclusive (needs more processes")
    partly = ask(Given(tidy, costs[costs.model != "vgg16"]), claim)[0]
    assert partly.startswith("inconclusive (needs ") and "vgg16" in partly
    assert ask(Given(tidy, pd.DataFrame()), claim)[0].startswith("inconclusive (needs costs, such as ")


def test_energy_that_no_counter_gave_is_untestable() -> None:
    assert ask(world(0.6, energy_source=None), "C46")[0].startswith("untestable here")


def test_accuracy_reaches_every_verdict(cheaper: Given, dearer: Given) -> None:
    assert ask(cheaper, "C16", "C58", "A6", "C17") == ["supported"] * 4
    assert ask(dearer, "C16", "C58", "A6") == ["contradicted"] * 3
    assert ask(cheaper, "C6", "C36", "C42") == ["no effect (within ±1 points)"] * 3
    one_seed = Given(cheaper.tidy[cheaper.tidy.seed == 0], cheaper.costs)
    assert ask(one_seed, "C16", "C6")[0].startswith("inconclusive")
    noisy = Given(made.table(noise=0.5), pd.DataFrame())
    assert ask(noisy, "C16", "C17")[1] == "contradicted"
    assert ask(noisy, "C16")[0].startswith("too noisy to tell (±")


def test_conflicting_text_is_inconsistent_whatever_is_measured(cheaper: Given, dearer: Given) -> None:
    for made_up, ours in ((cheaper, "supported"), (dearer, "contradicted")):
        for claim in ("C4", "C12", "C30", "C44", "C56"):
            (verdict,) = verdicts(made_up.tidy, [CLAIMS[claim]], made_up.costs)
            assert verdict.base == ("compares unlike quantities" if claim == "C4" else "internally inconsistent")
            assert verdict.detail.startswith("our records: ")
        assert f"our records: {ours}" in verdicts(made_up.tidy, [CLAIMS["C30"]], made_up.costs)[0].detail
    assert 21 / 24 == 0.875 and "12 of 18 is 66.7%, not 75 %" in ask(cheaper, "C44")[0]


def test_counts_agree_with_independent_sources() -> None:
    # Parameter counts as torchvision's documentation states them.
    networks = {name: facts.counts_of(name) for name in ("vgg16", "resnet18", "vgg19")}
    assert [parameters for parameters, *_ in networks.values()] == [138_357_544, 11_689_512, 143_667_240]
    assert facts.counts_of("vgg16", 10)[0] == 134_301_514
    rate, entropy = facts.majority("visa")
    assert (rate, entropy) == (pytest.approx(0.889, abs=5e-4), pytest.approx(0.348, abs=5e-4))
    rate, entropy = facts.majority("bloodmnist")
    assert (rate, entropy) == (pytest.approx(0.195, abs=5e-4), pytest.approx(2.003, abs=5e-4))
    assert facts.majority("industrial") == (pytest.approx(0.1), pytest.approx(2.302585))
    # 1.8 and 15.5 billion multiply-adds: the published figures of both networks.
    assert networks["resnet18"][1:] == (20, pytest.approx(1.8e9, rel=0.02))
    assert networks["vgg16"][1:] == (13, pytest.approx(15.5e9, rel=0.01))
    assert ask(NOTHING, "C10", "C11", "C12", "C13", "C35") == [
        "by definition", "supported",
        "internally inconsistent (20 % of the images are for testing in 3.3, 10 % in 4.5)", "contradicted",
        "inconclusive (needs costs, such as bloodmnist resnet18 dense)",
    ]  # fmt: skip


def test_nothing_rests_silently_on_a_stand_in_a_model_or_small_images() -> None:
    tidy = made.table(source="stand-in", seeds=3)
    costs = made.costs(lambda s: saving(s, 0.6), energy_source="modelled")
    for verdict in verdicts(tidy, measured=costs):
        about = CLAIMS[verdict.claim]
        if about.kind == "accuracy":
            assert verdict.base in {"untestable here", "inconclusive"}, "drawn images decide nothing"
        if verdict.estimate and verdict.claim in {"C46", "C47", "C62", "C54"}:
            assert verdict.base == "untestable here" and "modelled energy" in verdict.word
    assert ask(Given(tidy, costs), "C46") == [UNTESTABLE]
    small = world(0.6, large=False)
    assert ask(small, "C46", "C52") == ["supported (small images)"] * 2
    assert ask(small, "C47")[0].startswith("inconclusive (needs images of 224 px")


def test_modelled_energy_decides_nothing_whatever_it_is() -> None:
    tidy, words = made.table(seeds=3), list[list[str]]()
    for factor in (0.3, 1.0, 3.0):
        saved = {"energy": factor, "inference_energy": factor}
        costs = made.costs(lambda s, saved=saved: saved if s.conv or s.linear else {}, energy_source="modelled")  # type: ignore[misc]
        words.append([v.word for v in verdicts(tidy, measured=costs)])
    assert words[0] == words[1] == words[2]
    assert words[0].count(UNTESTABLE) >= 10


def test_numbers_of_the_abstract() -> None:
    assert ask(world(0.67, accuracy=0.8951), "A1", "A2") == ["supported", "supported"]
    assert ask(world(), "A1") == ["contradicted"]
    only_layerwise = made.costs(lambda s: saving(s, 0.7) if s.scope == "layerwise" else saving(s, 1.0))
    (layerwise,) = verdicts(made.table(), [CLAIMS["A3"]], only_layerwise)
    assert layerwise.base == "supported" and "80 of 80" not in layerwise.detail


def test_networks_are_compared_by_their_levels(equal: Given) -> None:
    costs = made.costs()
    resnet = costs.model == "resnet18"
    for column in ("dense_step_s", "dense_step_energy_j"):  # half the steps would be half of the training
        costs.loc[resnet, column] *= 0.41
    elsewhere, *_ = verdicts(equal.tidy, [CLAIMS["C48"]], costs)
    assert ask(Given(equal.tidy, costs), "C47") == ["supported"] and ask(equal, "C47") == [NO_EFFECT]
    assert elsewhere.word == "untestable here (joules of an A100)"
    assert elsewhere.detail == "here ResNet18 takes ×0.41 of VGG16, in F ×0.41"


def test_machines_are_kept_apart(cheaper: Given) -> None:
    assert ask(cheaper, "C45", "C43")[0] == "untestable here (no costs on a gpu)"
    a100 = world(device="cuda:0", gpu="A100-SXM4-80GB")
    assert ask(a100, "C43", "C45") == ["supported", "supported"]
    assert ask(a100, "C14")[0].startswith("untestable here")
    laptop = made.costs(device="cpu", gpu="RTX 3060")  # ids of another device
    laptop["dense_step_energy_j"] *= 0.5
    both = pd.concat([a100.costs, laptop], ignore_index=True)
    assert ask(Given(a100.tidy, both), "C14") == ["supported"]


def test_curves() -> None:
    collapsed = {"best_train_accuracy": 0.19, "first_train_loss": 2.05, "last_train_loss": 2.0}
    tidy = made.table(lambda s: collapsed if (s.conv == 0.8 and s.model == "vgg16") else {})
    assert ask(Given(tidy, pd.DataFrame()), "C19", "C24") == ["supported", "supported"]
    assert ask(Given(made.table(), pd.DataFrame()), "C19") == ["contradicted"]


def test_energy_follows_time_or_not() -> None:
    def truth(s: Setting, turn: int) -> dict[str, float]:
        step = 1 + 0.1 * METHODS.index(s.method) if s.conv or s.linear else 1.0
        return {"time": step, "energy": step**turn}

    tidy = made.table(seeds=1)
    assert ask(Given(tidy, made.costs(lambda s: truth(s, 1))), "C59") == ["supported"]
    assert ask(Given(tidy, made.costs(lambda s: truth(s, -1))), "C59") == ["contradicted"]
    modelled = made.costs(lambda s: truth(s, 1), energy_source="modelled")
    assert ask(Given(tidy, modelled), "C59") == [UNTESTABLE]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(get_args(Base)), min_size=1, max_size=5))
def test_a_conjunction_is_as_weak_as_its_weakest_part(bases: list[Base]) -> None:
    joined = join([Verdict(base, trials=(str(i),)) for i, base in enumerate(bases)])
    assert (joined.base == "supported") == (set(bases) == {"supported"})
    flaws = {"internally inconsistent", "compares unlike quantities"}
    assert "contradicted" not in bases or joined.base in {"contradicted", *flaws}
    assert len(joined.trials) == len(bases)
    assert deny(deny(Verdict("supported"))).base == "supported"
    words = ("not converged", "small images", "modelled energy")  # one order, whatever the hash seed
    assert join([Verdict("supported", caveats=(w,)) for w in words]).caveats == (words[1], words[2], words[0])


def test_noise_verdict_has_few_false_alarms_and_enough_power() -> None:
    test: Test = below("training_energy", grid_f(("set",)))
    arms = [arm for arm in made.settings() if arm.method in {"set", "dense"}]

    def base(factor: float, seed: int) -> Base:
        costs = made.costs(lambda s: saving(s, factor), seed=seed, arms=arms)
        return test(Evidence.of(pd.DataFrame(), costs)).base

    null = Counter(base(1.0, seed) for seed in range(20))
    assert null["no effect"] >= 18 and not null["supported"]
    assert [base(0.85, seed) for seed in range(10)].count("supported") >= 9


def test_a_level_is_decided_at_the_scale_of_the_paper_only(equal: Given) -> None:
    tidy, costs = equal
    assert ask(equal, "C5", "C16", "C47") == ["contradicted", "supported", NO_EFFECT]
    for smaller in ({"val_gain": 0.02}, {"width": 0.25}):
        small = verdicts(tidy.assign(**smaller), [CLAIMS["C5"]])[0]
        assert small.word.startswith(UNSCALED)
        assert small.estimate and small.detail.startswith("at a smaller scale: ")
    assert ask(Given(tidy.assign(val_gain=0.02), costs), "C16", "C52") == [f"{UNSCALED}; not converged)", NO_EFFECT]
    worse = tidy.assign(
        epochs=10, val_gain=0.02, test_accuracy=0.86, id="small" + tidy.id
    )  # alone it would be C5's 86 %
    assert ask(Given(pd.concat([tidy, worse], ignore_index=True), costs), "C5") == ["contradicted"]


def test_equal_accuracy_shows_nothing_where_dense_did_not_learn() -> None:
    idle = Given(made.table(lambda s: {"accuracy": 0.2} if s.dataset == "visa" else {}), made.costs())
    some, all_ = ask(idle, "C58", "C23")
    assert some == "inconclusive (dense hardly learns in 8 of 24 settings, such as visa vgg16 dense)"
    assert all_.startswith("inconclusive (dense hardly learns in 24 of 24 settings")
    assert ask(idle, "C52") == [NO_EFFECT]  # time passes all the same


def test_a_restless_network_does_not_hide_what_another_saves() -> None:
    calm, restless = (made.costs(lambda s: saving(s, 0.9), noise=noise) for noise in (0.005, 0.5))
    both = pd.concat([calm[calm.model == "resnet18"], restless[restless.model == "vgg16"]], ignore_index=True)
    found = below("training_time", grid_f(("set",)))(Evidence.of(pd.DataFrame(), both))
    assert "9 below" in found.detail and found.base != "supported"


def test_how_noisy_it_is_stands_in_the_word() -> None:
    (word,) = ask(Given(made.table(seeds=1), made.costs(noise=0.3)), "C46")
    assert word.startswith("too noisy to tell (±")


# What a published size of accuracy or loss is held against: by id, as the ledger's texts say.
LEVELS = ("C3", "C5", "C19", "C20", "C25", "C37", "C38", "C41", "C57")


def test_drawn_images_stand_beside_no_published_accuracy(equal: Given) -> None:
    drawn = equal.tidy.assign(source="stand-in")
    for verdict in verdicts(drawn, [CLAIMS[i] for i in LEVELS]):
        assert verdict.estimate is None and verdict.base == "untestable here", verdict.claim
        assert "on drawn images" in verdict.word and "real images" in verdict.needs
    for source in ("official", "rebuilt", "subset"):
        assert all(v.estimate for v in verdicts(equal.tidy.assign(source=source), [CLAIMS[i] for i in LEVELS]))
    # Nor do they decide an effect of pruning.
    told = ask(Given(drawn, equal.costs), "C16", "A6")
    assert told[1] == "untestable here (test accuracy on drawn images)" and told[0].startswith(told[1][:-1])
