"""Real tiny trainings: records, resume, shared training, failures, bad input."""

from pathlib import Path

import pytest
import torch
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.data.imageset import ImageSet
from paperlib.schema.record import Record
from paperlib.schema.trial import Fields, Trial, make_trial
from paperlib.trials.runner import dense_baseline, run, run_all
from paperlib.trials.store import Store, tidy
from paperlib.trials.training import DeviceSplit, evaluate

FAST = {"epochs": 2, "lr": 0.05, "batch_size": 16}
METHODS = ["random", "pre-training", "in-training", "post-training", "set"]


def numbers(record: Record) -> dict[str, object]:
    """What must be equal when a trial runs twice: all but times and dates."""
    kept = record.model_dump(exclude={"train_s", "finished", "environment", "place"}, mode="json")
    for epoch in kept["curve"]:
        epoch.pop("time_s")
    return kept


@pytest.mark.usefixtures("tiny_images")
def test_dense_learns_and_its_record_says_everything(layout: Layout) -> None:
    record = run(Trial(epochs=8, lr=0.1, batch_size=8), layout)
    assert record.status == "done"
    assert record.test is not None and record.test.accuracy > 0.9 and record.test.auc is not None
    assert len(record.curve) == 8
    assert record.curve[-1].train.loss < record.curve[0].train.loss
    assert record.train_s == pytest.approx(sum(e.time_s for e in record.curve)) and record.train_s > 0
    assert record.data.source == "stand-in"
    assert record.network is not None and record.network.zeros == 0
    assert Store(layout).get(record.id) == record


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.usefixtures("tiny_images")
def test_achieved_sparsity_is_counted_in_the_trained_network(layout: Layout, method: str) -> None:
    record = run(Trial(method=method, sparsity=0.5, **FAST), layout)
    assert record.network is not None
    assert record.network.scope_sparsity == pytest.approx(0.5, abs=0.01)
    assert sum(layer.removed for layer in record.layers) == record.network.zeros
    assert [layer.nominal for layer in record.layers] == [0.5] * 3
    swaps = [epoch.swapped for epoch in record.curve]
    assert (swaps[1] > 0) == (method in {"in-training", "set"})
    assert swaps[0] == 0


@pytest.mark.usefixtures("tiny_images")
def test_the_same_trial_gives_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = Trial(method="set", sparsity=0.6, model="mlp-medium", width=0.01, **FAST)
    found = []
    for name in ("a", "b"):
        monkeypatch.setenv("PAPERLIB_OUTPUT", str(tmp_path / name))
        found.append(numbers(run(trial, Layout.of("scratch"))))
    assert found[0] == found[1]
    other = run(trial.model_copy(update={"seed": 1}), Layout.of("scratch"))
    assert numbers(other)["curve"] != found[0]["curve"]


@pytest.mark.usefixtures("tiny_images")
def test_post_training_shares_the_dense_training(layout: Layout) -> None:
    trial = Trial(method="post-training", sparsity=0.5, scope="layerwise", **FAST)
    record = run(trial, layout)
    dense = run(dense_baseline(trial), layout)
    assert record.shared_training == dense.id
    assert record.curve == dense.curve
    assert record.train_s == dense.train_s
    assert dense.test is not None and record.test is not None and record.test.loss != dense.test.loss


@pytest.mark.usefixtures("tiny_images")
def test_post_training_survives_a_lost_checkpoint_and_names_a_damaged_one(layout: Layout) -> None:
    trial = Trial(method="post-training", sparsity=0.5, **FAST)
    first = run(trial, layout)
    checkpoint = layout.checkpoints / f"{first.shared_training}.safetensors"
    checkpoint.unlink()
    Store(layout).path(first.id).unlink()
    assert numbers(run(trial, layout)) == numbers(first)
    checkpoint.write_bytes(b"nonsense")
    Store(layout).path(first.id).unlink()
    with pytest.raises(PaperlibError, match=r"damaged checkpoint .*delete it"):
        run(trial, layout)


