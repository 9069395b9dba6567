"""Committed records give everything again, byte for byte; the README says what they say; own runs are compared."""

import hashlib
import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import paperlib
from paperlib import claims
from paperlib.cli import findings, reference
from paperlib.core import paths
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.records import write_cost_table
from paperlib.exhibits import collation
from paperlib.exhibits.expected import WANTED, problems
from paperlib.exhibits.manifest import output_root, read_manifest
from paperlib.report import agreement, committed, pages, readme
from paperlib.report.bundle import zip_report
from paperlib.schema.trial import make_trial
from paperlib.trials import archive
from paperlib.trials.runner import run_all
from paperlib.trials.store import Store
from tests import measured_costs
from tests.committed_files import assert_committed


@pytest.fixture
def made(layout: Layout, tiny_images: object) -> Layout:
    fields = {"epochs": 1, "batch_size": 16}
    pruned = [make_trial(**fields, seed=s, method="set", sparsity=0.5) for s in range(2)]
    run_all([*(make_trial(**fields, seed=s) for s in range(2)), *pruned], layout)
    measured_costs.write(layout)
    return layout


def test_records_of_a_study_that_still_runs_are_kept_and_speak_for_nobody(
    made: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "notebooks").mkdir(parents=True)
    monkeypatch.setenv("PAPERLIB_ROOT", str(project))
    where = committed.keep_records(made, project)
    assert committed.trials_of(where) == {record.id for record in Store(made).records()}
    assert archive.archives() == [] and committed.reference() is None
    committed.keep(made, project)
    assert archive.archives() == [where]
    with pytest.raises(PaperlibError, match="no records in"):
        committed.keep_records(Layout.of("station"), project)


def test_what_is_kept_comes_again_byte_for_byte(made: Layout, tmp_path: Path) -> None:
    project = tmp_path / "project"
    ran = nbformat.v4.new_notebook(metadata={"papermill": {"input_path": "/home/me/01.ipynb", "duration": 1.5}})
    made.notebooks.mkdir(parents=True)
    nbformat.write(ran, made.notebooks / "01_x.ipynb")
    where = committed.keep(made, project)
    shown = (where.parent / "notebooks" / "01_x.ipynb").read_text()
    assert "/home/me" not in shown and "duration" in shown
    about = json.loads(where.with_name("kept.json").read_text())
    assert about["records"] == 4 and len(about["machines"]) == 1
    for name, expected in about["files"].items():
        assert hashlib.sha256((project / name).read_bytes()).hexdigest() == expected
    with archive.open_archive(where) as again:
        assert committed.regenerated_hashes(again) == about["files"]
        assert Store(again).records() == Store(made).records()
    assert where.read_bytes() == archive.pack(made)
    where.write_bytes(where.read_bytes()[:200])
    with pytest.raises(PaperlibError, match="damaged"), archive.open_archive(where):
        pass


def test_the_committed_records_give_the_committed_files_and_the_readme() -> None:
    """`quick` is drawn by test_notebook_cells.py; of the others tables of trials, verdicts, README and section 04.

    With PAPERLIB_DRAW_ALL (minutes), as every month, all of their tables and figures.
    """
    assert archive.archives(), "no results are committed"
    for place, where in enumerate(archive.archives()):
        if where.parent.name == "quick":
            continue
        with archive.open_archive(where) as again:
            root, whole = output_root(again), "PAPERLIB_DRAW_ALL" in os.environ
            if whole:
                files = committed.regenerate(again)
            else:
                for folder in (again.tables, again.figures):
                    shutil.copytree(paths.root() / folder.relative_to(root), folder)
                shutil.copy(where.with_name("manifest.json"), again.results)
                Store(again).write_table()
                write_cost_table(again)
                claims.write(again)
                files = [root / file for exhibit in collation.write("04", again) for file in exhibit.files]
                files += [again.results / name for name in committed.DATA_FILES]
            assert_committed({path.relative_to(root).as_posix(): path for path in files}, where, whole=whole)
            told = None if place else readme.told(again)
        if told:
            assert told.picture
            docs = paths.root() / "docs"
            texts = [p.read_text() for p in (paths.root() / "README.md", docs / "appendix.md", docs / "findings.md")]
            written = [readme.written(texts[0], told.front), readme.written(texts[1], told.appendix), told.page]
            assert written == texts, "run `paperlib findings --write README.md`"
            files = docs / "found" / "balance.png", io.BytesIO(told.picture)
            shown, new = (np.asarray(Image.open(f).convert("L"), float) for f in files)
            assert shown.shape == new.shape and np.abs(shown - new).mean() < 1, (
                "run `paperlib findings --write README.md`"
            )


def test_agreement_counts_what_agrees(made: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "archives", list)
    assert "none is committed" in agreement.agreement(made)
    where = committed.keep(made, tmp_path / "project")
    monkeypatch.setattr(agreement, "archives", lambda: [where])
    first = Store(made).records()[0]
    assert first.test
    moved = first.test.model_copy(update={"accuracy": first.test.accuracy + 0.02})
    Store(made).put(first.model_copy(update={"test": moved}))
    text = agreement.agreement(made)
    assert "4 of 4 trials are in both; test accuracy of 3 of 4 agrees within 1 point (3 exactly)" in text
    assert "inference ratios within 20%" in text


