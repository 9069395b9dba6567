"""What convolutional networks add to training: schedule, augmentation, number format and layout."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.data.augmentation import crop_and_flip
from paperlib.data.imageset import ImageSet
from paperlib.models import build
from paperlib.pruners import layers_of
from paperlib.schema.trial import Trial, make_trial
from paperlib.trials import autotune, training
from paperlib.trials import images as image_batches
from paperlib.trials.runner import run
from paperlib.trials.training import DeviceSplit, fit


def images(n: int = 20, side: int = 8, channels: int = 3) -> DeviceSplit:
    pixels = torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8, generator=torch.Generator())
    return DeviceSplit(pixels, torch.arange(n) % 3)


def test_a_crop_is_a_shifted_reflected_and_maybe_mirrored_image() -> None:
    before = images(60, 16).pixels
    after = crop_and_flip(before, torch.Generator().manual_seed(0))
    mirrored = 0
    for old, new in zip(before.numpy(), after.numpy(), strict=True):
        padded = np.pad(old, ((0, 0), (2, 2), (2, 2)), mode="reflect")  # NumPy's padding is the oracle
        windows = [padded[:, y : y + 16, x : x + 16] for y in range(5) for x in range(5)]
        plain = any(np.array_equal(w, new) for w in windows)
        flipped = any(np.array_equal(w[:, :, ::-1], new) for w in windows)
        assert plain or flipped
        mirrored += flipped
    assert 15 < mirrored < 45
    assert torch.equal(after, crop_and_flip(before, torch.Generator().manual_seed(0)))
    assert not torch.equal(after, crop_and_flip(before, torch.Generator().manual_seed(1)))


@pytest.mark.parametrize("model", ["mlp-small", "resnet18"])  # NumPy's steps and torch's
def test_cosine_sets_the_rate_of_every_step(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    optimizers = []
    original = training.make_optimizer

    def spied(trial: Trial, network: nn.Module) -> torch.optim.Optimizer:
        optimizers.append(original(trial, network))
        return optimizers[-1]

    monkeypatch.setattr(training, "make_optimizer", spied)
    trial = make_trial(model=model, width=0.05, epochs=3, batch_size=8, lr=0.1, schedule="cosine")
    network = build(model, (8, 8, 3), 3, trial.width)
    seen: list[float] = []
    original_batches = DeviceSplit.batches

    def batches(self: DeviceSplit, size: int, order: object = None, augment: object = None):  # type: ignore[no-untyped-def]
        for batch in original_batches(self, size, order, augment):  # type: ignore[arg-type]
            yield batch
            if order is not None and len(optimizers) > 0:
                seen.append(optimizers[0].param_groups[0]["lr"])

    data = images()
    monkeypatch.setattr(DeviceSplit, "batches", batches)
    fit(trial, network, layers_of(network, trial), data, data)
    assert seen == pytest.approx([0.05 * (1 + math.cos(math.pi * k / 9)) for k in range(9)])


def test_training_sees_crops_and_evaluation_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(image_batches, "crop_and_flip", lambda pixels, generator: calls.append(len(pixels)) or pixels)
    trial = make_trial(model="resnet18", width=0.05, epochs=2, batch_size=8, augment=True, lr=0.01)
    network, data = build("resnet18", (8, 8, 3), 3, 0.05), images()
    fit(trial, network, layers_of(network, trial), data, data)
    assert sum(calls) == 2 * len(data)


@pytest.mark.parametrize("compute", ["fp32-channels-last", "bf16", "bf16-channels-last", "auto"])
def test_every_compute_learns_the_same_to_rounding(compute: str, layout: Layout, tiny_images: ImageSet) -> None:
    common = {"dataset": "mnist", "model": "mlp-medium", "width": 0.02, "epochs": 6, "lr": 0.1, "batch_size": 16}
    plain, other = run(make_trial(**common), layout), run(make_trial(**common, compute=compute), layout)
    assert plain.test and other.test and other.compute
    assert other.test.loss == pytest.approx(plain.test.loss, abs=0.05)
    assert compute in {other.compute.choice, "auto"}
    assert set(other.compute.step_s) == ({"fp32", "bf16"} if compute == "auto" else set())


def test_calibration_changes_neither_weights_nor_randomness() -> None:
    torch.manual_seed(0)
    network = build("resnet18", (8, 8, 3), 3, 0.05)
    weights = {name: value.clone() for name, value in network.state_dict().items()}
    state = torch.get_rng_state()
    chosen = autotune.autotune_compute(make_trial(model="resnet18", compute="auto", batch_size=8), network, images())
    assert torch.equal(state, torch.get_rng_state())
    assert set(chosen.step_s) == {"fp32", "bf16", "bf16-channels-last"}, "too narrow for fp32-channels-last"
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


def test_a_layout_in_which_torch_corrupts_memory_is_not_tried() -> None:
    narrow, wide = (build("resnet18", (8, 8, 3), 3, width) for width in (0.05, 0.125))
    assert "fp32-channels-last" in autotune.candidates(wide)
    assert "fp32-channels-last" not in autotune.candidates(narrow)
    trial = make_trial(model="resnet18", compute="fp32-channels-last")
    assert autotune.autotune_compute(trial, wide, images()).choice == "fp32-channels-last"
    assert autotune.autotune_compute(trial, narrow, images()).choice == "fp32"


def test_bf16_must_clearly_win() -> None:
    assert autotune.fastest({"fp32": 1.0, "bf16": 0.97}) == "fp32"
    assert autotune.fastest({"fp32": 1.0, "fp32-channels-last": 0.9, "bf16": 0.8}) == "bf16"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schedule": "cosin"}, "unknown schedule 'cosin'; did you mean 'cosine'?"),
        ({"compute": "fp16"}, "unknown compute 'fp16'"),
    ],
)
def test_unknown_words_name_what_is_known(fields: dict[str, str], message: str) -> None:
    with pytest.raises(PaperlibError) as caught:
        make_trial(**fields)
    assert message in str(caught.value) and "\n" not in str(caught.value)
