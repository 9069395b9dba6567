"""The checklist names what exists, and says what does not."""

import pytest

from paperlib import studies
from paperlib.report.checklist import CHECKLIST, Point
from paperlib.schema.trial import Trial
from paperlib.studies.profiles import BASELINES, METHODS
from tests.conftest import ROOT


def test_fifteen_points_in_order() -> None:
    assert [p.number for p in CHECKLIST] == list(range(1, 16))
    assert {p.state for p in CHECKLIST} <= {"met", "in part", "not met"}


@pytest.mark.parametrize("point", CHECKLIST, ids=lambda p: str(p.number))
def test_what_it_names_is_there(point: Point) -> None:
    assert point.met and point.where
    assert all((ROOT / name).is_file() for name in point.where)


def test_state_follows_from_what_lacks() -> None:
    assert Point(1, "", "yes", ()).state == "met"
    assert Point(1, "", "yes", (), "some").state == "in part"
    assert Point(1, "", "", (), "all").state == "not met"


def of(trials: list[Trial], field: str) -> set[object]:
    return {getattr(trial, field) for trial in trials}


def test_profiles_run_what_the_points_say() -> None:
    """What points 2 to 5, 7 and 15 tell of the profiles; where this fails, their words are stale too."""
    grids = {name: studies.mlp(name, datasets=["mnist"]) for name in studies.PROFILES}
    networks = {name: studies.industrial(name) for name in studies.PROFILES}
    quick, laptop, paper = (of(grids[name], "scope") for name in ("quick", "laptop", "paper"))
    assert of(grids["smoke"], "scope") == quick == {"global", "layerwise"}
    assert laptop - quick == {"global-threshold"} and paper - laptop == {"layerwise-matched"}
    assert of(studies.vgg("paper"), "scope") == {"global", "layerwise"} and of(networks["paper"], "scope") == {"global"}
    assert not any(of(grid, "method") & set(BASELINES) for grid in (*grids.values(), studies.vgg("paper")))
    extra = {name: {t.dataset for t in trials if t.method in BASELINES} for name, trials in networks.items()}
    assert extra["smoke"] == extra["laptop"] == {"bloodmnist"} and extra["quick"] == set()
    assert extra["paper"] == of(networks["paper"], "dataset")
    random = {name: any(t.method == "random" and t.sparsity for t in grid) for name, grid in grids.items()}
    assert random == {"smoke": False, "quick": False, "laptop": True, "paper": True}
    assert {round(1 / (1 - t.sparsity)) for t in studies.tutorial("smoke") if t.scope == "global"} == {1, 2, 8}
    seeds = {name: (of(studies.vgg(name), "seed"), of(networks[name], "seed")) for name in studies.PROFILES}
    assert [tuple(map(len, seeds[name])) for name in ("smoke", "quick", "laptop", "paper")] == [
        (1, 1),
        (1, 1),
        (3, 3),
        (5, 3),
    ]
    assert of(studies.sensitivity("quick"), "model") == of(studies.sensitivity("smoke"), "model") == {"mlp-small"}
    swept = [t for t in studies.sensitivity("laptop") if t.method != "dense"]
    assert of(swept, "method") == {"set"} and of(swept, "model") == {"mlp-small", "mlp-medium"}
    assert {t.method for t in studies.vgg("paper") if t.quirks} == {"dense", *METHODS}
