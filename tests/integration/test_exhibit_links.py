"""What the tables of a report lead to, and what of them a notebook shows."""

import re

import pandas as pd
import pytest

from paperlib.exhibits import collation
from paperlib.exhibits.results import Source
from paperlib.report import display, pages
from tests import measured_costs, report_links


def ids_of(tidy: pd.DataFrame, **wanted: object) -> set[str]:
    """Finished trials with these values; quirks none unless asked for."""
    chosen = tidy[tidy.status == "done"]
    for column, value in ({"quirks": ""} | wanted).items():
        chosen = chosen[chosen[column] == value]
    return set(chosen.id)


def test_every_number_leads_to_exactly_its_trials(made: Source) -> None:
    collation.write("01", made.layout)
    pages.build(made.layout)
    for page in report_links.pages(made.layout):
        places = re.findall(r'\sid="([^"]+)"', page.read_text())
        assert len(places) == len(set(places)), f"an id stands twice in {page.name}"
    dense = ids_of(made.table, method="dense")
    assert len(dense) == 2
    found = report_links.rows(made.layout, "accuracy_mlp")
    assert {row.texts["pruned"] for row in found} == {"global 50%", "layerwise 50%"}
    for row in found:
        own = {
            method: ids_of(made.table, method=method, sparsity=0.5, scope=row.texts["pruned"].split()[0])
            for method in ("pre-training", "set")
        }
        assert all(len(ids) == 2 for ids in own.values())
        whole = dense.union(*own.values())
        assert row.ids == {"pruned": whole, "dense": dense} | {m: ids | dense for m, ids in own.items()}
    costs = {
        (r.setting.method, f"{r.setting.scope} {r.setting.sparsity:.0%}"): r.id for r in measured_costs.perceptron()
    }
    for row in report_links.rows(made.layout, "costs_mlp"):
        assert row.ids == {"pruned": {costs[row.texts["method"], row.texts["pruned"]]}}
    plain = ids_of(made.table, method="set", sparsity=0.5, scope="global")
    quirks = {row.texts["arm"]: row.ids for row in report_links.rows(made.layout, "quirks_mlp")}
    swapped = ids_of(made.table, method="set", sparsity=0.5, quirks="swap-first")
    assert quirks == {"corrected": {"arm": plain}, "swap-first": {"arm": plain | swapped}}
    for row in report_links.rows(made.layout, "layers_mlp"):
        arm = {"method": row.texts["method"], "scope": row.texts["scope"], "sparsity": 0.5, "seed": 0}
        assert row.ids == {"method": ids_of(made.table, **arm)}
    assert report_links.dead_ends(made.layout) == set() == report_links.dead_links(made.layout)


def test_a_pattern_shows_each_exhibit_once_and_says_what_is_missing(
    made: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    exhibits = collation.write("01", made.layout)
    displayed = []
    monkeypatch.setattr(display, "display", displayed.append)
    display.show(exhibits, "accuracy_mlp", "accuracy_*", "nosuch_*", layout=made.layout)
    assert {e.name for e in exhibits if e.name.startswith("accuracy_")} == {"accuracy_mlp", "accuracy_mlp-small"}
    table, picture, caption, missing = displayed
    assert "accuracy_mlp" in table.data and len(picture.data) > 1000 and "n = " in caption.data
    assert missing.data == "*`nosuch_*`: no records for it in results/scratch.*"


def test_links_stand_in_the_report_alone(made: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    exhibits = collation.write("01", made.layout)
    for path in (*made.layout.tables.glob("*.csv"), *made.layout.tables.glob("*.tex")):
        assert "<" not in path.read_text() and "trials" not in path.read_text()
    displayed = []
    monkeypatch.setattr(display, "display", displayed.append)
    display.show(exhibits, "accuracy_mlp", layout=made.layout)
    (page,) = (shown.data for shown in displayed)
    assert "data-trials" not in page and "<a " not in page and ">global 50%</td>" in page
