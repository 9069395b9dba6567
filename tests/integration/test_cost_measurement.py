"""Costs of a network: what is measured of it, resuming, and that masked and compact training are one."""

import copy
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from paperlib.claims.settings import Setting
from paperlib.core.paths import Layout
from paperlib.costs import measurement
from paperlib.costs.measurement import measure, run_costs
from paperlib.costs.memory import fits_memory
from paperlib.costs.records import cost_table, is_complete, read_costs, write_costs
from paperlib.costs.training_step import MaskedTraining, TrainableNetwork, build_network, make_masks
from paperlib.meters import Meters, energy, window
from paperlib.meters.calibration import write_calibration
from paperlib.meters.cpu_power import cpu_name
from paperlib.meters.sensors import Sensors
from paperlib.pruners import layers_of
from paperlib.schema.cost import PROCESSES, CostRecord, CostSetting, Effort, make_cost_setting
from paperlib.schema.measurement import MODELLED_UNCERTAINTY, CpuCalibration
from tests.claim_records import cost_records

FAST = Effort(5, 0.01, 0.02)
CNN = {"model": "resnet18", "shape": (16, 16, 3), "classes": 3, "width": 0.125, "batch_size": 4, "optimizer": "AdamW"}


def arm(**fields: object) -> CostSetting:
    return make_cost_setting(**(CNN | fields))


def test_every_way_is_measured_beside_dense() -> None:
    settings = [
        arm(),
        *(arm(method=m, sparsity=0.8, conv_sparsity=0.8) for m in ("pre-training", "set", "post-training")),
    ]
    records = measure(settings, FAST, process=0)
    assert [r.id for r in records] == [s.id for s in settings] and all(len(r.runs) == 1 for r in records)
    dense, fixed, swapped, after = (r.runs[0] for r in records)
    assert {t.variant for t in dense.step} == {"dense", "dense-again"} == {t.variant for t in after.step}
    assert {t.variant for t in fixed.step} == {"dense", "dense-again", "masked", "compact"}
    assert {(t.variant, t.batch_size) for t in fixed.inference} >= {("masked", 1), ("masked", 64), ("dense-again", 64)}
    assert all(t.engine == "torch" for t in fixed.step[:1] + fixed.inference[:1])
    assert fixed.boundary_s["masked"] == 0 < swapped.boundary_s["masked"] and fixed.boundary_s["compact"] > 0
    # Uniform masks, of whichever method, remove equally many: one measurement. Erdős–Rényi's is another.
    assert after.inference == fixed.inference != swapped.inference
    assert [t.variant for t in swapped.trainings] == ["dense", "masked", "compact"] and not fixed.trainings
    table = cost_table(records)
    assert table.set_index("method").step_ratio["post-training"] == 1.0
    assert (table.set_index("method").whole_ratio > 0).to_dict() == {
        "dense": False, "pre-training": False, "set": True, "post-training": False,
    }  # fmt: skip
    assert (table.energy_source if "energy_source" in table else table.step_energy_source).notna().all()
    assert CostRecord.model_validate_json(records[1].model_dump_json()) == records[1]


class Counter:
    """A counter of a device that always draws 10 W."""

    source, note, update_s = "external", "test", 0.001

    def begin(self) -> None:
        self.start = time.perf_counter()

    def end(self) -> float:
        return 10 * (time.perf_counter() - self.start)


def test_energy_stands_gross_and_above_idle_and_what_a_cpu_lacks_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "IDLE_S", 0.01)
    monkeypatch.setattr(measurement, "read_sensors", lambda device: Sensors(70.0, 3000.0))
    setting, meters = make_cost_setting(method="set", sparsity=0.5), Meters.for_device("cpu")
    meters.energy = Counter()
    (record,) = measure([setting], FAST, process=0, meters_for=lambda device: meters)
    (row,) = cost_table([record]).to_dict("records")
    assert row["idle_w"] == meters.idle_w and row["idle_w"] > 0
    assert (row["temperature_c"], row["clock_mhz"]) == (70.0, 3000.0)
    for what, batch in (("step", setting.batch_size), ("inference_b1", 1), ("inference_b64", 64)):
        for prefix in ("dense_", "", "realised_"):
            idle_j = row["idle_w"] * row[f"{prefix}{what}_s"] / batch
            gross = row[f"{prefix}{what}_energy_j"]
            assert row[f"{prefix}{what}_above_idle_j"] == pytest.approx(gross - idle_j)
        assert row[f"{what}_energy_uncertainty"] is None
    assert row["allocator_bytes"] is row["dense_allocator_bytes"] is row["realised_allocator_bytes"] is None


