"""Tutorial methods, layer ratios, kept predictions and their exhibits, against oracles of their own."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from paperlib import studies
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.exhibits import collation
from paperlib.exhibits.manifest import Exhibit, write_manifest
from paperlib.exhibits.results import Source
from paperlib.pruners import METHODS, Pruning, layers_of
from paperlib.pruners.allocation import erdos_renyi, random_ratios, uniform
from paperlib.report import pages
from paperlib.schema.trial import Trial, make_trial
from paperlib.trials.predictions import disagreement, modal, pack, pruning_identified_exemplars, unpack
from paperlib.trials.runner import checkpoint, run, run_all
from tests import measured_costs, report_links

FAST = {"epochs": 5, "lr": 0.1, "batch_size": 8}


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(60, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 10))


def test_random_ratios_differ_by_draw_and_keep_the_total() -> None:
    trial = Trial(method="post-training", sparsity=0.8, scope="random-ratios")
    layers = layers_of(network(), trial)
    total = sum(uniform(layers).values())
    counts = [random_ratios(layers, torch.Generator().manual_seed(d)) for d in range(20)]
    assert all(sum(c.values()) == total for c in counts)
    assert len({tuple(c.values()) for c in counts}) == 20
    assert all(0 <= c[x.name] < x.units for c in counts for x in layers)
    assert counts[3] == random_ratios(layers, torch.Generator().manual_seed(3))


def test_the_scope_decides_the_counts() -> None:
    trial = Trial(method="post-training", sparsity=0.8, scope="erdos-renyi")
    layers = layers_of(network(), trial)
    masks = METHODS["post-training"]().final_masks(Pruning(trial, layers, torch.Generator()), {})
    assert {n: int((~m).sum()) for n, m in masks.items()} == erdos_renyi(layers)


def test_iterative_cuts_the_same_factor_each_round() -> None:
    trial = Trial(method="iterative", sparsity=0.875, epochs=6)
    layers = layers_of(network(), trial)
    pruning, method = Pruning(trial, layers, torch.Generator()), METHODS["iterative"]()
    masks = method.initial_masks(pruning)
    left = []
    for epoch in range(6):
        masks = method.update_masks(pruning, masks, epoch)
        left.append(masks["0"].float().mean().item() if masks else 1.0)
    assert left == pytest.approx([1, 1, 1, 1 / 2, 1 / 4, 1 / 8], abs=1e-3)
    assert method.final_masks(pruning, masks) is masks


@pytest.mark.usefixtures("tiny_images")
def test_every_round_stands_in_the_record(layout: Layout) -> None:
    record = run(Trial(method="iterative", sparsity=0.75, **FAST), layout)
    assert [e.pruned is not None for e in record.curve] == [False, False, False, True, True]
    units = sum(layer.units for layer in record.layers)
    assert [e.removed / units for e in record.curve] == pytest.approx([0, 0, 0, 0.5, 0.75], abs=0.01)
    assert record.network is not None and record.network.scope_sparsity == pytest.approx(0.75, abs=0.01)
    assert record.train_s == pytest.approx(sum(e.time_s for e in record.curve))


@pytest.mark.usefixtures("tiny_images")
def test_a_threshold_removes_exactly_what_lies_below(layout: Layout) -> None:
    record = run(Trial(method="threshold", threshold=0.1, **FAST), layout)
    dense = load_file(checkpoint(layout, str(record.shared_training)))
    for layer in record.layers:
        assert layer.removed == int((dense[f"{layer.name}.weight"].abs() < 0.1).sum()) > 0
    high = run(Trial(method="threshold", threshold=50, **FAST), layout)
    assert [layer.units - layer.removed for layer in high.layers] == [1] * len(high.layers)


@pytest.mark.usefixtures("tiny_images")
def test_random_removal_takes_as_many_but_others(layout: Layout) -> None:
    a, b = (
        run(Trial(method=m, sparsity=0.9, **FAST), layout, keep_weights=True)
        for m in ("post-training", "post-training-random")
    )
    assert a.shared_training == b.shared_training
    assert [x.removed for x in a.layers] == [x.removed for x in b.layers]
    left = [load_file(checkpoint(layout, r.id))[f"{a.layers[0].name}.weight"].abs().sum() for r in (a, b)]
    assert left[0] > left[1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"method": "threshold"}, "above 0"),
        ({"method": "threshold", "threshold": 0.1, "sparsity": 0.5}, "no sparsity"),
        ({"threshold": 0.1}, "no other method"),
        ({"method": "random", "draw": 2}, "random-ratios"),
    ],
)
def test_nonsense_is_refused(fields: dict[str, object], said: str) -> None:
    with pytest.raises(PaperlibError, match=said):
        make_trial(**fields)


def test_predictions_come_back_and_are_compared() -> None:
    logits = torch.randn(500, 47, generator=torch.Generator().manual_seed(0))
    packed = pack(logits)
    assert packed is not None
    assert np.array_equal(unpack(packed), logits.argmax(1).numpy())
    assert pack(torch.zeros(2, 257)) is None
    a, b, c = (np.array(x, np.uint8) for x in ([0, 1, 2, 2], [0, 1, 1, 2], [0, 1, 1, 0]))
    assert disagreement(a, c) == 0.5
    assert modal([a, b, c]).tolist() == [0, 1, 1, 2]
    assert pruning_identified_exemplars([a, a, b], [c, c, b]).tolist() == [2, 3]


@pytest.mark.usefixtures("tiny_images")
def test_a_record_keeps_the_answers_that_its_accuracy_counts(layout: Layout) -> None:
    record = run(Trial(**FAST), layout)
    assert record.predictions is not None and record.test is not None
    labels = np.arange(len(unpack(record.predictions))) % 3
    assert (unpack(record.predictions) == labels).mean() == pytest.approx(record.test.accuracy)


@pytest.mark.parametrize("profile", studies.PROFILES)
def test_the_study_has_what_its_exhibits_need(profile: str) -> None:
    trials = studies.tutorial_trials(profile)
    assert len(set(trials)) == len(trials)
    assert {t.method for t in trials} == {
        "dense", "post-training", "post-training-random", "iterative", "threshold",
    }  # fmt: skip
    if profile != "smoke":
        curves = {(t.dataset, round(1 / (1 - t.sparsity))) for t in trials if t.method == "post-training"}
        sets = {"fashionmnist", "mnist"} if profile == "quick" else {"fashionmnist", "emnist", "cifar10"}
        factors = (2, 4, 8, 16, 32) if profile == "laptop" else (2, 4, 8, 16, 32, 64)
        assert curves >= {(d, f) for d in sets for f in factors}


@pytest.fixture
def written(layout: Layout, tiny_images: object, monkeypatch: pytest.MonkeyPatch) -> dict[str, Exhibit]:
    """The smoke study on tiny images, and its exhibits by name."""
    trials = [
        Trial.model_validate(t.model_dump() | {"seed": s}) for t in studies.tutorial_trials("smoke") for s in (0, 1)
    ]
    run_all(list(dict.fromkeys(trials)), layout)
    measured_costs.write(layout)
    made = [e for e in collation.tutorial(Source.of(layout), "fashionmnist") if e]
    return {e.name: e for e in made}


def test_exhibits_say_what_the_records_hold(layout: Layout, written: dict[str, Exhibit]) -> None:
    tables = {n for n in written if n.startswith("tutorial_")}
    assert len(tables) == 9
    assert {"compression_mlp-small", "space_mlp-small", "recall_mlp-small", "disagreement_mlp-small"} <= set(written)
    source = Source.of(layout)
    half = source.table[(source.table.method == "post-training") & (source.table.sparsity == 0.5)]
    half = half[half.scope == "global"]
    table = pd.read_csv(layout.tables / "tutorial_before_after.csv")
    row = table[(table.technique == "post-training") & (table.pruned == "50.0%")].iloc[0]
    assert float(str(row["after, %"]).split()[0]) == pytest.approx(100 * half.test_accuracy.mean(), abs=0.01)
    by_id = {r.id: r for r in source.records}
    pairs = [(by_id[i], by_id[d]) for i, d in zip(half["id"], half.shared_training, strict=True)]
    expected = np.mean([(unpack(a.predictions) != unpack(b.predictions)).mean() for a, b in pairs])  # type: ignore[arg-type]
    told = pd.read_csv(layout.tables / "disagreement_mlp-small.csv").iloc[0]
    assert float(str(told["answers changed, %"]).split()[0]) == pytest.approx(100 * expected, abs=0.01)


def test_rows_lead_to_exactly_their_trials(layout: Layout, written: dict[str, Exhibit]) -> None:
    write_manifest((replace(e, section="01") for e in written.values()), layout)
    pages.build(layout)
    tidy = Source.of(layout).table
    tidy = tidy[(tidy.dataset == "fashionmnist") & (tidy.scope == "global")]
    dense = set(tidy[tidy.method == "dense"].id)

    def ids(method: str, pruned: str) -> set[str]:
        arm = tidy[(tidy.method == method) & (tidy.sparsity.map("{:.1%}".format) == pruned)]
        assert set(arm.seed) == {0, 1}
        return set(arm.id)

    beside_dense = {"before_after", "gain", "times"}
    timed = {
        (r.setting.method, f"{r.setting.sparsity:.1%}"): r.id
        for r in measured_costs.perceptron()
        if r.setting.scope == "global"
    }
    for name in beside_dense:
        found = report_links.rows(layout, f"tutorial_{name}")
        assert len(found) == 5
        for row in found:
            arm = row.texts["technique"], row.texts["pruned"]
            own = ids(*arm)
            measured = {timed[arm]} if name == "gain" and arm in timed else set()
            assert row.ids == {"technique": own | dense | measured}, name
            if name == "gain":
                assert (row.texts["inference, masked, × dense"] == "not measured") == (not measured)
    for row in report_links.rows(layout, "tutorial_techniques"):
        cells = {m: ids(m, row.texts["pruned"]) for m, text in row.texts.items() if m != "pruned" and text != "not run"}
        assert row.ids == {"pruned": set().union(*cells.values())} | cells
    for row in report_links.rows(layout, "tutorial_rounds"):
        assert row.ids == {"target": ids("iterative", row.texts["target"])}
    for row in report_links.rows(layout, "tutorial_connections"):
        first = set(tidy[tidy.seed == 0].id)
        assert row.ids == {"technique": ids(row.texts["technique"], row.texts["pruned"]) & first}
    for row in report_links.rows(layout, "tutorial_shrink"):
        assert row.ids == {"pruned": ids("post-training", row.texts["pruned"])}
    for row in report_links.rows(layout, "disagreement_mlp-small"):
        assert row.ids == {"removed": ids("post-training", row.texts["removed"]) | dense}
    (row,) = report_links.rows(layout, "tutorial_thresholds")
    assert row.ids == {"threshold": set(tidy[tidy.method == "threshold"].id)}
    assert {len(r.ids) for r in report_links.rows(layout, "tutorial_sizes")} == {1}
    assert report_links.dead_ends(layout) == set()
