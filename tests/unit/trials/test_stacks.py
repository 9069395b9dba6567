"""Trials trained in a stack against the same trials trained alone, in float64: in float32 a ReLU near 0 may differ."""

import math
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.data.imageset import ImageSet, Split
from paperlib.execution.stacked import RandomSource
from paperlib.execution.steps import TorchSteps
from paperlib.models import build
from paperlib.pruners import METHODS, Layer, Masks, Method, Pruning, apply_masks, layers_of
from paperlib.schema.trial import Fields, Trial, make_trial
from paperlib.trials import stacks, training
from paperlib.trials.images import DeviceSplit
from paperlib.trials.resources import limit_threads
from paperlib.trials.stacks import Untrained, cut, fit_stack, stack_size
from paperlib.trials.training import TrainingResult, eval_logits, fit
from tests.conftest import temporarily, tiny

IMAGES = tiny(n=75)
BUDGET: Fields = {"epochs": 4, "batch_size": 16, "lr": 0.05, "options": {"momentum": 0.9, "weight_decay": 1e-3}}
TRAINED = [name for name in METHODS if METHODS[name].weights_from == "itself" and name not in {"dense", "small-dense"}]


@pytest.fixture(autouse=True)
def _double_in_three_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(stacks, "PART", 1)
    monkeypatch.setattr(training, "steps_for", TorchSteps)  # what trains alone here
    torch.set_default_dtype(torch.float64)
    with limit_threads(3):
        yield
    torch.set_default_dtype(torch.float32)


def pruned(method: str, **more: object) -> Trial:
    return make_trial({**BUDGET, "method": method, "sparsity": 0.5, **more})  # type: ignore[typeddict-item]


def untrained(trial: Trial) -> tuple[nn.Module, list[Layer]]:
    torch.manual_seed(trial.seed)
    model = build(trial.model, IMAGES.shape, len(IMAGES.classes), trial.width)
    return model, layers_of(model, trial)


def split() -> tuple[DeviceSplit, DeviceSplit]:
    return DeviceSplit.of(IMAGES.train, "cpu"), DeviceSplit.of(IMAGES.val, "cpu")


def unseen() -> DeviceSplit:
    return DeviceSplit.of(IMAGES.test, "cpu")


def alone(trial: Trial) -> tuple[nn.Module, TrainingResult]:
    model, layers = untrained(trial)
    result = fit(trial.model_copy(update={"execution": "masked"}), model, layers, *split())
    assert result.engine == "torch"
    return model, result


def stacked(trials: list[Trial]) -> list[tuple[nn.Module, TrainingResult | PaperlibError]]:
    networks = [Untrained(t, *untrained(t), RandomSource(torch.device("cpu"))) for t in trials]
    return [(x.model, result) for x, result in zip(networks, fit_stack(networks, *split(), unseen()), strict=True)]


