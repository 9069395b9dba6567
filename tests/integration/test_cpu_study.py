"""The CPU study: its grid, one small measurement, break-even by arithmetic, exhibits that name their records."""

import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from importlib.metadata import version
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs import cpu_study, paired
from paperlib.costs.cpu_layers import crossing
from paperlib.costs.cpu_study import CpuSetting, measure, pruned
from paperlib.exhibits import collation
from paperlib.schema.measurement import Timing
from paperlib.studies import cpu
from paperlib.studies.cpu import CpuBudget, run_cpu_study, settings

TINY = CpuBudget({"mlp-medium": 0.01, "resnet18": 0.04}, (0.0, 0.8), (0.8,), (0.8,), (0.0, 0.8), ("i",), 0.01)


def test_the_grid_holds_the_papers_scenarios() -> None:
    quick = settings("quick")
    assert len(set(quick)) == len(quick)
    at = {(s.model, s.scenario): s.conv_sparsity for s in quick if s.sparsity == 0.8}
    assert [at["vgg16", name] for name in ("i", "ii", "iii")] == [0.8, 0.5, 0.0]  # F's conv sparsities
    assert {s.sparsity for s in settings("laptop") if s.scenario == "i"} == {0, 0.5, 0.8, 0.9, 0.95, 0.99}
    assert {s.sparsity for s in quick if s.trains and s.model == "mlp-medium"} == {0, 0.5, 0.8, 0.9, 0.95, 0.99}
    assert {s.sparsity for s in quick if s.trains and s.model == "resnet18"} == {0, 0.5, 0.8}
    assert {(s.model, s.sparsity) for s in quick if s.coupled} == {("resnet18", p) for p in (0.5, 0.8, 0.95)}
    assert {(s.width, s.shape) for s in quick if s.model == "mlp-medium"} == {(1.0, (28, 28, 1))}  # P's own size
    with pytest.raises(PaperlibError, match="did you mean 'quick'"):
        settings("quik")


def test_a_record_from_before_there_were_coupled_filters_and_steps_keeps_its_id() -> None:
    old = CpuSetting(model="resnet18", width=1.0, scenario="ii", sparsity=0.9, quantised=False, budget_s=1.5)
    assert old.id == "029df13d836ebd55"  # of results/laptop
    assert len({old.id, *(old.model_copy(update={field: True}).id for field in ("coupled", "trains"))}) == 3


def test_coupled_filters_go_from_all_that_write_to_a_residual_sum() -> None:
    setting = CpuSetting(
        model="resnet18", width=0.25, scenario="i", sparsity=0.5, quantised=False, budget_s=0, coupled=True
    )
    _, _, masks = pruned(setting)
    _, _, alone = pruned(setting.model_copy(update={"coupled": False}))
    first, second = (f"layer1.{block}.conv2" for block in (0, 1))  # both write to one sum
    assert torch.equal(masks[first], masks[second])
    assert not torch.equal(alone[first], alone[second])
    assert {name: int(mask.sum()) for name, mask in masks.items()} == {n: int(m.sum()) for n, m in alone.items()}


@pytest.mark.parametrize("sparsity", [0.0, 0.8, 0.99])
def test_pruning_removes_the_share_and_leaves_every_layer_alive(sparsity: float) -> None:
    setting = CpuSetting(model="vgg16", width=0.1, scenario="i", sparsity=sparsity, quantised=False, budget_s=0)
    dense, model, _ = pruned(setting)
    for one, other in zip(dense.modules(), model.modules(), strict=True):
        if isinstance(one, nn.Linear):
            gone = int((other.weight == 0).sum()) - int((one.weight == 0).sum())
            assert gone == min(one.weight.numel() - 1, round(sparsity * one.weight.numel()))
        elif isinstance(one, nn.Conv2d):
            alive = int(other.weight.flatten(1).any(1).sum())
            assert alive == max(1, one.out_channels - round(sparsity * one.out_channels))


