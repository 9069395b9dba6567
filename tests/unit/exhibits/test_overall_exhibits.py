"""All data sets and networks at once, on tables with known truth: numbers, what is left out, what is said."""

import re
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from paperlib.claims.cost_evidence import CostTable
from paperlib.claims.settings import Setting
from paperlib.core.paths import Layout
from paperlib.exhibits import collation, overall
from paperlib.exhibits.expected import WANTED
from paperlib.exhibits.manifest import Exhibit, output_root
from paperlib.exhibits.results import Source
from tests import claim_records


def truth(setting: Setting) -> dict[str, float]:
    """Dense 90 %, SET a point less, the others three more; VisA's dense networks do not learn."""
    if setting.dataset == "visa":
        return {"accuracy": 0.21}
    if not (setting.conv or setting.linear):
        return {"accuracy": 0.9}
    return {"accuracy": 0.89 if setting.method == "set" else 0.93}


@pytest.fixture(scope="module")
def tidy() -> pd.DataFrame:
    table = claim_records.table(truth, seeds=3, noise=0.05)
    return table.assign(source=table.source.where(table.dataset != "octmnist", "stand-in"))


def source(tidy: pd.DataFrame, layout: Layout) -> Source:
    return Source(layout, [], tidy, CostTable(pd.DataFrame()))


@pytest.fixture(scope="module")
def made(tidy: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The tables behind `exhibits`, and where these lie."""
    folder = tmp_path_factory.mktemp("overall")
    return source(tidy, Layout(folder / "results" / "scratch", folder / "figures" / "scratch"))


@pytest.fixture(scope="module")
def exhibits(made: Source) -> list[Exhibit]:
    """Those of the collation, written once for all tests."""
    section = collation.SECTIONS["05"]
    assert section is not None
    return [e for make in section.makers for e in make(section.records(made), section.study) if e]


def test_numbers_equal_a_loop_over_the_trials(tidy: pd.DataFrame, made: Source, exhibits: list[Exhibit]) -> None:
    table = pd.read_csv(made.layout.tables / "overall.csv")
    arms: dict[tuple[str, str], dict[tuple[str, str], list[tuple[float, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    names = {(0.8, 0.8): "scenario i", (0.5, 0.8): "scenario ii", (0.0, 0.8): "scenario iii"}
    rows = tidy.to_dict("records")
    dense = {(r["dataset"], r["model"], r["seed"]): r["test_accuracy"] for r in rows if r["method"] == "dense"}
    for r in rows:
        if r["dataset"] in {"visa", "octmnist"} or not (r["conv_sparsity"] or r["sparsity"]):
            continue
        of_f = r["dataset"] in {"bloodmnist", "industrial"}
        removed = names[r["conv_sparsity"], r["sparsity"]] if of_f else f"{r['scope']} {r['sparsity']:.0%}"
        pair = r["test_accuracy"], dense[r["dataset"], r["model"], r["seed"]]
        arms[removed, r["method"]][r["dataset"], r["model"]].append(pair)
    assert set(zip(table.removed, table.method, strict=True)) == set(arms)
    for row in table.itertuples():
        tasks = arms[row.removed, row.method]
        differences = sorted(100 * (a - b) for pairs in tasks.values() for a, b in pairs)
        cut = len(differences) // 4
        wins = [np.mean([a > b for a, _ in pairs for _, b in pairs]) for pairs in tasks.values()]
        assert (row.tasks, row.runs) == (len(tasks), len(differences))
        assert row.mean_mean == pytest.approx(np.mean(differences), rel=1e-4)
        assert row.iqm_mean == pytest.approx(np.mean(differences[cut : len(differences) - cut]), rel=1e-4)
        assert row.beats_dense_mean == pytest.approx(np.mean(wins), rel=1e-4)
        assert row.mean_low <= row.mean_mean <= row.mean_high and row.iqm_low <= row.iqm_mean <= row.iqm_high
        assert (row.beats_dense_mean < 0.2) == (row.method == "set") and (row.iqm_mean < 0) == (row.method == "set")


def test_captions_say_n_the_definitions_and_what_is_left_out(
    tidy: pd.DataFrame, made: Source, exhibits: list[Exhibit]
) -> None:
    for exhibit in exhibits:
        for words in ("n = 3 seed(s)", "arXiv 2108.13264", "Real images only, without octmnist: stand-in",
                      "visa vgg16", "95 % bootstrap intervals", "mnist: official"):  # fmt: skip
            assert words in exhibit.caption, (exhibit.name, words)
        learnt = set(tidy[~tidy.dataset.isin(["visa", "octmnist"])].id)
        assert set(exhibit.trials) <= learnt and len(exhibit.trials) > 100
        assert all((output_root(made.layout) / name).stat().st_size > 0 for name in exhibit.files)


def test_one_seed_has_no_interval_and_an_arm_of_one_task_stands_alone_only(tidy: pd.DataFrame, layout: Layout) -> None:
    one = overall.table(source(tidy[tidy.seed == 0], layout))
    assert one is not None and "no interval" in one.caption and "95 %" not in one.caption
    assert not re.search(r"\[[-\d.]+, ", (layout.tables / "overall.html").read_text().split("<tbody")[1])
    single = tidy[(tidy.dataset == "mnist") & (tidy.model == "mlp-small")]
    assert set(overall.collect(single).arms) >= {("global 50%", "set"), ("layerwise 80%", "pre-training")}
    extra = tidy[(tidy.method == "set") & (tidy.dataset == "mnist")].assign(sparsity=0.9, scope="global")
    arms = overall.collect(pd.concat([tidy, extra[extra.model == "mlp-small"]], ignore_index=True)).arms
    assert ("global 90%", "set") not in arms and ("global 80%", "set") in arms


def test_drawn_images_alone_give_nothing(tidy: pd.DataFrame, layout: Layout) -> None:
    drawn = source(tidy.assign(source="stand-in"), layout)
    assert overall.table(drawn) is None and overall.profile(drawn) is None


def test_both_belong_to_the_collation(exhibits: list[Exhibit]) -> None:
    wanted = [w for w in WANTED if w.section == "05"]
    assert [(w.kind, w.name) for w in wanted] == [(e.kind, e.name) for e in exhibits] == [
        ("table", "overall"), ("figure", "profile")
    ]  # fmt: skip
