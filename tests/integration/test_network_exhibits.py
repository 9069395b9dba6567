"""Tables and figures of F's networks, from a small, real run."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from paperlib import studies
from paperlib.claims.cost_evidence import CostTable
from paperlib.claims.settings import dense_of, grid_f
from paperlib.core.paths import Layout
from paperlib.costs.records import write_costs
from paperlib.exhibits import (
    collation,
    effect_figures,
    effect_tables,
    paper_f_figures,
    paper_f_tables,
    style,
)
from paperlib.exhibits.manifest import output_root
from paperlib.exhibits.results import Source
from paperlib.report import pages
from paperlib.report.findings import findings
from paperlib.schema.trial import Trial, make_trial
from tests import report_links
from tests.claim_records import cost_records
from tests.conftest import tiny, train

CNN = {"width": 0.05, "epochs": 2, "batch_size": 16, "optimizer": "AdamW", "lr": 1e-3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks, two seeds, dense and three methods in scenario ii, and SET in a scenario of one's own."""
    trials: list[Trial] = []
    for model in ("vgg16", "resnet18"):
        for seed in range(2):
            common = CNN | {"dataset": "bloodmnist", "model": model, "seed": seed}
            trials += [make_trial(**common), make_trial(**common, method="random")]
            for method in ("post-training", "set", "small-dense"):
                trials.append(make_trial(**common, method=method, conv_sparsity=0.5, sparsity=0.8))
            trials.append(make_trial(**common, method="set", conv_sparsity=0.3, sparsity=0.9))
    return train(trials, tiny(size=16, channels=3), tmp_path_factory.mktemp("trained"))


@pytest.fixture
def made(layout: Layout, trained: Path) -> Source:
    shutil.copytree(trained, layout.results)
    for record in cost_records(arms=[dense_of(s) for s in grid_f()[:1]] + grid_f(models=("vgg16", "resnet18"))):
        write_costs(record, layout)
    return Source.of(layout)


def test_exhibits_of_f_state_what_they_show(made: Source, layout: Layout) -> None:
    exhibits = {e.name: e for e in collation.write("03", layout)}
    assert {
        "architectures", "splits", "training_accuracy_ii", "training_loss_ii", "training_time_ii", "test_accuracy_ii",
        "test_accuracy_0.3-0.9", "blood_industrial", "scenarios_industrial", "settings_industrial",
        "quality_industrial", "accuracy_industrial",
    } <= set(exhibits)  # fmt: skip
    known = set(made.table.id) | set(made.costs.rows.id)
    for exhibit in exhibits.values():
        assert "n = " in exhibit.caption, exhibit.name
        assert "stand-in" in exhibit.caption or set(exhibit.trials) <= set(made.costs.rows.id), exhibit.name
        assert exhibit.trials and set(exhibit.trials) <= known
        assert all((output_root(layout) / f).stat().st_size > 0 for f in exhibit.files)
    assert "figure 13" in exhibits["test_accuracy_ii"].title
    rows = paper_f_figures.scenario_rows(made.table, studies.SCENARIOS["ii"])
    assert set(rows.method) == {"dense", "post-training", "set", "small-dense"} and set(rows.seed) == {0, 1}


def test_tables_of_f_agree_with_the_records(made: Source, layout: Layout) -> None:
    exhibits = {e.name: e for e in collation.write("03", layout)}
    read = {n: pd.read_csv(output_root(layout) / e.files[0]) for n, e in exhibits.items() if e.kind == "table"}
    mean = np.mean(
        [r.test.macro_f1 for r in made.records if r.trial.model == "vgg16" and r.trial.method == "dense" and r.test]
    )
    quality = read["quality_industrial"]
    row = quality[(quality.model == "vgg16") & (quality.method == "dense")]
    assert len(row) == 1 and row["macro F1, %"].iloc[0] == pytest.approx(100 * mean, rel=1e-4)
    settings = read["settings_industrial"].set_index("setting").here
    assert settings["optimiser"] == "AdamW" and settings["epochs"] == "2" and settings["resolution, px"] == "16"
    for source, begins in (("stand-in", ("–", "–")), ("rebuilt", ("94.85", "91.93"))):
        table = made.table.assign(source=source)
        exhibit = paper_f_tables.doerrich(replace(made, table=table))
        assert exhibit is not None
        doerrich = pd.read_csv(output_root(layout) / exhibit.files[0])
        cells = dict(zip(doerrich.model.str.split().str[0], doerrich["Doerrich et al., %"], strict=True))
        assert (cells["vgg16"][: len(begins[0])], cells["resnet18"][: len(begins[1])]) == begins


