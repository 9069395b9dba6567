"""One thing, one command: a claim answered from own records or the reference, one exhibit made, a run's last screen."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from paperlib import claims
from paperlib.claims import find
from paperlib.cli import claims as claims_command
from paperlib.cli import entry, figure
from paperlib.core.paths import Layout
from paperlib.costs.forecast import Cost
from paperlib.exhibits.results import Source
from paperlib.report import ending
from paperlib.report.answers import answers
from paperlib.report.committed import Tables
from paperlib.report.one_exhibit import known
from paperlib.schema.trial import make_trial
from paperlib.studies.sections import NOTEBOOKS
from paperlib.trials.runner import run_all
from tests.integration.conftest import FAST

NOTHING = Tables(pd.DataFrame(), pd.DataFrame(), "results/quick")


def call(*words: str) -> Result:
    return CliRunner().invoke(entry.app, words)


def test_the_reference_answers_what_own_records_do_not() -> None:
    of_facts, of_costs, open_everywhere = answers(NOTHING, [find("C11"), find("A4"), find("C1")])
    assert (of_facts.source, of_facts.verdict.base) == ("own", "supported")
    assert (of_costs.source, of_costs.verdict.base) == ("reference", "contradicted")
    assert of_costs.tables.whose == "results/laptop, committed" and of_costs.own.base == "inconclusive"
    assert open_everywhere.source == "own" and open_everywhere.verdict is open_everywhere.own


def test_a_claim_says_whose_records_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims_command, "tables_of", lambda name: NOTHING)
    said = " ".join(call("claims", "A4").output.split())
    assert "verdict contradicted" in said and "answered by reference: results/laptop, committed" in said
    assert "own records inconclusive" in said and "to run" in said
    said = " ".join(call("claims", "C11").output.split())
    assert "answered by own: results/quick" in said and "own records" not in said


def test_the_last_screen_is_a_screen(made: Source) -> None:
    layout = made.layout
    claims.write(layout)
    layout.report.mkdir(parents=True)
    (layout.report / "claims.json").write_bytes((layout.results / "claims.json").read_bytes())
    page = layout.report / "index.html"
    shown = ending.ending(layout, 75.0, [page])
    said = " ".join(" ".join(shown).split())
    assert len(shown) <= 30 and max(len(line) for line in shown[:-1]) <= 80 and shown[-1] == f"Report: {page}"
    assert f"Profile scratch: {len(made.records)} trials and 13 cost records. This run took 75 seconds." in said
    assert "- P's 50 %: with masks" in said and "- Accuracy is lower in" in said
    assert "The papers' 69 claims here:" in said and "In the reference results/laptop:" in said
    assert "A4" in said.partition("in the reference alone: ")[2]


@pytest.mark.usefixtures("tiny_images")
def test_an_exhibit_says_what_it_lacks_runs_it_and_names_its_files(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials = [make_trial(**FAST), make_trial(**FAST, method="set", sparsity=0.5)]
    trials += [make_trial(**FAST, model="mlp-medium", width=0.01)]
    only_these = replace(NOTEBOOKS["01"], trials=lambda profile: trials)
    monkeypatch.setitem(NOTEBOOKS, "01", only_these)
    monkeypatch.setattr("paperlib.costs.forecast.cost_of", lambda *work: Cost(90.0, 7200.0))
    monkeypatch.setattr("paperlib.trials.subprocess_runner.run_in_subprocess", run_all)
    first, again = (call("figure", "accuracy_mlp-small", "--profile", "smoke") for _ in range(2))
    assert "accuracy_mlp-small lacks 2 trials of profile smoke: about 1.5 min, 2 Wh" in first.stderr
    assert "lacks" not in again.stderr and first.stdout == again.stdout
    title, *files = first.stdout.splitlines()
    assert title.startswith("Test accuracy, mlp-small. ") and {Path(f).suffix for f in files} == {".svg", ".png"}
    assert all(Path(f).is_file() for f in files)
    other = call("table", "quirks_mlp", "--profile", "smoke")
    assert "nothing to show in quirks_mlp; the reference: " in str(other.exception)
    assert "results/laptop/tables/quirks_mlp.csv" in str(other.exception)


def test_the_list_names_all_and_tab_completes_them() -> None:
    listed = call("list").stdout
    for name, exhibit in known().items():
        assert f"paperlib {exhibit.kind} {name}\t" in listed
    assert all(f"paperlib claims {name}\t" in listed for name in claims.CLAIMS)
    assert {"pareto_mlp-small", "pareto_vgg16"} <= set(figure.names("figure", "pareto_"))
    assert figure.names("table", "pareto_") == [] and claims_command._ids("a") == ["A1", "A2", "A3", "A4", "A5", "A6"]
    done = CliRunner().invoke(
        entry.app, [], prog_name="paperlib",
        env={"_PAPERLIB_COMPLETE": "complete_bash", "COMP_WORDS": "paperlib figure pareto_v", "COMP_CWORD": "2"},
    )  # fmt: skip
    assert "pareto_vgg16" in done.output
