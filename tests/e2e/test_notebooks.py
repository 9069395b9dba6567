"""The notebooks run by papermill and pass nbval; a tampered output, an unknown parameter, a failing cell do not."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import nbformat
import pandas as pd
import pytest

from paperlib.claims import CLAIMS
from paperlib.core import paths
from paperlib.core.errors import FailedError, PaperlibError
from paperlib.core.paths import Layout
from paperlib.exhibits import manifest
from paperlib.exhibits.expected import problems
from paperlib.exhibits.manifest import output_root, read_manifest
from paperlib.report import notebooks, pages
from paperlib.studies import sections
from paperlib.studies.sections import COLLATION, NOTEBOOKS, Notebook

SOURCES = [notebook.source for notebook in NOTEBOOKS.values()]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The whole smoke reproduction, once, from an empty folder."""
    folder = tmp_path_factory.mktemp("smoke")
    environment = os.environ | {"PAPERLIB_OUTPUT": str(folder)}
    command = [sys.executable, "-m", "paperlib", "reproduce", "--profile", "smoke"]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1200)
    assert finished.returncode == 0, finished.stderr[-3000:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PAPERLIB_OUTPUT", str(folder))
        return Layout.of("smoke")


def nbval(notebook: Path, layout: Layout) -> subprocess.CompletedProcess[str]:
    """nbval on one notebook, in its own process, with the results that are already there."""
    environment = os.environ | {"PAPERLIB_OUTPUT": str(output_root(layout)), "PAPERLIB_ROOT": str(paths.root())}
    command = [sys.executable, "-m", "pytest", "--nbval", "-q", "-p", "no:cacheprovider", "--no-cov", str(notebook)]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=notebook.parent, timeout=600
    )


