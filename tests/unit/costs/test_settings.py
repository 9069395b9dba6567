"""Settings and records of costs: what is refused, what is read, counted and tabulated."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from paperlib.claims.settings import Setting
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.costs.memory import count_inference_memory, count_step_memory
from paperlib.costs.records import COST_COLUMNS, columns_page, cost_table, read_costs
from paperlib.schema.cost import CostRecord, WholeTraining, make_cost_setting
from paperlib.schema.measurement import MODELLED_UNCERTAINTY
from paperlib.studies import costs as study
from paperlib.studies.profiles import F_DATASETS, P_DATASETS
from tests.claim_records import cost_records
from tests.conftest import ROOT


def test_an_id_hashes_what_differs_from_the_defaults_and_no_trials_id_is_one() -> None:
    assert make_cost_setting().id == make_cost_setting(model="mlp-small").id != make_cost_setting(classes=47).id
    assert make_cost_setting(method="set", sparsity=0.5).id != make_cost_setting().trial().id
    pruned = make_cost_setting(method="set", sparsity=0.5, scope="layerwise")
    assert pruned.network == make_cost_setting() and pruned.trial().sparsity == 0.5


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"model": "mlp-small", "method": "iterative", "sparsity": 0.5}, "costs are measured of dense"),
        ({"model": "mlp-small", "sparsity": 0.5}, "removes nothing"),
        ({"shape": (0, 28, 1)}, "three numbers above 0"),
        ({"batchsize": 4}, "did you mean 'batch_size'"),
        ({"classes": 1}, "classes"),
        ({"method": "set", "sparsity": 1.5}, r"\[0, 1\)"),
    ],
)
def test_bad_settings_are_one_clear_line(fields: dict[str, object], said: str) -> None:
    with pytest.raises(PaperlibError, match=said):
        make_cost_setting(**fields)


def test_records_from_before_idle_power_and_uncertainty_are_read() -> None:
    (record,) = cost_records(
        arms=[Setting("mnist", "mlp-small", "dense", 0.0, 0.0)], energy_source="modelled", processes=1
    )
    fields = json.loads(record.model_dump_json())
    (run,) = fields["runs"]
    for name in ("idle_w", "temperature_c", "clock_mhz", "calibration"):
        del run[name]
    for timing in (*run["step"], *run["inference"]):
        del timing["energy_uncertainty"], timing["allocator_bytes"]
    old = CostRecord.model_validate_json(json.dumps(fields))
    assert old == record and {t.energy_uncertainty for t in old.runs[0].step} == {MODELLED_UNCERTAINTY}


def test_a_whole_training_is_held_against_steps_and_boundaries() -> None:
    (record,) = (r for r in cost_records(arms=[Setting("mnist", "mlp-small", "set", 0.0, 0.5)]) if r.setting.sparsity)
    training = WholeTraining(variant="masked", steps=100, time_s=1.25, product_s=1.0)
    run = record.runs[0].model_copy(update={"trainings": (training,)})
    table = cost_table([record.model_copy(update={"runs": (run,)})])
    assert table.whole_ratio.item() == 1.25 and table.dense_whole_ratio.isna().all()
    assert table.realised_step_way.item() == "masked" and table.realised_whole_ratio.isna().all()


def test_memory_equals_a_hand_count() -> None:
    # Two layers and Adam: 4 bytes a parameter, for weights and for both moments, and a step counter per tensor.
    setting = make_cost_setting(shape=(1, 10, 1), classes=3, batch_size=8, optimizer="Adam")

    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(10, 2000), nn.ReLU(), nn.Linear(2000, 3))

    parameters = 4 * (10 * 2000 + 2000 + 2000 * 3 + 3)
    memory = count_step_memory(setting, network, masks=77)
    assert (memory.parameters, memory.masks) == (parameters, 77)
    assert memory.optimizer == 2 * parameters + 4 * 4
    inputs = 4 * 8 * 10 + 8 * 8
    # At the peak the gradient of the hidden layer's output stands beside that of the last layer's weights.
    hidden = 4 * 8 * 2000
    peak = memory.gradients + memory.activations + memory.temporaries
    assert inputs + 2 * hidden <= peak <= inputs + 4 * hidden + parameters
    assert count_step_memory(setting, network(), masks=77) == memory, "equal to the byte, built or copied"
    assert count_step_memory(setting, network).total == memory.total - 77


def test_memory_of_an_inference_equals_a_hand_count() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(10, 2000), nn.ReLU(), nn.Linear(2000, 3))
    # 64 images; the hidden layer stands before and behind its ReLU.
    whole = 4 * (10 * 2000 + 2000 + 2000 * 3 + 3) + 4 * 64 * (10 + 2 * 2000)
    assert count_inference_memory(network, {}, (1, 10, 1)) == whole
    with torch.no_grad():
        network[1].weight[:, :9] = 0  # as CSR it is smaller now; the last layer would not be
    saved = 4 * 10 * 2000 - (2000 * (4 + 4) + 4 * 2001)
    assert count_inference_memory(network, {}, (1, 10, 1)) == whole - saved


def test_profiles_measure_the_papers_networks_at_their_own_width() -> None:
    for profile in ("quick", "laptop", "paper"):
        settings = study.settings(profile)
        assert {s.width for s in settings} == {1.0} and len({s.id for s in settings}) == len(settings)
        # What C35 asks of a ResNet18 without shortcuts is decided at 224 px alone.
        plain = {"resnet18-plain"} if profile != "quick" else set()
        assert {s.model for s in settings} == {"mlp-small", "mlp-medium", "vgg16", "resnet18"} | plain
    sides = {name: {s.shape[0] for s in study.settings(name, "03")} for name in ("quick", "laptop", "paper")}
    assert sides == {"quick": {28, 32}, "laptop": {28, 32, 224}, "paper": {28, 32, 224}}
    with pytest.raises(PaperlibError, match="did you mean 'quick'"):
        study.settings("quik")


def test_an_arm_finds_its_setting_and_data_sets_of_one_shape_share_it() -> None:
    mnist, emnist = (study.cost_settings(name, "mlp-small", "set", 0.0, 0.5) for name in ("mnist", "emnist"))
    assert mnist == study.cost_settings("fashionmnist", "mlp-small", "set", 0.0, 0.5) != emnist
    sizes = study.cost_settings("visa", "resnet18", "set", 0.8, 0.8)
    assert [(s.shape, s.batch_size) for s in sizes] == [((224, 224, 3), 8), ((28, 28, 3), 16), ((28, 28, 3), 8)]
    assert study.cost_settings("visa", "resnet18", "iterative", 0.8, 0.8) == ()
    for profile, datasets in (("laptop", P_DATASETS), ("quick", ("mnist",))):
        measured = {s.id for s in study.settings(profile)}
        for dataset in (*datasets, *F_DATASETS):
            model = "mlp-small" if dataset in P_DATASETS else "vgg16"
            (setting,) = (s for s in study.cost_settings(dataset, model) if s.shape[0] < 224 and s.id in measured)
            assert setting.batch_size == (64 if model == "mlp-small" else 16 if profile == "laptop" else 8)


def test_every_column_is_described_and_the_committed_page_is_the_generated_one() -> None:
    table = cost_table(cost_records(arms=[Setting("mnist", "mlp-small", "set", 0.0, 0.5)]))
    assert list(table) == [name for name, *_ in COST_COLUMNS] and all(meaning for *_, meaning in COST_COLUMNS)
    cure = "write it again: open('docs/columns.md', 'w').write(paperlib.costs.records.columns_page())"
    assert (ROOT / "docs" / "columns.md").read_text() == columns_page(), cure


def test_the_folder_of_costs_holds_nothing_else(layout: Layout) -> None:
    assert read_costs(layout) == [] and cost_table([]).empty
    assert Path(layout.costs).name == "costs"
