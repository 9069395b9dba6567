"""A reader's first quarter of an hour in a real browser: JupyterLab, Run All, a new sparsity, the explorer."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

from paperlib.studies.sections import NOTEBOOKS
from tests.conftest import ROOT, recipe
from tests.e2e.conftest import MINUTES

SMALL = {
    'profile = "quick"': 'profile = "smoke"',
    "datasets = None": 'datasets = ["mnist"]',
    "models = None": 'models = ["mlp-small"]',
    "seeds = None": "seeds = 1",
}


def lab_command() -> list[str]:
    """The recipe of `make lab`, with this interpreter's jupyter."""
    words = [word for word in recipe("lab") if not word.startswith("PAPERLIB_ROOT=")]
    assert words[0].endswith("/jupyter") and words[-1] == "notebooks"
    return [sys.executable, "-m", "jupyter", *words[1:-1]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notebook 01 with few trials, as source only."""
    folder = tmp_path_factory.mktemp("lab")
    notebook = nbformat.read(NOTEBOOKS["01"].source, as_version=4)
    (tagged,) = (c for c in notebook.cells if "parameters" in c.metadata.get("tags", []))
    for old, new in SMALL.items():
        assert old in tagged.source
        tagged.source = tagged.source.replace(old, new)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, folder / "01.ipynb")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """The address with the token that JupyterLab prints; loopback and nothing else."""
    own = {"PAPERLIB_ROOT": str(ROOT), "PAPERLIB_OUTPUT": str(folder / "out"), "PYTHONPATH": str(ROOT)}
    jupyter = {f"JUPYTER_{kind}_DIR": str(folder / kind) for kind in ("CONFIG", "DATA", "RUNTIME")}
    command = [*lab_command(), "--no-browser", "--port=0", "."]
    log = folder / "lab.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            command, cwd=folder, env=os.environ | own | jupyter, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            yield _printed(log, server)
        finally:
            server.terminate()
            server.wait(30)


def _printed(log: Path, server: subprocess.Popen[bytes]) -> str:
    until = time.monotonic() + 240
    while time.monotonic() < until and server.poll() is None:
        if found := re.search(r"http://\S+?/lab\S*\?token=\w+", log.read_text()):
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def page(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(MINUTES)
    page.goto(address.replace("/lab?", "/lab/tree/01.ipynb?"))
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()  # what is run before the kernel is there is lost
    return page


def run_all(page: Page, folder: Path, count: int) -> str:
    """Run All from the menu until the last cell has run, save; the text of all outputs, which hold no error."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    until, saved = time.monotonic() + 240, nbformat.v4.new_notebook()
    while time.monotonic() < until:
        page.wait_for_timeout(1000)
        page.keyboard.press("Control+s")
        with suppress(nbformat.reader.NotJSONError):  # half saved
            saved = nbformat.read(folder / "01.ipynb", as_version=4)
        code = [c for c in saved.cells if c.cell_type == "code"]
        if code and all(cell.execution_count for cell in code) and code[-1].execution_count >= count * len(code):
            outputs = [output for cell in code for output in cell.outputs]
            assert [o for o in outputs if o.output_type == "error"] == []
            return "\n".join(str(o.get("data", o.get("text"))) for o in outputs)
    page.screenshot(path=folder / "stuck.png")
    raise AssertionError("Run All did not end within four minutes")


def test_the_token_is_on_and_only_this_machine_may_ask(address: str) -> None:
    assert address.startswith(("http://127.0.0.1:", "http://localhost:"))
    import urllib.error
    import urllib.request

    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(address.split("/lab", maxsplit=1)[0] + "/api/contents")


def test_run_all_then_a_new_sparsity_gives_a_new_row(page: Page, folder: Path) -> None:
    before = run_all(page, folder, 1)
    assert "70 %" not in before and "70%" not in before
    page.screenshot(path=folder / "before.png")
    cell = page.locator(".jp-CodeCell", has_text="sparsities = None").first
    cell.scroll_into_view_if_needed()
    cell.locator(".cm-line", has_text="sparsities = None").click()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+End")
    page.keyboard.insert_text("sparsities = [0.7]")
    run_all(page, folder, 2)
    page.get_by_role("link", name="Accuracy", exact=True).first.click()
    row = page.locator(".jp-OutputArea-output tr", has_text=re.compile(r"70\s?%")).first
    row.scroll_into_view_if_needed()
    expect(row).to_be_visible()
    page.screenshot(path=folder / "after.png")


def test_the_explorer_answers_and_can_be_cancelled(page: Page, folder: Path) -> None:
    page.get_by_role("link", name="Explore", exact=True).first.click()
    explorer = page.locator(".jp-OutputArea-output", has=page.get_by_role("button", name="Run", exact=True)).last
    go, cancel = (explorer.get_by_role("button", name=name, exact=True) for name in ("Run", "Cancel"))
    expect(go).to_be_enabled()
    picture = explorer.locator("img").first
    old = picture.get_attribute("src")
    explorer.get_by_label("method").select_option("pre-training")
    go.click()
    expect(explorer.locator("code")).to_contain_text("method='pre-training'")
    assert picture.get_attribute("src") != old
    page.screenshot(path=folder / "explorer.png")
    explorer.get_by_label("model").select_option("mlp-medium")
    go.click()
    expect(cancel).to_be_enabled()
    cancel.click()
    expect(explorer.get_by_text("cancelled; finished trials are kept")).to_be_visible()
