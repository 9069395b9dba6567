"""The report in a real browser: without a mouse, on a screen and on a telephone, without scripts."""

import re

import pytest
from playwright.sync_api import Browser, expect

from paperlib.claims import CLAIMS
from paperlib.core.paths import Layout
from tests import report_links


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
    browser: Browser, written: Layout, name: str, width: int
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


def test_a_number_leads_to_its_trials_without_a_mouse(browser: Browser, written: Layout) -> None:
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


def test_a_command_is_copied_and_the_explorer_answers(browser: Browser, written: Layout) -> None:
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


def test_the_filter_finds_values_and_neither_options_nor_parts_of_words(browser: Browser, written: Layout) -> None:
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


def test_without_scripts_a_number_leads_to_the_first_of_its_trials(browser: Browser, written: Layout) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 300})
    page = context.new_page()
    page.goto((written.report / "exhibits/accuracy_mlp.html").as_uri())
    number = page.locator("#table-accuracy_mlp a.behind").last
    first = str(number.get_attribute("href")).partition("#")[2]
    number.click()
    expect(page.locator(f"tr[id='{first}']")).to_be_in_viewport()
    context.close()
