"""The checklist names what exists, says what does not, and tells the profiles as they are."""

import re

import pytest

from paperlib import studies
from paperlib.schema.trial import Trial
from paperlib.studies.profiles import BASELINES, GRID_METHODS
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "checklist.md"
POINTS = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]


def test_fifteen_points_in_order() -> None:
    assert [point.partition(".")[0] for point in POINTS] == [str(n) for n in range(1, 16)]


@pytest.mark.parametrize("point", POINTS, ids=lambda p: p.partition(".")[0])
def test_what_a_point_links_to_is_there_and_its_state_follows_from_what_is_missing(point: str) -> None:
    links = re.findall(r"\]\(([^)#]+)", point)
    assert links and all((PAGE.parent / link).is_file() for link in links)
    state = point.splitlines()[0].rpartition(": ")[2]
    assert state == ("in part" if "**Not there:**" in point else "met")


def of(trials: list[Trial], field: str) -> set[object]:
    return {getattr(trial, field) for trial in trials}


def test_profiles_run_what_the_points_say() -> None:
    """What points 2 to 5, 7 and 15 tell of the profiles; where this fails, their words are stale too."""
    grids = {name: studies.mlp(name, datasets=["mnist"]) for name in studies.PROFILES}
    networks = {name: studies.industrial(name) for name in studies.PROFILES}
    quick, laptop, paper = (of(grids[name], "scope") for name in ("quick", "laptop", "paper"))
    assert of(grids["smoke"], "scope") == {"global", "layerwise"}
    assert quick == laptop == {"global", "layerwise", "global-threshold"} and paper - laptop == {"layerwise-matched"}
    assert of(studies.vgg("paper"), "scope") == {"global", "layerwise"} and of(networks["paper"], "scope") == {"global"}
    small = {name: [t for t in grid if t.model == "mlp-small"] for name, grid in grids.items()}
    baselines = {name: of(grid, "method") & set(BASELINES) for name, grid in small.items()}
    assert baselines["quick"] == baselines["laptop"] == {"magnitude-gradual", "rigl"}
    assert not baselines["smoke"] | baselines["paper"] | of(studies.vgg("paper"), "method") & set(BASELINES)
    assert len(of(small["quick"], "seed")) == 5 and len(of(small["laptop"], "seed")) == 10
    extra = {name: {t.dataset for t in trials if t.method in BASELINES} for name, trials in networks.items()}
    assert extra["smoke"] == extra["laptop"] == {"bloodmnist"} and extra["quick"] == set()
    assert extra["paper"] == of(networks["paper"], "dataset")
    random = {name: any(t.method == "random" and t.sparsity for t in grid) for name, grid in grids.items()}
    assert random == {"smoke": False, "quick": True, "laptop": True, "station": True, "paper": True}
    assert {round(1 / (1 - t.sparsity)) for t in studies.tutorial_trials("smoke") if t.scope == "global"} == {1, 2, 8}
    seeds = {name: (of(studies.vgg(name), "seed"), of(networks[name], "seed")) for name in studies.PROFILES}
    assert [tuple(map(len, seeds[name])) for name in ("smoke", "quick", "laptop", "paper")] == [
        (1, 1),
        (1, 1),
        (3, 3),
        (5, 3),
    ]
    assert (
        of(studies.sensitivity_trials("quick"), "model")
        == of(studies.sensitivity_trials("smoke"), "model")
        == {"mlp-small"}
    )
    swept = [t for t in studies.sensitivity_trials("laptop") if t.method != "dense"]
    assert of(swept, "method") == {"set"} and of(swept, "model") == {"mlp-small", "mlp-medium"}
    assert {t.batch_size for t in studies.sensitivity_trials("laptop", "mlp") if t.model == "mlp-small"} == {4, 64}
    assert {t.method for t in studies.vgg("paper") if t.quirks} == {"dense", *GRID_METHODS}