def committed_for_smoke(source: Path, target: Path) -> nbformat.NotebookNode:
    """The committed notebook, outputs and all, with the profile set to smoke."""
    notebook = nbformat.read(source, as_version=4)
    (tagged,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    assert 'profile = "quick"' in tagged.source
    tagged.source = tagged.source.replace('profile = "quick"', 'profile = "smoke"')
    nbformat.write(notebook, target)
    return notebook


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_committed_outputs_hold_under_nbval(source: Path, smoke: Layout, tmp_path: Path) -> None:
    committed_for_smoke(source, tmp_path / source.name)
    finished = nbval(tmp_path / source.name, smoke)
    assert finished.returncode == 0, finished.stdout[-3000:]


def test_a_tampered_output_fails_under_nbval(smoke: Layout, tmp_path: Path) -> None:
    target = tmp_path / "05_collate.ipynb"
    notebook = committed_for_smoke(NOTEBOOKS["05"].source, target)
    texts = [o for c in notebook.cells for o in c.get("outputs", []) if "True" in o.get("text", "")]
    assert texts, "the checked cells of 05 store no output"
    texts[0]["text"] = texts[0]["text"].replace("True", "False", 1)
    nbformat.write(notebook, target)
    assert nbval(target, smoke).returncode == 1


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_each_notebook_says_what_where_how_long_and_n(source: Path) -> None:
    notebook = nbformat.read(source, as_version=4)
    first = notebook.cells[0].source
    assert all(f"**{word}**" in first for word in ("Shows", "On", "Takes", "n")), first
    code = [(c, c.metadata.get("tags", [])) for c in notebook.cells if c.cell_type == "code"]
    assert sum("parameters" in tags for _, tags in code) == 1
    assert all(c.outputs for c, tags in code if "parameters" not in tags), "a cell shows nothing"
    assert any(c.outputs and "nbval-ignore-output" not in tags for c, tags in code), "no cell is checked word for word"


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_a_notebook_asks_answers_shows_pruning_and_says_what_to_see(source: Path) -> None:
    cells = nbformat.read(source, as_version=4).cells
    assert "**Question.**" in cells[0].source and "?" in cells[0].source
    headings = [c.source.splitlines()[0] for c in cells if c.source.startswith("## ")]
    assert headings[:2] == ["## Parameters", "## The short answer"] and headings[-1] == "## Checks"
    for before, cell in pairwise(cells):
        if cell.source.startswith("show("):
            assert "**See**" in before.source, cell.source
    heading = next(i for i, c in enumerate(cells) if c.source.startswith("## Checks"))
    checked = [o.text for o in cells[heading + 1].outputs]
    assert checked and not any("False" in text for text in checked)
    worked = [c.source for c in cells if "print(timed(" in c.source]
    assert len(worked) == (COLLATION not in source.stem)
    assert all(len(source.splitlines()) <= 20 for source in worked)


def test_smoke_leaves_everything_that_a_reviewer_wants(smoke: Layout) -> None:
    for notebook in NOTEBOOKS.values():
        ran = nbformat.read(smoke.notebooks / f"{notebook.name}.ipynb", as_version=4)
        assert [o for c in ran.cells for o in c.get("outputs", []) if o.output_type == "error"] == []
    sections = {e.section for e in read_manifest(smoke)}
    assert sections == set(NOTEBOOKS)
    assert problems(smoke, (smoke.report / "index.html").read_text()) == []
    assert all((smoke.results / f"tidy.{kind}").stat().st_size > 0 for kind in ("csv", "parquet"))


def test_the_report_stands_alone(smoke: Layout) -> None:
    page = (smoke.report / "index.html").read_text()
    assert "Findings" in page and "stand-in" in page and "modelled" in page
    for other in [smoke.report / "index.html", *smoke.report.glob("notebooks/*.html")]:
        text = other.read_text()
        for host in ('src="http', "src='http", 'href="http://', "@import url(http"):
            assert host not in text, f"{other.name} asks the network: {host}"
    for exhibit in read_manifest(smoke):
        assert f'href="exhibits/{exhibit.name}.html"' in page
        for name in exhibit.files:
            folder = "figures" if exhibit.kind == "figure" else "tables"
            assert (smoke.report / folder / Path(name).name).exists()
    verdicts = (smoke.report / "claims.html").read_text()
    assert all(f'id="{name}"' in verdicts for name in CLAIMS) and len(CLAIMS) == 69
    trials = (smoke.report / "trials.html").read_text()
    for identity in {i for e in read_manifest(smoke) for i in e.trials}:
        assert f'id="{identity}"' in trials


def test_a_second_run_leaves_all_as_it_is(smoke: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(output_root(smoke)))
    files = [*smoke.notebooks.glob("*.ipynb"), smoke.report / "index.html", *smoke.trials.glob("*.json")]
    before = {f: f.stat().st_mtime_ns for f in files}
    monkeypatch.setattr(notebooks, "_execute", lambda *_: pytest.fail("ran a notebook again"))
    notebooks.execute(None, "smoke", smoke)
    pages.build(smoke)
    assert {f: f.stat().st_mtime_ns for f in files} == before


def files(folder: Path) -> dict[str, bytes]:
    kinds = (".json", ".csv", ".html", ".tex", ".parquet", ".svg", ".png")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.suffix in kinds}