def check(trials: list[Trial]) -> None:
    """Same curves, masks and weights, digit by digit up to rounding."""
    for trial, (model, result) in zip(trials, stacked(trials), strict=True):
        expected_model, expected = alone(trial)
        assert isinstance(result, TrainingResult) and result.engine == "stacked"
        assert result.failure == expected.failure and len(result.curve) == len(expected.curve)
        for epoch, other in zip(result.curve, expected.curve, strict=True):
            assert (epoch.swapped, epoch.removed) == (other.swapped, other.removed), (trial.method, epoch.epoch)
            for part in ("train", "val", "pruned"):
                if getattr(other, part) is not None:
                    assert getattr(epoch, part).loss == pytest.approx(getattr(other, part).loss, rel=1e-9, nan_ok=True)
                    assert getattr(epoch, part).accuracy == getattr(other, part).accuracy
        if result.failure is not None:
            continue
        assert result.masks.keys() == expected.masks.keys()
        assert all(torch.equal(mask, expected.masks[name]) for name, mask in result.masks.items())
        apply_masks(layers_of(expected_model, trial), expected.masks)
        torch.testing.assert_close(model.state_dict(), expected_model.state_dict(), rtol=1e-9, atol=1e-9)
        assert result.logits is not None
        torch.testing.assert_close(result.logits, eval_logits(expected_model, unseen()), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
@pytest.mark.parametrize(("model", "width"), [("mlp-small", 1.0), ("mlp-medium", 0.005)])
def test_every_method_learns_in_a_stack_what_it_learns_alone(model: str, width: float, optimizer: str) -> None:
    own: Fields = {"model": model, "width": width, "optimizer": optimizer, "options": {"weight_decay": 1e-3}}
    if optimizer != "SGD":
        own["lr"] = 0.005
    trials = [make_trial({**BUDGET, **own, "seed": seed}) for seed in (0, 1)]
    trials += [pruned(method, **own, seed=seed) for method in TRAINED for seed in (0, 1)]
    check(sorted(trials, key=lambda t: t.seed))


def test_every_scope_quirk_and_schedule() -> None:
    scopes = ("layerwise", "layerwise-matched", "global-threshold", "erdos-renyi", "random-ratios")
    mixed = [pruned(m, scope=s, sparsity=0.25) for m in ("pre-training", "in-training") for s in scopes]
    mixed += [pruned("set", quirks=(quirk,)) for quirk in ("stale-regrowth", "swap-first", "uniform-er")]
    check(mixed)
    check(
        [t.model_copy(update={"schedule": "cosine", "augment": True, "seed": seed}) for seed in (3, 5) for t in mixed]
    )
    check([t.model_copy(update={"quirks": ("double-softmax",)}) for t in mixed[:3]])


def test_learning_rates_optimizers_and_options_may_differ() -> None:
    options: list[Fields] = [{"lr": lr, "options": {"momentum": m}} for lr in (0.2, 0.01) for m in (0.0, 0.9)]
    options += [
        {"optimizer": "Adam", "lr": 0.01, "options": {"amsgrad": True}},
        {"options": {"nesterov": True, "momentum": 0.5}},
    ]
    check([pruned("in-training", **own, seed=seed) for seed in (0, 1) for own in options])  # type: ignore[arg-type]


def test_a_diverging_network_disturbs_no_other() -> None:
    trials = [pruned("set"), pruned("set", lr=1e8), pruned("set", lr=1e30, seed=1), pruned("set", seed=1)]
    results = [result for _, result in stacked(trials)]
    assert [isinstance(r, TrainingResult) and r.failure is not None for r in results] == [False, True, True, False]
    check(trials)
    first = results[1]
    assert isinstance(first, TrainingResult) and "diverged: training loss" in str(first.failure)
    assert len(first.curve) == 1 and not math.isfinite(first.curve[0].train.loss)


def test_a_method_that_raises_disturbs_no_other() -> None:
    class Emptied(Method):
        """Leaves nothing of a layer in the second epoch."""

        def update_masks(self, pruning: Pruning, masks: Masks, epoch: int) -> Masks:
            return {x.name: torch.zeros(x.mask_shape, dtype=torch.bool) for x in pruning.targets} if epoch else masks

    trials = [pruned("random"), pruned("emptied"), pruned("random", seed=1)]
    with temporarily(METHODS, "emptied", Emptied):
        results = [result for _, result in stacked(trials)]
    assert isinstance(results[1], PaperlibError) and "without any active unit" in str(results[1])
    check([trials[0], trials[2]])
    assert isinstance(results[0], TrainingResult) and isinstance(results[2], TrainingResult)


def images_of(train: int) -> ImageSet:
    """MNIST's shape and classes."""
    part = Split(np.zeros((train, 28, 28, 1), np.uint8), np.zeros(train, np.int64))
    few = part.take(np.arange(1))
    return ImageSet("blank", part, few, few, tuple("0123456789"), IMAGES.provenance)


@pytest.mark.parametrize(
    ("given", "train", "size"),
    [
        ({"epochs": 10, "batch_size": 64}, 60_000, 64),
        ({"epochs": 100, "batch_size": 64}, 60_000, 20),  # 2.9 s each
        ({"epochs": 100, "batch_size": 512}, 60_000, 20),
        ({"epochs": 100, "batch_size": 64}, 6_000, 64),
        ({"epochs": 10, "batch_size": 4}, 60_000, 12),  # 16 times as many steps
        ({"epochs": 5_000, "batch_size": 4}, 60_000, 1),
        ({"epochs": 10, "batch_size": 64, "model": "mlp-medium", "width": 0.02}, 60_000, 40),  # 5.1 times as large
        ({"epochs": 1, "batch_size": 64, "model": "mlp-medium"}, 600, 1),  # at its full width
    ],
)  # fmt: skip
def test_the_size_of_a_stack_follows_from_its_work(given: Fields, train: int, size: int) -> None:
    assert stack_size(make_trial(given), images_of(train), "cpu") == size


def test_a_stack_takes_at_most_a_quarter_of_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    each = 4 * (8 * 13_002 + 2 * 6_000 * 10)  # eight copies of the parameters, logits twice
    monkeypatch.setattr(stacks.psutil, "virtual_memory", lambda: SimpleNamespace(available=4 * 7.5 * each))
    assert stack_size(make_trial(epochs=1), images_of(6_000), "cpu") == 7


@pytest.mark.parametrize(
    ("seeds", "stacks_of_seeds"),
    [
        ([0] * 7, ["000", "000", "0"]),
        ([0, 0, 1, 1, 2], ["00", "112"]),
        ([0, 1, 2], ["012"]),
        ([0, 0, 0, 0, 1, 1], ["000", "011"]),
    ],
)
def test_stacks_are_cut_between_seeds_where_that_is_possible(seeds: list[int], stacks_of_seeds: list[str]) -> None:
    trials = [Trial(seed=seed, lr=0.1 + n) for n, seed in enumerate(seeds)]
    stacks_cut = list(cut(trials, 3))
    assert ["".join(str(t.seed) for t in stack) for stack in stacks_cut] == stacks_of_seeds
    assert [t for stack in stacks_cut for t in stack] == trials
