"""Claims on tables with known truth: every verdict for every kind of claim, and what a verdict rests on."""

import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from paperlib.claims import CLAIMS, Evidence, Verdict, facts, find, table, tally, verdicts, write
from paperlib.claims.builders import Test, below
from paperlib.claims.settings import METHODS, Setting, grid_f
from paperlib.claims.verdict import DECIDED, Base, Kind, deny, join
from paperlib.cli.entry import app
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.trials.store import Store
from tests import claim_records as made
from tests.conftest import temporarily
from tests.simulated_ledgers import COSTS


def saving(setting: Setting, factor: float) -> dict[str, float]:
    """Every pruned arm costs `factor` of dense; the control `random` at sparsity 0 costs the same."""
    if setting.method == "dense" or not (setting.conv or setting.linear):
        return {}
    return dict.fromkeys(COSTS, factor)


class World(NamedTuple):
    """What both tables say of one truth."""

    tidy: pd.DataFrame
    costs: pd.DataFrame


NOTHING = World(pd.DataFrame(), pd.DataFrame())
UNTESTABLE = "untestable here (modelled energy is computed from CPU time)"
NO_EFFECT = "no effect (within ±5.0%)"
UNSCALED = "inconclusive (needs the whole network, trained as long as in the paper"


def world(factor: float = 1.0, accuracy: float = 0.9, **options: Any) -> World:
    """Every pruned arm costs `factor` of dense and reaches `accuracy`, dense 90 %."""
    pruned = {"accuracy": accuracy, "stored": factor}
    tidy = made.table(lambda s: pruned if s.conv or s.linear else {"accuracy": 0.9})
    return World(tidy, made.costs(lambda s: saving(s, factor), **options))


@pytest.fixture(scope="module")
def cheaper() -> World:
    return world(0.6)


@pytest.fixture(scope="module")
def dearer() -> World:
    return world(1.5, accuracy=0.3)


@pytest.fixture(scope="module")
def equal() -> World:
    return world()


def ask(given: World, *ids: str) -> list[str]:
    return [v.word for v in verdicts(given.tidy, [CLAIMS[i] for i in ids], given.costs)]


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


def test_every_claim_has_a_verdict_on_any_records(equal: World) -> None:
    tidy, costs = equal
    for trials, measured in (NOTHING, (tidy[tidy.seed < 2], costs[costs.process < 1]), (tidy.head(40), costs.head(9))):
        found = verdicts(trials, measured=measured)
        assert [v.claim for v in found] == list(CLAIMS)
        assert all(v.base in get_args(Base) and v.needs for v in found)
        assert all(v.reason for v in found if v.base not in {"supported", "contradicted", "by definition"})
        assert all((v.p is None) or v.base in {*DECIDED} for v in found)


def test_the_comparisons_behind_a_verdict_are_those_that_it_counts(cheaper: World, dearer: World, equal: World) -> None:
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
def test_costs_reach_every_verdict(claim: str, cheaper: World, dearer: World, equal: World) -> None:
    tidy, costs = cheaper
    assert ask(cheaper, claim) == ["supported"]
    said = "contradicted (peak memory of inference; inference time, batch 64)"
    assert ask(dearer, claim) == [said if claim == "C2" else "contradicted"]
    assert ask(equal, claim) == ["no effect (within ±5 %; within ±5.0%)" if claim == "C2" else NO_EFFECT]
    assert ask(World(tidy, costs[costs.process == 0]), claim)[0].startswith("inconclusive (needs more processes")
    partly = ask(World(tidy, costs[costs.model != "vgg16"]), claim)[0]
    assert partly.startswith("inconclusive (needs ") and "vgg16" in partly
    assert ask(World(tidy, pd.DataFrame()), claim)[0].startswith("inconclusive (needs costs, such as ")


def test_energy_that_no_counter_gave_is_untestable() -> None:
    assert ask(world(0.6, energy_source=None), "C46")[0].startswith("untestable here")


def test_accuracy_reaches_every_verdict(cheaper: World, dearer: World) -> None:
    assert ask(cheaper, "C16", "C58", "A6", "C17") == ["supported"] * 4
    assert ask(dearer, "C16", "C58", "A6") == ["contradicted"] * 3
    assert ask(cheaper, "C6", "C36", "C42") == ["no effect (within ±1 points)"] * 3
    one_seed = World(cheaper.tidy[cheaper.tidy.seed == 0], cheaper.costs)
    assert ask(one_seed, "C16", "C6")[0].startswith("inconclusive")
    noisy = World(made.table(noise=0.5), pd.DataFrame())
    assert ask(noisy, "C16", "C17")[1] == "contradicted"
    assert ask(noisy, "C16")[0].startswith("too noisy to tell (±")


