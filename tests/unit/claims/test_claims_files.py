"""What is written of verdicts and shown at the command line."""

import json
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from paperlib.claims import CLAIMS, Verdict, find, table, tally, write
from paperlib.cli.entry import app
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.trials.store import Store
from tests.claim_worlds import world


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