def test_the_report_is_one_file_whose_links_stay_inside(made: Layout) -> None:
    committed.regenerate(made)
    page = pages.build(made)
    first = zip_report(made).read_bytes()
    assert zip_report(made).read_bytes() == first
    assert 'href="../' not in page.read_text() + (made.report / "trials.html").read_text()
    with zipfile.ZipFile(zip_report(made)) as zipped:
        names = zipped.namelist()
    assert names == sorted(names)
    known = "".join(part.read_text() for part in (made.report / "data").glob("*.js"))
    assert all(f'"{r.id}":' in known for r in Store(made).records())


def test_the_committed_report_needs_no_run(
    made: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PaperlibError, match=r"no results of 'paper' are committed, only of .*quick"):
        reference.command("paper")
    where = committed.keep(made, tmp_path / "project")
    monkeypatch.setattr("paperlib.cli.reference.archives", lambda: [where])
    before = Store(made).records()
    for record in before:
        Store(made).path(record.id).unlink()
    reference.command(None)
    page = made.results.parent / "reference" / made.name / "index.html"
    assert str(page) in capsys.readouterr().out
    assert all(f"trial.html#{r.id}" in (page.parent / "trials.html").read_text() for r in before)
    assert not list(made.trials.glob("*.json")), "the committed records must not pass for one's own"


def emptied(made: Layout, project: Path) -> Path:
    """The archive of what was made, in a project of its own; nothing is left in the reader's folder."""
    where = committed.keep(made, project)
    for record in Store(made).records():
        Store(made).path(record.id).unlink()
    return where


def test_without_own_results_the_committed_table_answers_and_that_is_said(
    made: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, costs, whose = committed.tables_of(made.name)
    assert len(table) == 4 and whose == "results/scratch" and capsys.readouterr().err == ""
    assert set(costs.model) == {"mlp-small"}
    where = emptied(made, tmp_path / "project")
    monkeypatch.setattr(committed, "archives", lambda: [where])
    with monkeypatch.context() as patch:
        patch.setattr(
            committed, "open_archive", lambda *_: pytest.fail("unpacked the archive beside a table that is right")
        )
        for name in ("scratch", "smoke"):  # its own, and the first one of all
            pd.testing.assert_frame_equal(paperlib.load_results(name), table)
            pd.testing.assert_frame_equal(committed.tables_of("scratch").costs, costs)
            capsys.readouterr()
            paperlib.load_results(name)
            said = capsys.readouterr().err
            assert said.count("\n") == 1 and "no own results" in said
            assert f"committed ones of results/scratch (4 trials, {table.cpu[0]})" in said
    where.with_name("tidy.parquet").write_bytes(table[:2].to_parquet())  # a run of one's own writes there, too
    pd.testing.assert_frame_equal(paperlib.load_results("scratch"), table)
    with pytest.raises(PaperlibError, match="unknown results 'nosuch'"):
        committed.tables_of("nosuch")
    monkeypatch.setattr(committed, "archives", list)
    with pytest.raises(PaperlibError, match="run `paperlib reproduce --profile quick` first"):
        committed.tables_of("quick")


def test_the_committed_table_of_laptop_is_read_without_its_archive(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committed, "open_archive", lambda *_: pytest.fail("run `paperlib keep-results laptop`"))
    about = json.loads((paths.root() / "results/laptop/kept.json").read_text())
    assert len(committed.tables_of("laptop").trials) == about["records"]


def test_findings_say_whose_they_are(
    made: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(made.trials, tmp_path / "own")
    where = emptied(made, tmp_path / "project")
    monkeypatch.setattr(findings, "archives", lambda: [where])
    findings.command(None)
    shown = capsys.readouterr()
    assert "From 4 trials" in shown.out and "committed ones of results/scratch (4 trials" in shown.err
    assert "no own results in" in shown.err
    shutil.copytree(tmp_path / "own", made.trials, dirs_exist_ok=True)
    findings.command(None, made.name)
    shown = capsys.readouterr()
    assert "From 4 trials" in shown.out and shown.err.startswith("paperlib: these are your own results in")


def test_a_fault_of_the_manifest_is_named(made: Layout) -> None:
    committed.regenerate(made)
    page = pages.build(made).read_text()
    missing = [w.asked for w in WANTED if not w.met_by(read_manifest(made))]
    assert [p.partition(" is missing")[0] for p in problems(made, page)] == missing  # and nothing else
    assert any("F, table 1 is missing" in p for p in problems(made, page))
    exhibit = read_manifest(made)[0]
    assert f"{exhibit.name} is not in the report" in problems(made, "")
    Store(made).path(exhibit.trials[0]).write_text("{}")
    assert f"{exhibit.name} is older than its trials" in problems(made, page)