def test_panels_and_rows_near_chance_are_marked(made: Source, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    named: list[str] = []
    panels = style.panels
    monkeypatch.setattr(style, "panels", lambda names, *a, **k: (named.extend(names), panels(names, *a, **k))[1])
    learnt = made.table.assign(test_majority=1 / 3, test_accuracy=0.9)
    table = learnt.assign(test_accuracy=learnt.test_accuracy.where(learnt.model != "vgg16", 0.36))
    source, scenario = replace(made, table=table), studies.SCENARIOS["ii"]
    paper_f_figures.scores(source, scenario)
    for quantity in effect_figures.CURVES:
        paper_f_figures.curves(source, quantity, scenario)
    assert len(named) == 6
    assert {n for n in named if "vgg16" in n} == {"bloodmnist (stand-in), vgg16\ndense near chance"}
    assert {n for n in named if "resnet18" in n} == {"bloodmnist (stand-in), resnet18"}
    exhibits = [paper_f_tables.quality(source), paper_f_tables.doerrich(source)]
    exhibits.append(effect_tables.write_accuracy(source, "industrial"))
    for exhibit in exhibits:
        assert exhibit is not None
        page = (layout.tables / f"{exhibit.name}.html").read_text()
        groups = re.findall(r'<th class="gt_group_heading"[^>]*>(.*?)</th>', page)
        assert [g.endswith("vgg16 (dense near chance)") for g in groups if "vgg16" in g] == [True], exhibit.name
        assert [g.endswith("resnet18") for g in groups if "resnet18" in g] == [True], exhibit.name
    said, of_learnt = str(findings(table, made.costs)), str(findings(learnt, made.costs))
    assert "12 of these arms" not in of_learnt and "near chance" not in of_learnt
    assert "beside a dense network near chance" in said


def test_energy_and_co2_are_one_figure_with_two_axes(made: Source, layout: Layout) -> None:
    exhibits = {e.name: e for e in collation.write("03", layout)}
    energy = exhibits["training_energy_ii"]
    assert "CO2, which is energy times 400 g per kWh" in energy.caption and "figure 16" in energy.title
    figures = [e for e in exhibits.values() if e.kind == "figure"]
    pictures = [(output_root(layout) / next(f for f in e.files if f.endswith(".png"))).read_bytes() for e in figures]
    assert len(set(pictures)) == len(pictures), "two figures are the same picture"


def test_rows_of_f_lead_to_exactly_their_trials(made: Source, layout: Layout) -> None:
    collation.write("03", layout)
    pages.build(layout)

    def ids(model: str, **wanted: object) -> set[str]:
        chosen = made.table[made.table.model == model]
        for column, value in wanted.items():
            chosen = chosen[chosen[column] == value]
        assert set(chosen.seed) == {0, 1}
        return set(chosen.id)

    shares = {"ii": {"conv_sparsity": 0.5, "sparsity": 0.8}, "0.3-0.9": {"conv_sparsity": 0.3, "sparsity": 0.9}}
    quality = report_links.rows(layout, "quality_industrial")
    assert len(quality) == 2 * 5
    for row in quality:
        arm = shares.get(row.texts["scenario"], {})  # dense belongs to all of them
        assert row.ids == {"method": ids(row.group.split(", ")[1].split()[0], method=row.texts["method"], **arm)}
    for row in report_links.rows(layout, "accuracy_industrial"):
        model, scenario = (
            row.group.split(", ")[1].split()[0],
            "ii" if "linear 80%" in row.texts["pruned"] else "0.3-0.9",
        )
        dense, arm = ids(model, method="dense"), ids(model, method="set", **shares[scenario])
        assert row.ids["dense"] == dense and row.ids["set"] == dense | arm
        assert row.ids["pruned"] == dense | ids(model, **shares[scenario])
    for row in report_links.rows(layout, "blood_industrial"):
        best = row.texts["50 % conv + 80 % linear, best method, %"].rpartition("(")[2].rstrip(")")
        dense, arms = ids(row.group.split()[0], method="dense"), ids(row.group.split()[0], **shares["ii"])
        assert row.ids == {
            "resolution": dense | arms, "dense, %": dense,
            "50 % conv + 80 % linear, best method, %": ids(row.group.split()[0], method=best, **shares["ii"]),
        }  # fmt: skip
    for row in report_links.rows(layout, "scenarios_industrial"):
        masked = ids(row.group.split()[0], method="set", **shares[row.texts["scenario"].split()[0]])
        if row.texts["scenario"].startswith("ii"):
            masked |= ids(row.group.split()[0], method="post-training")
        assert row.ids == {"scenario": masked}
    assert all(not row.ids for row in report_links.rows(layout, "settings_industrial"))  # its rows are no arms
    assert report_links.dead_ends(layout) == set()


def test_each_paper_shows_its_own_grid_where_both_train_on_one_set(layout: Layout) -> None:
    of_p, of_f = studies.vgg("quick"), studies.industrial("quick")
    trials = list(dict.fromkeys([*of_p, *of_f]))
    assert len(trials) < len(of_p) + len(of_f), "they share trials"
    table = pd.DataFrame([{"id": t.id, "model": t.model, "dataset": t.dataset} for t in trials])
    every = Source(layout, [], table, CostTable(pd.DataFrame()))
    for number, grid in (("02", of_p), ("03", of_f)):
        section = collation.SECTIONS[number]
        assert section and set(section.records(every, "quick").table.id) == {t.id for t in grid}
    own = studies.industrial("quick", scenarios=[(0.3, 0.9)])
    table = pd.DataFrame([{"id": t.id, "model": t.model, "dataset": t.dataset} for t in own])
    section = collation.SECTIONS["03"]
    axes = {"scenarios": [(0.3, 0.9)]}
    assert section and len(section.records(Source(layout, [], table, every.costs), "quick", axes).table) == len(own)
