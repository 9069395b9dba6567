"""The plan: what is done costs nothing, the CPU study has its line, durations read well."""

import pytest

from paperlib.claims.settings import Setting, dense_of
from paperlib.cli.plan import duration, make_plan, render, sentences
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.forecast import Cost, costs_of, total
from paperlib.costs.records import write_costs
from paperlib.costs.unit_costs import UnitCosts
from paperlib.schema.cost import PROCESSES
from paperlib.schema.trial import Trial
from paperlib.studies import costs
from paperlib.studies.cpu import settings
from paperlib.studies.sections import NOTEBOOKS
from paperlib.trials.runner import run
from paperlib.trials.store import Store
from tests.claim_records import cost_records

UNIT = UnitCosts(1.0, 10.0, 0.1, 5.0, 2.0, "modelled", 100, 4_000)


@pytest.fixture
def nothing_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paperlib.costs.unit_costs.units_of", lambda kinds, records: dict.fromkeys(kinds, UNIT))


@pytest.mark.usefixtures("nothing_measured")
def test_networks_of_the_cpu_study_that_are_measured_cost_nothing(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paperlib.costs.forecast.cpu_study_cost", lambda todo, units: Cost(len(todo)))
    networks = settings("smoke")
    layout.edge.mkdir(parents=True)
    (layout.edge / f"{networks[0].id}.json").touch()
    line = make_plan("smoke", ["04"], layout).lines[0]
    assert (line.part, line.pieces, line.done, line.left.time_s) == ("CPU study", len(networks), 1, len(networks) - 1)


@pytest.mark.usefixtures("nothing_measured")
def test_costs_that_are_measured_cost_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paperlib.costs.forecast.costs_cost", lambda todo, units: Cost(len(todo)))
    settings = costs.settings("smoke", "02")
    (record,) = cost_records(arms=[dense_of(Setting("cifar10", "vgg16", "dense", 0, 0))])
    for setting, processes in ((settings[0], PROCESSES), (settings[1], 1)):  # the second is under way
        write_costs(record.model_copy(update={"id": setting.id, "runs": record.runs[:processes]}), layout)
    (line,) = [x for x in make_plan("smoke", ["02"], layout).lines if x.part == "costs"]
    assert (line.pieces, line.done, line.left.time_s) == (len(settings), 1, len(settings) - 1)


def time_of(trials: list[Trial]) -> float:
    return total(costs_of(trials, dict.fromkeys(trials, UNIT)).values()).time_s


@pytest.mark.usefixtures("tiny_images", "nothing_measured")
def test_what_is_done_costs_nothing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paperlib.costs.forecast.costs_cost", lambda todo, units: Cost())
    before = make_plan("smoke", ["01"], layout)
    every = list(dict.fromkeys(NOTEBOOKS["01"].trials("smoke")))
    assert sum(line.pieces for line in before.lines) == len(every) + len(costs.settings("smoke", "01")) + 1
    assert before.seed.time_s == pytest.approx(time_of([t for t in every if t.seed == 0]))
    one, *others = every
    record = run(Trial(epochs=1, batch_size=16), layout)
    monkeypatch.setattr(Store, "find", lambda self, trials: {one: record})
    after = make_plan("smoke", ["01"], layout)
    assert before.left.time_s - after.left.time_s == pytest.approx(time_of(every) - time_of(others))
    assert sum(line.done for line in after.lines) == 1
    said = " ".join(sentences(after))
    assert "kWh (modelled)" in said and "g per kWh" in said
    assert render(after).row_count == len(after.lines) + 1


@pytest.mark.usefixtures("nothing_measured")
def test_an_unknown_profile_is_refused(layout: Layout) -> None:
    with pytest.raises(PaperlibError, match="unknown profile 'quik'; did you mean 'quick'"):
        make_plan("quik", None, layout)


@pytest.mark.parametrize(("seconds", "text"), [(4, "4 s"), (600, "10.0 min"), (9_000, "2.5 h"), (260_000, "3.0 d")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