@pytest.mark.usefixtures("tiny_images")
def test_run_all_computes_only_what_is_missing(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [Trial(method="random", sparsity=s, **FAST) for s in (0.0, 0.5)]
    first = run_all(trials, layout)
    calls: list[str] = []
    from paperlib.trials import runner as module

    compute = module._compute
    monkeypatch.setattr(module, "_compute", lambda trial, *rest: (calls.append(trial.id), compute(trial, *rest))[1])
    more = [*trials, Trial(method="random", sparsity=0.7, **FAST)]
    assert run_all(more, layout)[:2] == first
    assert calls == [more[2].id]


@pytest.mark.usefixtures("tiny_images")
def test_mask_at_zero_percent_equals_dense(layout: Layout) -> None:
    dense = run(Trial(**FAST), layout)
    masked = run(Trial(method="random", sparsity=0.0, **FAST), layout)
    assert masked.test == dense.test
    assert [e.train for e in masked.curve] == [e.train for e in dense.curve]


@pytest.mark.usefixtures("tiny_images")
def test_divergence_is_a_recorded_failure(layout: Layout) -> None:
    record = run(Trial(lr=1e6, epochs=3, batch_size=8), layout)
    assert record.status == "failed"
    assert record.reason is not None and "diverged" in record.reason and "lower the lr" in record.reason
    assert record.test is None and record.predictions is None
    after = run(Trial(lr=1e6, epochs=3, batch_size=8, method="post-training", sparsity=0.5), layout)
    assert after.status == "failed" and after.shared_training == record.id
    table = tidy(Store(layout).records())
    assert table["test_accuracy"].isna().all()


def test_the_typed_fields_are_those_of_a_trial() -> None:
    assert list(Fields.__annotations__) == list(Trial.model_fields)


def test_double_softmax_floor() -> None:
    # As in P's published code, softmax twice: with 10 classes the loss cannot fall below ln(1 + 9/e) = 1.461.
    from paperlib.trials.optimizers import loss_of

    sure = torch.full((4, 10), -50.0)
    sure[:, 3] = 50.0
    loss = loss_of(Trial(quirks=("double-softmax",)))(sure, torch.full((4,), 3))
    assert float(loss) == pytest.approx(1.461, abs=5e-4)


def test_evaluation_is_batched_without_changing_anything(tiny_images: ImageSet) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    images = DeviceSplit.of(tiny_images.test, "cpu")
    from paperlib.trials.images import normalise
    from paperlib.trials.training import predict

    whole = model(normalise(images.pixels))

    assert torch.allclose(predict(model, images, size=7), whole, atol=1e-4)  # sums of 36 products, in any order
    expected = (whole.argmax(1) == images.labels).double().mean().item()
    assert evaluate(model, images).accuracy == pytest.approx(expected)


def test_pixels_are_normalised_to_minus_one_and_one() -> None:
    from paperlib.trials.images import normalise

    assert torch.allclose(normalise(torch.tensor([0, 255], dtype=torch.uint8)), torch.tensor([-1.0, 1.0]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"optimizer": "sdg"}, "did you mean 'SGD'"),
        ({"options": {"momentun": 0.9}}, "did you mean 'momentum'"),
        ({"model": "mlp-smal"}, "did you mean 'mlp-small'"),
        ({"method": "sett", "sparsity": 0.5}, "did you mean 'set'"),
        ({"method": "random", "sparsity": 0.999, "width": 0.1}, "empty"),
        ({"train_images": 2}, "too few images"),
        ({"method": "set", "sparsity": 0.5, "scope": "global-threshold"}, "Erdős–Rényi"),
    ],
)
@pytest.mark.usefixtures("tiny_images")
def test_impossible_trials_leave_no_record(layout: Layout, fields: dict[str, object], message: str) -> None:
    with pytest.raises(PaperlibError, match=message) as caught:
        run(make_trial(**(FAST | fields)), layout)
    assert "\n" not in str(caught.value)
    assert not list(layout.trials.glob("*")) if layout.trials.exists() else True


def test_ids_do_not_change_with_new_defaults() -> None:
    # Pinned: a changed id would orphan every stored record.
    assert Trial().id == "44136fa355b3678a"
    assert Trial(method="set", sparsity=0.5).id == Trial(sparsity=0.5, method="set", seed=0).id
    assert Trial(seed=1).id != Trial().id


def test_command_runs_the_very_same_trial() -> None:
    import shlex

    from typer.testing import CliRunner

    trial = Trial(
        method="set", sparsity=0.5, options={"momentum": 0.9, "nesterov": True}, quirks=("swap-first",),
        schedule="cosine", augment=True, compute="bf16-channels-last", resolution=32,
    )  # fmt: skip
    words = shlex.split(trial.command("quick"))
    assert words[:2] == ["paperlib", "run"]
    from paperlib.cli.entry import app
    from paperlib.trials import runner as module

    seen: list[Trial] = []

    def spy(given: Trial, layout: Layout, **options: object) -> Record:
        seen.append(given)
        raise PaperlibError("seen enough")

    original, module.run = module.run, spy  # type: ignore[assignment]
    try:
        CliRunner().invoke(app, words[1:])
    finally:
        module.run = original
    assert seen == [trial]
