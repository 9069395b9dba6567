"""A reader's first quarter of an hour in a real browser: JupyterLab, Run All, a new sparsity, the explorer; and the
report without a mouse, on a screen and on a telephone.

About a minute. Chromium is not a Python package, so these tests need one on the machine (Debian: `chromium`).
"""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from paperlib.claims import CLAIMS
from paperlib.core.paths import Layout
from paperlib.studies.sections import NOTEBOOKS
from tests import report_links
from tests.conftest import ROOT, recipe
from tests.not_tested import TO_TEST

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=f"no Chromium here{TO_TEST}apt-get install chromium (as root)")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
SMALL = {
    'profile = "quick"': 'profile = "smoke"',
    "datasets = None": 'datasets = ["mnist"]',
    "models = None": 'models = ["mlp-small"]',
    "seeds = None": "seeds = 1",
}
MINUTES = 120_000  # Playwright counts in milliseconds; long, since other work may run beside


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
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=MINUTES)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def page(address: str, browser: Browser) -> Page:
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


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The report on two seeds of dense and of two methods."""
    return report_links.small_report(tmp_path_factory.mktemp("written"))


# What a mouse can use; what a closed `details` holds has no box. Each gets a number by which it is known again.
USABLE = """() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
    .filter(e => e.checkVisibility()).map((e, i) => e.dataset.place = String(i))"""
FOCUSED = """() => { const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
    return { place: e.dataset.place, outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
             seen: box.right > 0 && box.left < innerWidth && box.bottom > 0 && box.top < innerHeight }; }"""

# Height of the page before and after all its pictures are there.
LOADED = """async () => { const before = document.documentElement.scrollHeight;
    for (const e of document.images) { e.loading = "eager"; await e.decode(); }
    return [before, document.documentElement.scrollHeight]; }"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "name",
    ["index", "claims", "trials", "claims/C46", "exhibits/accuracy_mlp", "exhibits/accuracy_mlp-small", "explore"],
)
def test_every_control_of_the_report_is_reached_with_tab(
    written: Layout, browser: Browser, name: str, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto((written.report / f"{name}.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    before, after = page.evaluate(LOADED)
    assert before == after, "the page moves while its pictures load"
    expected, reached = page.evaluate(USABLE), []
    assert len(expected) > 5
    for _ in expected:
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUSED)
        assert now["outline"] >= 2 and now["seen"], (name, now)
        reached.append(now["place"])
    assert reached == expected
    page.close()


def test_a_number_leads_to_its_trials_without_a_mouse(written: Layout, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    keys = page.keyboard
    page.goto((written.report / "index.html").as_uri())
    keys.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    expect(page.get_by_role("link", name="Skip to the content")).to_be_in_viewport()
    keys.press("Enter")
    keys.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
    page.locator("#accuracy_mlp a").focus()
    keys.press("Enter")
    page.wait_for_url("**/exhibits/accuracy_mlp.html")
    expect(page.get_by_role("link", name="all in one list")).to_be_visible()
    number = page.locator("#table-accuracy_mlp tbody tr", has_text="global 50%").locator("a.behind").nth(2)
    asked = str(number.get_attribute("href")).partition("only=")[2].partition("#")[0].split(",")
    number.focus()
    keys.press("Enter")
    page.wait_for_url("**/trials.html?only=*")
    rows = page.locator("tbody tr:visible")
    assert sorted(row.get_attribute("id") or "" for row in rows.all()) == sorted(asked) and len(asked) == 4
    expect(page.get_by_role("status")).to_have_text("4 of 6")
    assert all("done" in row.inner_text() for row in rows.all())
    seed = page.get_by_role("button", name="seed")
    column, order = page.get_by_role("columnheader", name="seed"), page.locator("tbody tr:visible td:nth-child(6)")
    expect(column).not_to_have_attribute("aria-sort", re.compile("."))
    seed.focus()
    for key, word, seeds in (
        ("Enter", "ascending", ["0", "0", "1", "1"]),
        ("Space", "descending", ["1", "1", "0", "0"]),
    ):
        keys.press(key)
        expect(column).to_have_attribute("aria-sort", word)
        assert order.all_inner_texts() == seeds
    page.get_by_label("method").select_option("pre-training")
    expect(page.get_by_role("status")).to_have_text("2 of 6")
    assert {row.locator("td").nth(2).inner_text() for row in rows.all()} == {"pre-training"}
    rows.first.get_by_role("link").focus()
    keys.press("Enter")
    page.wait_for_url("**/trial.html#*")
    expect(page.locator("#facts")).to_contain_text("pre-training")
    expect(page.locator("#curves svg")).to_have_count(2)
    page.go_back()
    page.get_by_role("link", name="Show all").focus()
    keys.press("Enter")
    page.wait_for_url("**/trials.html")
    expect(page.locator("tbody tr:visible")).to_have_count(6)
    page.close()


def test_a_command_is_copied_and_the_explorer_answers(written: Layout, browser: Browser) -> None:
    context = browser.new_context(permissions=["clipboard-read"])
    page = context.new_page()
    page.goto((written.report / "explore.html").as_uri())
    for name in ("data set", "network", "scope", "method", "removed"):
        expect(page.get_by_label(name, exact=True)).to_be_visible()
    page.get_by_label("method").select_option("pre-training")
    expect(page.get_by_role("status")).to_contain_text("pre-training, global, 50 % removed: test accuracy")
    expect(page.locator("#accuracy svg")).to_have_count(2)
    page.get_by_role("button", name="Copy").click()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == page.locator(".command code").inner_text() and "--method pre-training" in copied
    context.close()


def test_the_filter_finds_values_and_neither_options_nor_parts_of_words(written: Layout, browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto((written.report / "trials.html").as_uri())
    box, rows = page.get_by_label("Show only rows with"), page.locator("tbody tr:visible")
    for words, count in {
        "set": 2, "SET done": 2, "pre-training": 2, "training": 2, "50 %": 4, "mnist": 6, "tiny": 0, "epochs": 0,
        "--method": 0, "paperlib": 0, "nist": 0, "(stand-in)": 6, "[": 0, "stand-in set": 2, "": 6,
    }.items():  # fmt: skip
        box.fill(words)
        expect(page.get_by_role("status")).to_have_text(f"{count} of 6")
        expect(rows).to_have_count(count)
    box.fill("set")
    assert {row.locator("td").nth(2).inner_text() for row in rows.all()} == {"set"}
    page.goto((written.report / "claims.html").as_uri())
    box.fill("c46")
    expect(page.get_by_role("status")).to_have_text("1 of 69")
    box.fill("")
    page.get_by_label("kind").select_option("energy")
    count = sum(claim.kind == "energy" for claim in CLAIMS.values())
    expect(page.get_by_role("status")).to_have_text(f"{count} of 69")
    page.close()


def test_without_scripts_a_number_leads_to_the_first_of_its_trials(written: Layout, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 300})
    page = context.new_page()
    page.goto((written.report / "exhibits/accuracy_mlp.html").as_uri())
    number = page.locator("#table-accuracy_mlp a.behind").last
    first = str(number.get_attribute("href")).partition("#")[2]
    number.click()
    expect(page.locator(f"tr[id='{first}']")).to_be_in_viewport()
    context.close()
