"""Trials trained on the compact or sparse network: same curves, masks and weights as with masks; recorded costs."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from paperlib.core.paths import Layout
from paperlib.execution import steps
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial, make_trial
from paperlib.trials.runner import checkpoint, run
from tests.conftest import served, tiny

METHODS = ["pre-training", "in-training", "set", "rigl"]
MODELS = {"vgg16": 0.04, "resnet18": 0.06}
SPARSE = {"mlp-medium": 0.2}  # 0.9 million weights


@pytest.fixture
def images() -> Iterator[None]:
    small = tiny(n=60, size=16)
    with served(lambda wanted: small):
        yield


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trial(model: str, method: str, **fields: object) -> Trial:
    return make_trial(
        model=model, width=(MODELS | SPARSE)[model], method=method, sparsity=0.5, batch_size=13, lr=0.02,
        conv_sparsity=0.5 if model in MODELS else 0.0, options={"momentum": 0.9, "weight_decay": 0.01},
        **{"epochs": 3} | fields,
    )  # fmt: skip


def both(
    layout: Layout, model: str, method: str, **fields: object
) -> tuple[list[Record], list[dict[str, torch.Tensor]]]:
    trials = [trial(model, method, execution=execution, **fields) for execution in ("masked", "compact")]
    records = [run(t, layout, keep_weights=True) for t in trials]
    return records, [load_file(checkpoint(layout, t.id)) for t in trials]


def same(layout: Layout, model: str, method: str, tolerance: float) -> list[dict[str, torch.Tensor]]:
    """Losses, counts and masks agree; the weights of the two trainings."""
    records, weights = both(layout, model, method)
    assert [r.compact_epochs for r in records] == [0, 3]
    for masked, compact in zip(records[0].curve, records[1].curve, strict=True):
        for part in ("train", "val"):
            loss, expected = getattr(compact, part).loss, getattr(masked, part).loss
            assert loss == pytest.approx(expected, rel=tolerance), (part, masked.epoch)
        assert compact.swapped == masked.swapped
    assert records[0].layers == records[1].layers
    assert records[0].network == records[1].network
    for name, value in weights[0].items():
        if not name.endswith("running_mean"):
            assert torch.equal(weights[1][name] == 0, value == 0), f"other masks in {name}"
    return weights


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.usefixtures("images", "double")
def test_compact_trials_equal_masked_trials_in_float64(layout: Layout, model: str, method: str) -> None:
    masked, compact = same(layout, model, method, 1e-4)
    torch.testing.assert_close(compact, masked, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.usefixtures("images")
def test_compact_trials_equal_masked_trials_in_float32(layout: Layout, model: str) -> None:
    # Over three epochs rounding grows to about 1e-4 of the loss; the stated tolerance is 1 %. No digit of a weight is
    # compared: rounding differs from processor to processor.
    same(layout, model, "pre-training", 1e-2)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("images", "double")
def test_sparse_trials_equal_masked_trials_in_float64(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(steps, "FASTER", math.inf)  # whichever way is faster here
    records, (masked, sparse) = both(layout, "mlp-medium", method, epochs=2)
    assert [r.engine for r in records] == ["torch", "sparse"]
    assert [r.compact_epochs for r in records] == [0, 0]
    for one, other in zip(*(r.curve for r in records), strict=True):
        assert (other.train.loss, other.val.loss) == pytest.approx((one.train.loss, one.val.loss), rel=1e-6)
        assert other.swapped == one.swapped
    assert records[1].layers == records[0].layers and records[1].predictions == records[0].predictions
    assert any((value == 0).any() for value in masked.values())
    torch.testing.assert_close(sparse, masked, rtol=1e-6, atol=1e-9)


@pytest.mark.usefixtures("images")
def test_a_sparse_network_is_taken_where_it_is_faster_and_only_there(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"sparse": 1.0, "masked": 1.0}  # of a step

    def took(of: steps.TorchSteps, batches: Iterator[steps.Batch], logits: list[torch.Tensor]) -> float:
        logits.append(of.step(next(batches)))
        return seconds["masked" if of.enforcer.masks else "sparse"]

    monkeypatch.setattr(steps, "_shortest", took)
    asked = trial("mlp-medium", "set", epochs=2)
    assert run(asked, layout).engine == "torch"
    seconds["sparse"] = 0.85
    assert run(asked, layout, fresh=True).engine == "sparse"
    few = asked.model_copy(update={"sparsity": 0.2})
    assert run(few, layout).engine == "torch"


@pytest.mark.usefixtures("images")
def test_what_does_not_pay_or_cannot_be_followed_trains_with_masks(layout: Layout) -> None:
    linear_only = trial("vgg16", "pre-training").model_copy(update={"conv_sparsity": 0.0})
    assert run(linear_only, layout).compact_epochs == 0
    odd = trial("vgg16", "pre-training").model_copy(update={"optimizer": "RMSprop", "options": {}, "lr": 1e-3})
    assert run(odd, layout).compact_epochs == 0


@pytest.mark.usefixtures("images")
def test_records_hold_counted_costs(layout: Layout) -> None:
    record = run(trial("resnet18", "pre-training"), layout)
    costs, network = record.costs, record.network
    assert costs is not None
    assert network is not None
    assert costs.parameters == network.parameters
    assert costs.nonzeros <= costs.parameters - network.zeros
    assert costs.compact_bytes < costs.dense_bytes
    assert costs.inference_flops < costs.dense_inference_flops < costs.dense_training_flops


@pytest.mark.usefixtures("images")
def test_weights_are_kept_on_request_only(layout: Layout, tmp_path: Path) -> None:
    asked = trial("vgg16", "pre-training")
    run(asked, layout)
    assert not checkpoint(layout, asked.id).exists()
    run(asked, layout, keep_weights=True)
    assert checkpoint(layout, asked.id).exists()


def test_the_default_execution_renames_no_trial() -> None:
    assert make_trial(execution="compact").id == make_trial().id != make_trial(execution="masked").id