def test_conflicting_text_is_inconsistent_whatever_is_measured(cheaper: World, dearer: World) -> None:
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
    assert ask(World(tidy, costs), "C46") == [UNTESTABLE]
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


def test_networks_are_compared_by_their_levels(equal: World) -> None:
    costs = made.costs()
    resnet = costs.model == "resnet18"
    for column in ("dense_step_s", "dense_step_energy_j"):  # half the steps would be half of the training
        costs.loc[resnet, column] *= 0.41
    elsewhere, *_ = verdicts(equal.tidy, [CLAIMS["C48"]], costs)
    assert ask(World(equal.tidy, costs), "C47") == ["supported"] and ask(equal, "C47") == [NO_EFFECT]
    assert elsewhere.word == "untestable here (joules of an A100)"
    assert elsewhere.detail == "here ResNet18 takes ×0.41 of VGG16, in F ×0.41"


def test_machines_are_kept_apart(cheaper: World) -> None:
    assert ask(cheaper, "C45", "C43")[0] == "untestable here (no costs on a gpu)"
    a100 = world(device="cuda:0", gpu="A100-SXM4-80GB")
    assert ask(a100, "C43", "C45") == ["supported", "supported"]
    assert ask(a100, "C14")[0].startswith("untestable here")
    laptop = made.costs(device="cpu", gpu="RTX 3060")  # ids of another device
    laptop["dense_step_energy_j"] *= 0.5
    both = pd.concat([a100.costs, laptop], ignore_index=True)
    assert ask(World(a100.tidy, both), "C14") == ["supported"]


def test_curves() -> None:
    collapsed = {"best_train_accuracy": 0.19, "first_train_loss": 2.05, "last_train_loss": 2.0}
    tidy = made.table(lambda s: collapsed if (s.conv == 0.8 and s.model == "vgg16") else {})
    assert ask(World(tidy, pd.DataFrame()), "C19", "C24") == ["supported", "supported"]
    assert ask(World(made.table(), pd.DataFrame()), "C19") == ["contradicted"]


def test_energy_follows_time_or_not() -> None:
    def truth(s: Setting, turn: int) -> dict[str, float]:
        step = 1 + 0.1 * METHODS.index(s.method) if s.conv or s.linear else 1.0
        return {"time": step, "energy": step**turn}

    tidy = made.table(seeds=1)
    assert ask(World(tidy, made.costs(lambda s: truth(s, 1))), "C59") == ["supported"]
    assert ask(World(tidy, made.costs(lambda s: truth(s, -1))), "C59") == ["contradicted"]
    modelled = made.costs(lambda s: truth(s, 1), energy_source="modelled")
    assert ask(World(tidy, modelled), "C59") == [UNTESTABLE]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(get_args(Base)), min_size=1, max_size=5))
def test_a_conjunction_is_as_weak_as_its_weakest_part(bases: list[Base]) -> None:
    joined = join([Verdict(base, trials=(str(i),)) for i, base in enumerate(bases)])
    assert (joined.base == "supported") == (set(bases) == {"supported"})
    flaws = {"internally inconsistent", "compares unlike quantities"}
    assert "contradicted" not in bases or joined.base in {"contradicted", *flaws}
    assert len(joined.trials) == len(bases)
    assert deny(deny(Verdict("supported"))).base == "supported"
    words = ("short training", "small images", "modelled energy")  # one order, whatever the hash seed
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


def test_a_level_is_decided_at_the_scale_of_the_paper_only(equal: World) -> None:
    tidy, costs = equal
    assert ask(equal, "C5", "C16", "C47") == ["contradicted", "supported", NO_EFFECT]
    for smaller in ({"epochs": 10}, {"width": 0.25}):
        small = verdicts(tidy.assign(**smaller), [CLAIMS["C5"]])[0]
        assert small.word.startswith(UNSCALED)
        assert small.estimate and small.detail.startswith("at a smaller scale: ")
    assert ask(World(tidy.assign(epochs=10), costs), "C16", "C52") == [f"{UNSCALED}; short training)", NO_EFFECT]
    worse = tidy.assign(epochs=10, test_accuracy=0.86, id="small" + tidy.id)  # alone it would be C5's 86 %
    assert ask(World(pd.concat([tidy, worse], ignore_index=True), costs), "C5") == ["contradicted"]