def test_a_readers_tweak_stays_out_of_the_reproduction(smoke: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPERLIB_OUTPUT", str(output_root(smoke)))
    before = [files(smoke.results), files(smoke.figures)]
    tweak = {"datasets": ["mnist"], "models": ["mlp-small"], "sparsities": [0.9], "seeds": 1}
    (ran,) = notebooks.execute(["01"], "smoke", smoke, tweak)
    own = smoke.tweaked
    assert ran == own.notebooks / "01_mlp_global_vs_layerwise.ipynb"
    table = pd.read_csv(own.tables / "accuracy_mlp.csv")
    assert set(table.sparsity) <= {0.0, 0.9} and 0.9 in set(table.sparsity)
    assert set(table["dataset"]) == {"mnist"} and set(table["model"]) == {"mlp-small"}
    shared = {p.name for p in own.trials.glob("*.json")} & {p.name for p in smoke.trials.glob("*.json")}
    assert shared, "dense of the study was not found"
    assert all((own.trials / name).read_bytes() == (smoke.trials / name).read_bytes() for name in shared)
    notebooks.execute(None, "smoke", smoke)
    pages.build(smoke)
    assert [files(smoke.results), files(smoke.figures)] == before


def test_unknown_numbers_and_parameters_are_refused(layout: Layout) -> None:
    with pytest.raises(PaperlibError, match="01"):
        notebooks.execute(["1"], "smoke", layout)
    with pytest.raises(PaperlibError, match="sparsities"):
        notebooks.execute(["01"], "smoke", layout, {"sparsitys": [0.5]})
    assert not layout.notebooks.exists()


def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    """Replace all notebooks by one of three cells."""
    v4 = nbformat.v4
    parameters = v4.new_code_cell("profile = 'smoke'", metadata={"tags": ["parameters"]})
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [v4.new_markdown_cell("# Sums"), parameters, v4.new_code_cell(source)]
    notebook = v4.new_notebook(metadata=kernel, cells=cells)
    (tmp_path / "notebooks").mkdir(exist_ok=True)
    nbformat.write(notebook, tmp_path / "notebooks" / "09_sums.ipynb")
    monkeypatch.setenv("PAPERLIB_ROOT", str(tmp_path))
    monkeypatch.setattr(sections, "NOTEBOOKS", {"09": Notebook("09_sums", lambda profile: [])})


def test_a_failed_cell_is_named_and_the_mended_one_runs(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(tmp_path, monkeypatch, "1 / 0")
    with pytest.raises(FailedError, match=r"cell 3 \(Sums\) failed: ZeroDivisionError.*09_sums\.failed\.ipynb"):
        notebooks.execute(None, "smoke", layout)
    assert not (layout.notebooks / "09_sums.ipynb").exists()
    small(tmp_path, monkeypatch, "print(1 + 1)")
    notebooks.execute(None, "smoke", layout)
    assert "2" in (layout.notebooks / "09_sums.ipynb").read_text()
    assert not (layout.notebooks / "09_sums.failed.ipynb").exists()


def test_nothing_new_is_seen_without_listing_trials_or_starting_a_process(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(tmp_path, monkeypatch, "print(1 + 1)")
    notebooks.execute(None, "smoke", layout)
    (kept,) = layout.notebooks.glob("*.ipynb")
    before = kept.stat().st_mtime_ns
    asked: list[str] = []
    monkeypatch.setattr(sections, "NOTEBOOKS", {"09": Notebook("09_sums", lambda p: asked.append(p) or [])})
    monkeypatch.setattr(notebooks, "_execute", lambda *_: asked.append("executed"))
    notebooks.execute(None, "smoke", layout)
    assert asked == [] and kept.stat().st_mtime_ns == before
    monkeypatch.setattr(manifest, "image_states", lambda: [("mnist", "official")])  # others than before
    notebooks.execute(None, "smoke", layout)
    assert "smoke" in asked and asked[-1] == "executed", "its trials were listed, and it ran"


def test_what_sees_that_nothing_is_new_loads_neither_torch_nor_papermill() -> None:
    code = (
        "import sys; from paperlib.exhibits import expected\n"
        "from paperlib.report import agreement, bundle, notebooks, pages\n"
        "print({'torch', 'papermill', 'nbformat', 'matplotlib'} & set(sys.modules))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert finished.stdout == "set()\n"


def test_outputs_are_kept_without_what_papermill_added(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small(tmp_path, monkeypatch, "print(6 * 7)")
    with pytest.raises(PaperlibError, match="reproduce"):
        notebooks.keep_outputs("smoke", layout)
    notebooks.execute(None, "smoke", layout)
    (source,) = notebooks.keep_outputs("smoke", layout)
    kept = json.loads(source.read_text())
    # Title, contents, parameters, sum, links.
    assert [len(c.get("outputs", [])) for c in kept["cells"]] == [0, 0, 0, 1, 0]
    assert "papermill" not in source.read_text()
    stamp = (layout.notebooks / "09_sums.ipynb").stat().st_mtime_ns
    notebooks.execute(None, "smoke", layout)  # outputs are no change
    assert (layout.notebooks / "09_sums.ipynb").stat().st_mtime_ns == stamp
    small(tmp_path, monkeypatch, "print('other')")
    with pytest.raises(PaperlibError, match="changed since it ran"):
        notebooks.keep_outputs("smoke", layout)
