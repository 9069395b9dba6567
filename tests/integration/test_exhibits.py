"""Tables and figures from records of real tiny trainings: numbers, captions, files, the same bytes again."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.lines import Line2D
from PIL import Image

from paperlib.claims import effects
from paperlib.claims.cost_evidence import COSTS, CostTable, Network
from paperlib.claims.effects import arms
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.exhibits import collation, cost_exhibits, effect_tables, style, tutorial_tables
from paperlib.exhibits import published as literature
from paperlib.exhibits.expected import WANTED
from paperlib.exhibits.manifest import output_root, read_manifest
from paperlib.exhibits.results import Source
from paperlib.report import section_run
from paperlib.report.findings import findings
from paperlib.schema.trial import make_trial
from paperlib.studies.sections import all_trials
from paperlib.trials.runner import checkpoint, run
from paperlib.trials.store import Store
from tests import measured_costs


def test_effects_equal_a_loop_over_the_records(made: Source) -> None:
    records = {(r.trial.method, r.trial.scope, r.trial.seed, r.trial.quirks): r for r in made.records}
    found = {(a.method, a.scope): a for a in arms(made.table) if a.sparsity}
    assert len(found) == 4
    for (method, scope), arm in found.items():
        differences = [
            records[method, scope, seed, ()].test.accuracy - records["dense", "global", seed, ()].test.accuracy  # type: ignore[union-attr]
            for seed in range(2)
        ]
        assert arm.effect is not None
        assert arm.effect.mean == pytest.approx(np.mean(differences))
        assert arm.effect.n == 2 and len(arm.trials) == 4


def test_ratios_equal_a_loop_over_the_cost_records(made: Source) -> None:
    cost_exhibits.table(made, "mlp")
    table = pd.read_csv(made.layout.tables / "costs_mlp.csv")
    assert len(table) == 12 and set(table.processes) == {measured_costs.RUNS}
    for record in measured_costs.perceptron():
        setting = record.setting
        arm = (table.method == setting.method) & (table.scope == setting.scope) & (table.linear == setting.sparsity)
        for size, name in ((1, "inference_time_b1"), (64, "inference_time")):
            ratios = [
                next((t.ratio for t in run.inference if (t.variant, t.batch_size) == ("masked", size)), 1.0)
                for run in record.runs
            ]
            shown = table[arm][f"{name}_mean"].to_list()
            assert shown == (
                [] if setting.method == "dense" else pytest.approx([np.exp(np.mean(np.log(ratios)))], rel=1e-4)
            )
    own = table[table.method == "post-training"]
    assert (own.training_time_mean == 1).all() and (own.training_time_low == 1).all()
    assert "1 (as dense)" in (made.layout.tables / "costs_mlp.html").read_text()


def test_the_section_is_written_whole_and_listed(made: Source) -> None:
    exhibits = collation.write("01", made.layout)
    names = {e.name for e in exhibits}
    assert {"accuracy_mlp", "accuracy_mlp-small", "costs_mlp", "costs_mlp-small"} <= names
    assert {"curve_accuracy_mlp-small", "pareto_mlp-small", "layers_mlp-small", "layers_mlp", "quirks_mlp"} <= names
    assert read_manifest(made.layout) == exhibits
    known = {r.id for r in (*made.records, *measured_costs.perceptron())}
    for exhibit in exhibits:
        assert exhibit.trials and set(exhibit.trials) <= known
        assert "n = " in exhibit.caption, exhibit.name
        assert ("A/A noise floor" if "costs" in exhibit.name else "stand-in") in exhibit.caption, exhibit.name
        endings = {".svg", ".png"} if exhibit.kind == "figure" else {".csv", ".html", ".tex"}
        assert {re.sub(r".*(?=\.)", "", f) for f in exhibit.files} == endings
        for name in exhibit.files:
            assert (output_root(made.layout) / name).stat().st_size > 0
        assert "costs" not in exhibit.name or "energy: modelled (±40%)" in exhibit.caption


def test_figures_are_not_empty_and_the_same_again(made: Source) -> None:
    first = collation.write("01", made.layout)
    kept = {f: (output_root(made.layout) / f).read_bytes() for e in first for f in e.files}
    for name, content in kept.items():
        if name.endswith(".png"):
            image = Image.open(output_root(made.layout) / name).convert("RGB")
            assert len(image.getcolors(image.width * image.height)) > 5
        assert content
    collation.write("01", made.layout)
    changed = [f for f, content in kept.items() if (output_root(made.layout) / f).read_bytes() != content]
    assert changed == []


def test_a_legend_is_never_wider_than_its_figure() -> None:
    figure, _ = style.panels(["one", "two"])
    for words, columns in (
        ("short", 3),
        ("AdamW, cosine, 10 epochs, 28 px", 2),
        ("much too long for any line " * 4, 1),
    ):
        figure.legends.clear()
        style.legend_below(figure, [Line2D([], [], label=words) for _ in range(6)], 3)
        (legend,) = figure.legends
        assert legend._ncols == columns, words
        extent = legend.get_window_extent(FigureCanvasAgg(figure).get_renderer())
        assert columns == 1 or extent.width <= figure.bbox.width


def test_table_holds_the_paper_value_only_where_there_is_one(made: Source) -> None:
    for source, paper in (("stand-in", effects.DRAWN), ("official", "−0.49 points")):
        tidy = made.table.assign(source=source)
        exhibit = effect_tables.write_accuracy(replace(made, table=tidy), "mlp")
        table = pd.read_csv(made.layout.tables / "accuracy_mlp.csv")
        published = table[table.paper != effects.NOT_PUBLISHED]
        assert set(zip(published.scope, published.sparsity, published.paper, strict=True)) == {
            ("layerwise", 0.5, paper)
        }
        texts = [(made.layout.tables / f"accuracy_mlp{e}").read_text() for e in (".csv", ".html", ".tex")]
        assert exhibit and all(("0.49" in text.replace("−", "-")) == (source == "official") for text in texts)
        said = "stands beside results on real images alone" in texts[1]
        assert said == (source == "stand-in")
        assert any("published case" in f.lead for f in findings(tidy, made.costs)) == (source == "official")


def test_value_and_unit_agree_in_the_tables(made: Source) -> None:
    effect_tables.write_accuracy(made, "mlp")
    accuracy = pd.read_csv(made.layout.tables / "accuracy_mlp.csv")
    assert set(accuracy.unit) == {"%"} and set(accuracy.difference_unit) == {"points"}
    assert accuracy.difference_mean.to_numpy() == pytest.approx(accuracy.pruned_mean - accuracy.dense_mean, abs=1e-3)


def test_intervals_of_every_table_are_possible(made: Source) -> None:
    # Two seeds as far apart as can be: Student's interval alone would reach from -600 to 700 %.
    far = replace(
        made,
        table=made.table.assign(
            test_accuracy=(made.table.seed == 0).astype(float), train_time_s=1.0 + 9 * made.table.seed
        ),
        costs=CostTable(made.costs.rows.assign(step_ratio=1.0 + made.costs.rows.process)),
    )
    wide = [effect_tables.write_accuracy(far, "mlp"), cost_exhibits.table(far, "mlp")]
    wide += [literature.write(far, "mlp"), effect_tables.write_quirks(far)]
    wide += [e for e in tutorial_tables.write_all(far.where(far.table.scope == "global")) if e]
    intervals = 0
    for exhibit in wide:
        assert exhibit is not None
        page = (made.layout.tables / f"{exhibit.name}.html").read_text().split("<tbody")[1].split("</tbody")[0]
        for ratio, mean, low, high in re.findall(r"(×?)([-+]?[\d.]+) \[(-?[\d.]+), (-?[\d.]+)\]", page):
            intervals += 1
            assert float(low) <= float(mean) <= float(high)
            if exhibit.name != "costs_mlp":
                assert ratio or -100 <= float(low) <= float(high) <= 100, (exhibit.name, low, high)
            assert not ratio or float(low) >= 0
    assert intervals > 8


def test_captions_say_what_is_drawn(made: Source) -> None:
    exhibits = {e.name: e for e in collation.write("01", made.layout)}
    assert "pruned arms as difference to dense" in exhibits["accuracy_mlp"].caption
    figure = exhibits["accuracy_mlp-small"].caption
    assert "difference to dense" not in figure and figure.startswith("Test accuracy itself, in %")
    figures = [e for e in exhibits.values() if e.kind == "figure"]
    pictures = [
        (output_root(made.layout) / next(f for f in e.files if f.endswith(".png"))).read_bytes() for e in figures
    ]
    twice = [e.name for e, p in zip(figures, pictures, strict=True) if pictures.count(p) > 1]
    assert twice == [], "the same picture"
    assert all(
        w.met_by(list(exhibits.values()))
        for w in WANTED
        if w.asked in {"P, figure: costs", "P, table: costs"} and w.section == "01"
    )
    floor = made.costs.floor(COSTS["training_time"], Network("mlp-small", 28))
    caption, ratio = exhibits["costs_mlp"].caption, made.costs.rows.whole_ratio.dropna().median()
    assert floor and f"training mlp-small 28 px ±{floor.text(100, 1)} %" in caption
    assert f"mlp-small, masked ×{ratio:.2f}" in caption.partition("Whole trainings measured beside")[2]


@pytest.mark.usefixtures("tiny_images")
def test_a_tweak_shows_what_was_asked_for_and_runs_nothing_again(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    few = {"datasets": ["mnist"], "models": ["mlp-small"], "seeds": 1}
    ran = section_run.run("01", "smoke", **few, sparsities=[0.5, 0.75], methods=["set", "post-training"])
    study, own = Layout.of("smoke"), Layout.of("smoke").tweaked
    assert (ran.layout, ran.layout.name) == (own, "smoke-tweaked")
    inside = {p.stem for p in study.trials.glob("*.json")}
    assert inside == {t.id for t in {*ran.trials} & {*all_trials("smoke")}}
    assert 0 < len(inside) < len(ran.trials)
    assert {p.stem for p in own.trials.glob("*.json")} == {r.id for r in ran.records}
    assert {0.5, 0.75} <= set(pd.read_csv(own.tables / "accuracy_mlp.csv").sparsity)
    dates = {p: p.stat().st_mtime_ns for p in (*study.trials.glob("*"), *own.trials.glob("*"))}
    # Narrower ones show less, of what is there.
    for axes, column, left in (
        ({"sparsities": [0.5, 0.75], "scopes": ["layerwise"]}, "scope", {"layerwise"}),
        ({"sparsities": [0.5]}, "sparsity", {0.5}),
    ):
        again = section_run.run("01", "smoke", **few, **axes, methods=["post-training"])
        table = pd.read_csv(own.tables / "accuracy_mlp.csv")
        assert set(table[table.sparsity > 0][column]) == left, axes
        assert [r.id for r in again.records] == [t.id for t in again.trials]
        assert {i for e in again.exhibits for i in e.trials} <= {r.id for r in again.records}
    assert {p: p.stat().st_mtime_ns for p in dates} == dates
    assert len(list(own.trials.glob("*"))) + len(inside) == len(dates)
    # And what lies among the study's records without being of it is moved there, weights and all.
    strange = run(make_trial(epochs=2, batch_size=16, dataset="mnist", lr=0.07), study)
    capsys.readouterr()
    section_run.set_aside(study, "smoke")
    assert "1 record(s) that are not of the study smoke moved" in capsys.readouterr().err
    assert {p.stem for p in study.trials.glob("*.json")} == inside
    assert Store(own).get(strange.id) == strange and checkpoint(own, strange.id).exists()


def test_a_stranger_section_and_an_empty_folder_say_what_to_do(layout: Layout) -> None:
    with pytest.raises(PaperlibError, match="paperlib reproduce"):
        collation.write("01", layout)
    with pytest.raises(PaperlibError, match="01"):
        collation.write("10", layout)


def test_one_seed_gets_no_interval(made: Source) -> None:
    one = [r for r in made.records if r.trial.seed == 0]
    costs = CostTable(made.costs.rows[made.costs.rows.process == 0])
    source = replace(made, records=one, table=made.table[made.table.seed == 0], costs=costs)
    mlp = collation.SECTIONS["01"]
    assert mlp
    exhibits = [e for make in mlp.makers for e in make(source, "mlp") if e]
    assert all("no interval" in e.caption for e in exhibits if e.name.startswith("accuracy"))
    assert not any("95 %" in e.caption for e in exhibits)
    assert "95 %" not in " ".join(f.markdown() for f in findings(source.table, costs))
    assert "[" not in (made.layout.tables / "accuracy_mlp.html").read_text().split("<tbody")[1].split("</tbody")[0]


def test_tidy_order_is_the_papers(made: Source) -> None:
    assert list(made.table.method)[:2] == ["dense", "dense"]
    assert len(Store(made.layout).records()) == len(made.table)