def test_modelled_energy_has_an_uncertainty_and_a_calibration_and_no_idle_power(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PAPERLIB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(energy, "RAPL_FOLDERS", ())
    (before,) = measure([make_cost_setting()], FAST, process=0)
    line = CpuCalibration(
        cpu=cpu_name(), slope_w=6, idle_w=30, residual_w=0.3, uncertainty=0.05, source="external", made="2026-11-30"
    )
    write_calibration(line)
    (after,) = measure([make_cost_setting()], FAST, process=0)
    assert (before.runs[0].calibration, after.runs[0].calibration) == (None, line)
    for record, uncertainty in ((before, MODELLED_UNCERTAINTY), (after, 0.05)):
        (row,) = cost_table([record]).to_dict("records")
        assert row["step_energy_uncertainty"] == row["inference_b1_energy_uncertainty"] == uncertainty
        assert row["step_energy_j"] > 0 and row["idle_w"] is row["dense_step_above_idle_j"] is None
    assert CostRecord.model_validate_json(after.model_dump_json()) == after


def test_a_run_that_was_stopped_goes_on_and_what_is_there_is_found(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting, numbers = make_cost_setting(method="pre-training", sparsity=0.5), list[int]()

    def here(work: Callable[..., object], *given: object) -> object:
        numbers.append(given[-1])  # type: ignore[arg-type]
        if len(numbers) == 2:
            raise KeyboardInterrupt
        return work(*given)

    monkeypatch.setattr(measurement, "in_fresh_process", here)
    with pytest.raises(KeyboardInterrupt):
        run_costs([setting], layout, FAST)
    assert [len(r.runs) for r in read_costs(layout)] == [1] and not is_complete(setting, layout)
    (record,) = run_costs([setting], layout, FAST)
    assert numbers == [0, 1, 1, 2] and len(record.runs) == PROCESSES and is_complete(setting, layout)
    assert run_costs([setting], layout, FAST) == [record] and numbers == [0, 1, 1, 2]


def test_processes_are_fresh(layout: Layout) -> None:
    (record,) = run_costs([make_cost_setting()], layout, FAST, processes=2)
    assert len(record.runs) == 2 and len({run.finished for run in record.runs}) > 1


def test_a_network_larger_than_the_memory_is_left_out_with_a_warning(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = make_cost_setting(model="mlp-medium")
    monkeypatch.setattr("psutil.virtual_memory", type("Memory", (), {"available": 2**26}))
    monkeypatch.setattr(measurement, "in_fresh_process", lambda work, *given: work(*given))
    with pytest.warns(UserWarning, match=r"needs about .* GB, 0.1 GB are free: its costs are not measured"):
        assert [r.setting.model for r in run_costs([large, make_cost_setting()], layout, FAST)] == ["mlp-small"]
    assert len(list(layout.results.rglob("*.json"))) == 1 and fits_memory(make_cost_setting(), 2**20)


def test_records_from_before_inference_was_counted_are_counted_and_not_timed(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record,) = cost_records(arms=[Setting("mnist", "mlp-small", "set", 0.0, 0.8)])
    older = {name: value for name, value in record.model_dump(mode="json").items() if name != "inference_memory"}
    record = CostRecord.model_validate(older)
    assert record.inference_memory is None and cost_table([record]).inference_memory_bytes.isna().all()
    write_costs(record, layout)
    monkeypatch.setattr(measurement, "in_fresh_process", lambda *_: pytest.fail("it measures"))
    (counted,) = run_costs([record.setting], layout, FAST)
    memory = counted.inference_memory
    assert memory is not None and memory.pruned < memory.dense and counted.runs == record.runs
    assert read_costs(layout) == [counted] == run_costs([record.setting], layout, FAST)


def test_masked_and_compact_steps_give_the_same_weights() -> None:
    torch.manual_seed(0)
    setting = arm(method="pre-training", sparsity=0.5, conv_sparsity=0.5)
    model = build_network(setting.network).double()
    batch = torch.randn(4, 3, 16, 16, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    networks = [TrainableNetwork(setting, copy.deepcopy(model), batch) for _ in range(2)]
    masks = make_masks(setting, layers_of(model, setting.trial()), seed=0)
    masked, compact = (MaskedTraining.of(setting, network, masks, seed=0) for network in networks)
    assert compact.realised is not None
    for step in (networks[0].step(masked.enforcer), networks[1].realised_step(compact.realised)):
        for _ in range(3):
            step()
    compact.realised.scatter_back()
    for one, other in zip(networks[0].model.parameters(), networks[1].model.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-12)


def test_a_large_perceptron_trains_sparse_where_that_is_faster_and_holds_what_it_keeps() -> None:
    dense, pruned = (
        make_cost_setting(model="mlp-medium", width=0.5, options={"momentum": 0.9}, **fields)
        for fields in ({}, {"method": "set", "sparsity": 0.9})
    )
    _, record = measure([dense, pruned], FAST, process=0)
    (run,) = record.runs
    assert [t.variant for t in run.step][-2:] == ["masked", "sparse"] and run.boundary_s["sparse"] > 0
    assert [t.variant for t in run.trainings] == ["dense", "masked", "sparse"]
    masked, sparse = record.memory["masked"], record.memory["sparse"]
    kept = record.costs.dense_bytes * 0.1
    assert sparse.gradients < masked.gradients / 5 and sparse.optimizer < masked.optimizer / 5
    assert sparse.parameters < 3.5 * kept < masked.parameters and sparse.masks == 0
    (row,) = cost_table([record]).to_dict("records")
    assert row["realised_step_way"] == "sparse" and row["realised_memory_bytes"] == sparse.total