def test_equal_accuracy_shows_nothing_where_dense_did_not_learn() -> None:
    idle = World(made.table(lambda s: {"accuracy": 0.2} if s.dataset == "visa" else {}), made.costs())
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
    (word,) = ask(World(made.table(seeds=1), made.costs(noise=0.3)), "C46")
    assert word.startswith("too noisy to tell (±")


# What a published size of accuracy or loss is held against: by id, as the ledger's texts say.
LEVELS = ("C3", "C5", "C19", "C20", "C25", "C37", "C38", "C41", "C57")


def test_drawn_images_stand_beside_no_published_accuracy(equal: World) -> None:
    drawn = equal.tidy.assign(source="stand-in")
    for verdict in verdicts(drawn, [CLAIMS[i] for i in LEVELS]):
        assert verdict.estimate is None and verdict.base == "untestable here", verdict.claim
        assert "on drawn images" in verdict.word and "real images" in verdict.needs
    for source in ("official", "rebuilt", "subset"):
        assert all(v.estimate for v in verdicts(equal.tidy.assign(source=source), [CLAIMS[i] for i in LEVELS]))
    # Nor do they decide an effect of pruning.
    told = ask(World(drawn, equal.costs), "C16", "A6")
    assert told[1] == "untestable here (test accuracy on drawn images)" and told[0].startswith(told[1][:-1])


def test_value_unit_and_floor_agree_in_every_output(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    given = world(0.9, accuracy=0.85)
    monkeypatch.setattr(Store, "table", lambda self: given.tidy)
    monkeypatch.setattr("paperlib.claims.cost_table", lambda records: given.costs)
    monkeypatch.setattr("paperlib.cli.claims.tables_of", lambda name: (*given, f"results/{name}"))
    found = {v.claim: v for v in write(layout)}
    entries = {e["id"]: e for e in json.loads((layout.results / "claims.json").read_text())}
    rows = pd.read_csv(layout.results / "claims.csv").set_index("id")
    for claim, unit, value in (("A6", "points", -5), ("C5", "%", 90), ("C46", "ratio", 0.9), ("C16", "points", -5)):
        entry, row, verdict = entries[claim], rows.loc[claim], found[claim]
        assert entry["unit"] == row.unit == unit
        assert entry["estimate"] == pytest.approx(value, rel=0.01) == pytest.approx(row.estimate, rel=0.01)
        assert entry["low"] <= entry["estimate"] <= entry["high"]
        screen = CliRunner().invoke(app, ["claims", claim, "--profile", layout.name]).output
        assert verdict.figure() in screen and verdict.floor_text() in screen
    assert found["A6"].figure().startswith("-4.99") and found["A6"].figure().endswith("points")
    assert found["A6"].floor_text() == "±1 points" and entries["A6"]["noise_floor"] == pytest.approx(1)
    assert found["C6"].floor_text() == "±1 points"
    assert found["C46"].figure().startswith("×0.9") and found["C46"].floor_text().endswith("%")
    for e in entries.values():
        if e["unit"] == "%" and e["low"] is not None and e["id"] != "C2":  # a change of size
            assert e["low"] >= 0 and e["high"] <= 100


def test_files_and_tally(layout: Layout) -> None:
    found = write(layout)
    rows = pd.read_csv(layout.results / "claims.csv")
    assert len(rows) == len(found) == 69 and sum(tally(found).values()) == 69
    entries = json.loads(Path(layout.results / "claims.json").read_text())
    assert [e["id"] for e in entries] == list(CLAIMS) and entries[0]["verdict"] == found[0].word
    assert list(table(found)["verdict"]) == [v.word for v in found]
    assert tally([Verdict("supported", caveats=("stand-in images",))], qualified=True) == {
        "supported (stand-in images)": 1
    }


def test_command(layout: Layout) -> None:
    run = CliRunner()
    ledger = run.invoke(app, ["claims", "--profile", "smoke"])
    assert ledger.exit_code == 0 and len(ledger.stdout.splitlines()) == 70
    assert "no own results" in ledger.stderr and "committed ones of results/laptop" in ledger.stderr
    one = run.invoke(app, ["claims", "c11", "--profile", "smoke"])
    assert one.exit_code == 0 and "138.4 M" in one.output and "supported" in one.output
    with pytest.raises(PaperlibError, match="unknown claim 'C466'; did you mean 'C46'"):
        find("C466")