def test_break_even_by_arithmetic() -> None:
    assert crossing([(0.8, 1.5), (0.5, 3.0), (0.9, 0.5)]) == pytest.approx(0.85)
    assert crossing([(0.5, 2.0), (0.99, 1.0)]) is None
    assert crossing([(0.5, 0.9), (0.99, 0.2)]) == 0.5
    assert crossing([(0.5, 0.9), (0.8, 1.1), (0.9, 0.9)]) == pytest.approx(0.85)  # the last crossing counts


def test_every_way_is_timed_and_the_exhibits_name_their_records(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cpu.BUDGETS, "smoke", TINY)
    monkeypatch.setattr(cpu_study, "cores", lambda: 1)
    assert collation.write("04", layout) == []  # nothing has run
    records = run_cpu_study("smoke", layout)
    for record in records:
        (run,) = record.runs
        variants, few = {t.variant for t in run.timings if t.batch_size == 64}, {"bf16", "int8", "compact+int8"}
        quantised = few if record.setting.quantised else set()
        through = {"onnxruntime", "onnxruntime-again", "compact+onnxruntime"} if record.setting.runtimes else set()
        assert variants == {"dense", "dense-again", "masked", "compact", "sparse"} | quantised | through
        assert run.cold_s.keys() == (variants - {"sparse"} if quantised else set())
        assert {t.variant for t in run.steps} >= {"dense", "dense-again", "masked"}
        assert record.disagrees["masked"] == 0
    assert {t.variant for r in records if r.setting.coupled for t in r.runs[0].steps} >= {"compact"}
    monkeypatch.setattr(cpu, "measure", lambda _: pytest.fail("measured again"))
    assert run_cpu_study("smoke", layout) == records
    exhibits = collation.write("04", layout)
    assert {e.section for e in exhibits} == {"04"}
    assert all(set(e.trials) == {r.id for r in records} for e in exhibits)
    assert {"edge_training", "edge_channels"} <= {e.name for e in exhibits}
    assert all("n = 1" in e.caption and "stand-in" in e.caption for e in exhibits)
    for exhibit in exhibits:
        assert all((layout.results.parents[1] / name).stat().st_size for name in exhibit.files)
    costs = pd.read_csv(layout.tables / "edge_costs.csv")
    marks = re.findall(r'<span data-trials="(\w+)">(.*?)</span>', (layout.tables / "edge_costs.html").read_text())
    models = {r.id: r.setting.model for r in records}
    assert [text for _, text in marks] == list(costs.model) == [models[i] for i, _ in marks]
    assert {i for i, _ in marks} == set(models)


def test_what_runs_through_a_runtime_stands_beside_dense_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = list[list[str]]()
    monkeypatch.setattr(cpu_study, "cores", lambda: 1)

    def counted(calls: Mapping[str, Callable[[], object]], **settings: Any) -> tuple[Timing, ...]:
        compared.append(list(calls))
        return paired.compare(calls, **settings)

    monkeypatch.setattr(cpu_study, "compare", counted)
    fields = {"model": "resnet18", "width": 0.04, "scenario": "i", "sparsity": 0.8, "quantised": False, "budget_s": 0.0}
    record = measure(CpuSetting(**fields, runtimes=True))
    assert [names[0] for names in compared] == ["dense", "onnxruntime"] * 2
    assert compared[1] == ["onnxruntime", "onnxruntime-again", "compact+onnxruntime"]
    assert record.disagrees["compact+onnxruntime"] == 0
    assert "onnxruntime" not in record.disagrees, "dense: what changes there is pruning's"
    engines = {t.variant: t.engine for t in record.runs[0].timings}
    assert engines["compact"] == "torch"
    assert engines["compact+onnxruntime"] == engines["onnxruntime"] == f"onnxruntime {version('onnxruntime')}"
    old = sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]
    assert CpuSetting(**fields).id == old != record.id, "records from before runtimes were measured are found"


def test_one_network_of_ones_own() -> None:
    before = torch.get_num_threads()
    mine = CpuSetting(model="mlp-medium", width=0.01, scenario="iii", sparsity=0.7, quantised=False, budget_s=0.01)
    record = measure(mine)
    assert torch.get_num_threads() == before
    assert record.costs.inference_flops < record.costs.dense_inference_flops
