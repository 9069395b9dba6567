"""The structure of the report, read from its files: tiles, pages of exhibits, trials, commands, the explorer's arms."""

import json
import re
import shlex
from html import unescape

import numpy as np
import pytest

from paperlib.claims import CLAIMS
from paperlib.cli.entry import COMMANDS, _Late
from paperlib.core.paths import Layout
from paperlib.exhibits.manifest import read_manifest
from paperlib.report import front
from paperlib.report.exhibit_pages import first_sentence
from paperlib.trials.store import Store
from tests import report_links


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    return report_links.small_report(tmp_path_factory.mktemp("report"), costs=True)


def test_every_claim_has_a_tile_with_its_verdict_that_leads_to_its_page(layout: Layout) -> None:
    page = (layout.report / "index.html").read_text()
    tiles = re.findall(r'<a class="v v-([a-z-]+)" href="claims/(\w+)\.html" title="[^"]+">\w+<small>([^<]+)', page)
    verdicts = {v["id"]: v["base"] for v in json.loads((layout.results / "claims.json").read_text())}
    assert {name: word for word, name, _ in tiles} == {name: v.replace(" ", "-") for name, v in verdicts.items()}
    assert all(told == front.short(verdicts[name]) and len(told) <= 13 for _, name, told in tiles)
    assert len(tiles) == len(CLAIMS) == 69
    legend = re.findall(r'<li class="v v-[a-z-]+"><strong>(\d+)</strong> ([^<]+)', page)
    assert {word: int(n) for n, word in legend} == {w: list(verdicts.values()).count(w) for w in verdicts.values()}


def test_no_link_of_any_page_is_broken_and_every_style_has_a_rule(layout: Layout) -> None:
    assert report_links.dead_links(layout) == set() == report_links.dead_ends(layout)
    style = (layout.report / "style.css").read_text()
    words = {v["base"].replace(" ", "-") for v in json.loads((layout.results / "claims.json").read_text())}
    assert all(f".v-{word} " in style for word in words - {"inconclusive"})
    assert not re.search(r"font-size: (0?\.[0-5]\d*rem|0?\.6[0-8]\d*rem|\d{1}px|10px)", style), "below 11 px"


def test_every_exhibit_has_a_page_with_what_it_rests_on_and_its_command(layout: Layout) -> None:
    exhibits = read_manifest(layout)
    assert {e.kind for e in exhibits} == {"figure", "table"}
    for e in exhibits:
        page = unescape((layout.report / "exhibits" / f"{e.name}.html").read_text())
        for text in (e.title, e.caption, f"paperlib {e.kind} {e.name} --profile scratch", ",".join(e.trials)):
            assert text in page, e.name
        assert "<style" not in page and all(f"{e.name}{f[f.rindex('.') :]}" in page for f in e.files if "html" not in f)


def test_commands_parse(layout: Layout) -> None:
    commands = report_links.commands(layout)
    assert any(c.startswith("paperlib run ") for c in commands)
    for command in commands:
        program, name, *words = shlex.split(command.replace("--profile scratch", "--profile smoke"))
        assert program == "paperlib"
        if name in COMMANDS:
            _Late(name).make_context(name, words)


def test_the_page_of_a_trial_knows_its_scores_curve_and_command(layout: Layout) -> None:
    for record in Store(layout).records():
        text = (layout.report / "data" / f"trials-{record.id[0]}.js").read_text()
        known = json.loads(text.removeprefix("show(").removesuffix(");\n"))[record.id]
        assert known["curve"]["val accuracy"] == pytest.approx([e.val.accuracy for e in record.curve], rel=1e-3)
        assert known["layers"] == [[layer.name, layer.units, layer.removed] for layer in record.layers]
        assert record.test and f"{record.test.accuracy:.2%}" in dict(known["facts"])["test accuracy"]
        assert known["command"].startswith("paperlib run --fresh ")


def test_the_explorer_knows_the_means_and_the_measured_costs(layout: Layout) -> None:
    page = (layout.report / "explore.html").read_text()
    (text,) = re.findall(r"const \{ arms, dense, colours \} = (.*), at = id", page)
    known, records = json.loads(text), {r.id: r for r in Store(layout).records()}
    assert {arm["method"] for arm in known["arms"]} == {"set", "pre-training"} <= known["colours"].keys()
    for arm in known["arms"]:
        own = [records[i] for i in arm["ids"] if records[i].trial.method == arm["method"]]
        assert arm["accuracy"][0] == pytest.approx(100 * np.mean([r.test.accuracy for r in own if r.test]), rel=1e-3)
        assert len(arm["curve"]) == 1 and arm["n"] == len(own) == 2
        assert {"Inference time, batch 64, masked", "Inference time, batch 64, realised"} <= arm["costs"].keys()


def test_ratios_stand_in_order_on_the_scale_and_captions_end_with_their_first_sentence() -> None:
    assert front.place(2) == 100 and front.place(1) == 80 and front.place(0.01) == 0
    assert front.place(0.25) < front.place(0.5) < front.place(1)
    assert first_sentence("Small MLP. n = 3 seeds.") == "Small MLP."
    assert first_sentence("Of 3 vs. 4 `x`. More.") == "Of 3 vs. 4 x."
