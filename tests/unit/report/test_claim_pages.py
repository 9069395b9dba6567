"""The page of each claim, on tables with known truth: question, figure, rows, margins, links."""

import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from paperlib.claims import CLAIMS, Verdict, verdicts
from paperlib.claims.notes import NOTES
from paperlib.claims.settings import Setting
from paperlib.core.paths import Layout
from paperlib.exhibits import claim_figures
from paperlib.report import claim_pages, pages
from tests import claim_records

CHOSEN = ("A1", "A4", "C4", "C17", "C36", "C38", "C46", "C57", "C58", "C61")


def truth(setting: Setting) -> dict[str, float]:
    """Every pruned arm costs 60 % of dense and loses 0.7 points."""
    if not (setting.conv or setting.linear):
        return {"accuracy": 0.9}
    costs = dict.fromkeys(("time", "energy", "memory", "inference", "inference_energy"), 0.6)
    return {"accuracy": 0.893, **costs}


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return claim_records.table(truth), claim_records.costs(truth)


@pytest.fixture(scope="module")
def by_margin(tables: tuple[pd.DataFrame, pd.DataFrame]) -> dict[float, list[Verdict]]:
    tidy, costs = tables
    chosen = [CLAIMS[name] for name in CHOSEN]
    return {factor: verdicts(tidy, chosen, costs, factor) for factor in (0.5, 1.0, 2.0)}


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """One folder for all tests, so that the pages are written once."""
    folder = tmp_path_factory.mktemp("pages")
    return Layout(folder / "results" / "scratch", folder / "figures" / "scratch")


@pytest.fixture(scope="module")
def written(
    layout: Layout, tables: tuple[pd.DataFrame, pd.DataFrame], by_margin: dict[float, list[Verdict]]
) -> dict[str, str]:
    tidy, _ = tables
    templates = pages.environment()
    templates.globals["profile"] = layout.name
    claim_pages.write(layout, templates, by_margin, dict(zip(tidy["id"], tidy["command"], strict=True)))
    return {p.stem: unescape(p.read_text()) for p in (layout.report / "claims").glob("*.html")}


def rows(page: str) -> list[list[str]]:
    """The rows of the tables of settings."""
    bodies = re.findall(r"<caption>.*?<tbody>(.*?)</tbody>", page, re.DOTALL)
    lines = [line for body in bodies for line in re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL) for line in lines]


def test_each_page_says_what_where_why_and_what_would_change_it(
    written: dict[str, str], by_margin: dict[float, list[Verdict]]
) -> None:
    assert list(written) and set(written) == set(CHOSEN)
    for place, name in enumerate(CHOSEN):
        page, (half, one, twice) = written[name], [by_margin[factor][place] for factor in (0.5, 1.0, 2.0)]
        claim = CLAIMS[name]
        for words in (claim.text, claim.section, one.base, one.needs, f"paperlib claims {name} --profile scratch"):
            assert words in page, (name, words)
        assert (NOTES[name] in page) if name in NOTES else True
        for verdict, wide in ((half, "half"), (twice, "twice")):
            said = "the same" if verdict.word == one.word else verdict.word
            assert f"Margins {wide} as wide: {said}." in page
    assert "https://doi.org/10.1371" in written["A1"] and "https://doi.org/10.3389" in written["C46"]
    assert (
        "Margins half as wide: contradicted" in written["C58"] and "Margins twice as wide: the same." in written["C58"]
    )


def test_the_question_is_that_of_the_test(written: dict[str, str]) -> None:
    for name, question in {
        "C46": "Training energy must be lower than dense's in each of 18 settings, beyond the A/A noise floor",
        "C38": "Test accuracy must lie in the range that is claimed in each of 2 settings.",
        "C58": "Test accuracy must not be lower than dense's by as much as the margin in at least 21 of 24 settings.",
        "C36": "Test accuracy must be higher than what stands after “against” in each of 6 settings",
        "C57": "Test accuracy, as difference to what stands after “against”, must lie in the range that is claimed",
        "C61": "The claim denies this: Training energy must be lower than what stands after “against”",
        "A1": "in at least 1 of 3 settings",
    }.items():
        assert question in written[name], name
    assert "No settings were compared" in written["C17"]


def test_rows_are_the_settings_with_their_numbers(
    written: dict[str, str], tables: tuple[pd.DataFrame, pd.DataFrame]
) -> None:
    tidy, _ = tables
    found = {row[0]: row for row in rows(written["C36"])}
    assert len(found) == 6
    set_ = (
        tidy[tidy.method == "set"].set_index(["dataset", "model", "conv_sparsity", "seed"]).test_accuracy.sort_index()
    )
    for dataset in ("bloodmnist", "visa"):
        label = f"{dataset} vgg16 set 0.5/0.8 against set 0.8/0.8"
        difference = 100 * (set_[dataset, "vgg16", 0.5] - set_[dataset, "vgg16", 0.8])
        assert found[label][1] == "5" and found[label][2].startswith(f"{difference.mean():.2f} [")
        assert found[label][3].startswith(f"{difference.mean():.2f} [")
    assert len(rows(written["C46"])) == 18 and all(row[-1] == "for" for row in rows(written["C46"]))
    assert all(row[2].startswith("×0.6") or row[2].startswith("×0.59") for row in rows(written["C46"]))


def test_links_of_the_pages_lead_to_what_is_there(written: dict[str, str], layout: Layout) -> None:
    folder = layout.report / "claims"
    names = ("claims.html", "index.html", "trials.html", "explore.html", "style.css", "report.js")
    beyond = {f"../{each}" for each in names}  # which `pages.build` writes
    for name, page in written.items():
        for link in re.findall(r'(?:href|src)="([^"]+)"', page):
            path = re.sub(r"[?#].*", "", link)
            assert link.startswith(("https://", "#")) or path in beyond or (folder / path).is_file(), (name, link)
    order = [re.findall(r'rel="(prev|next)">(\w+)<', written[name]) for name in (CHOSEN[0], CHOSEN[1], CHOSEN[-1])]
    assert order == [[("next", "A4")], [("prev", "A1"), ("next", "C4")], [("prev", "C58")]]


def test_figures_are_there_where_something_was_compared(written: dict[str, str], layout: Layout) -> None:
    pictures = {p.stem: p for p in (layout.report / "claims").glob("*.png")}
    assert set(pictures) == set(CHOSEN) - {"C17"}
    for name, path in pictures.items():
        with Image.open(path) as image:
            width, height = (round(1.14 * length) for length in image.size)  # type of 7 points, 11 pixels tall
            assert f'width="{width}" height="{height}"' in written[name]
            assert len(image.convert("RGB").getcolors(image.width * image.height)) > 5
            assert image.size[1] < 4000, "too tall for a page"
        assert path.stat().st_size < 150_000
    assert claim_figures.forest(()) is None


def test_what_was_not_measured_is_named(layout: Layout) -> None:
    (verdict,) = verdicts(pd.DataFrame(), [CLAIMS["C36"]])
    part = claim_pages.Part.of(verdict.families[0])
    assert part.rows == () and len(part.others) == 6 and " against " in part.others[0]
    assert "what stands after “against”" in part.question
    assert claim_figures.forest(verdict.families) is None


def test_no_text_is_longer_than_it_must_be(written: dict[str, str], layout: Layout) -> None:
    sizes = {p.stem: p.stat().st_size for p in Path(layout.report / "claims").glob("*.html")}
    assert max(sizes.values()) < 250_000, sizes
