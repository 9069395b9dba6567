"""The baselines against brute force, and a method of a user's own."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from paperlib.core.paths import Layout
from paperlib.data.imageset import ImageSet
from paperlib.models.mlp import build_mlp
from paperlib.pruners import METHODS, Masks, Method, Pruning, layers_of
from paperlib.schema.trial import Trial
from paperlib.trials.runner import run
from paperlib.trials.training import DeviceSplit, fit
from tests.conftest import temporarily

FAST = {"epochs": 4, "lr": 0.05, "batch_size": 16}


def test_rigl_grows_where_a_brute_force_gradient_is_largest() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 4))
    trial = Trial(method="rigl", sparsity=0.5)
    layers = layers_of(model, trial)
    x, y = torch.randn(20, 12), torch.randint(4, (20,))

    def gradients() -> dict[str, torch.Tensor]:
        grads = torch.autograd.grad(F.cross_entropy(model(x), y), [m.module.weight for m in layers])
        return {layer.name: g for layer, g in zip(layers, grads, strict=True)}

    pruning = Pruning(trial, layers, torch.Generator().manual_seed(0), gradients)
    method = METHODS["rigl"]()
    mask = method.initial_masks(pruning)["0"]
    grown = set(method.grow(pruning, layers[0], mask.flatten(), 5).tolist())
    slopes = {}
    for i in torch.nonzero(~mask.flatten()).flatten().tolist():
        weight = model[0].weight.data.view(-1)
        kept, step = weight[i].item(), 1e-2
        losses = []
        for value in (kept + step, kept - step):
            weight[i] = value
            losses.append(F.cross_entropy(model.double()(x.double()), y).item())
            model.float()
            weight = model[0].weight.data.view(-1)
        weight[i] = kept
        slopes[i] = abs(losses[0] - losses[1]) / (2 * step)
    assert grown == set(sorted(slopes, key=lambda i: -slopes[i])[:5])


@pytest.mark.parametrize("method", ["set", "rigl", "in-training"])
def test_filters_that_come_back_can_learn(method: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 10, 3), nn.BatchNorm2d(10), nn.ReLU(), nn.Flatten(), nn.Linear(10 * 16, 3))
    trial = Trial(method=method, conv_sparsity=0.5, epochs=2, batch_size=8, lr=0.05)
    layers = layers_of(model, trial)
    initial = model[0].weight.detach().clone()
    rng = np.random.default_rng(0)
    images = DeviceSplit(torch.from_numpy(rng.integers(0, 256, (64, 1, 6, 6), dtype=np.uint8)), torch.arange(64) % 3)

    seen: list[Masks] = []
    kind = METHODS[method]

    class Spy(kind):  # type: ignore[misc, valid-type]
        def update_masks(self, pruning: Pruning, masks: Masks, epoch: int) -> Masks:
            seen.append(super().update_masks(pruning, masks, epoch))
            return seen[-1]

    with temporarily(METHODS, "spy", Spy):
        fit(trial.model_copy(update={"method": "spy"}), model, layers, images, images)
    regrown = seen[1]["0"] & ~seen[0]["0"]
    assert regrown.any()
    moved = (model[0].weight.detach() - initial).abs().flatten(1).sum(1)
    assert bool((moved[regrown] > 0).all()), "a regrown filter starts at its initial values and trains on"
    assert not model[0].weight[~seen[1]["0"]].any()
    assert not model[1].weight[~seen[1]["0"]].any()


def test_gradual_follows_the_cubic_schedule() -> None:
    model = build_mlp(40, (30, 30), 5)
    trial = Trial(method="magnitude-gradual", sparsity=0.8, epochs=8)
    pruning = Pruning(trial, layers_of(model, trial), torch.Generator())
    reached = []
    masks: Masks = {}
    for epoch in range(8):
        new = METHODS["magnitude-gradual"]().update_masks(pruning, masks, epoch)
        for name, mask in masks.items():
            with torch.no_grad():
                dict(model.named_modules())[name].weight.mul_(mask)
            assert not (new[name] & ~mask).any() or epoch <= 1, "what is gone stays gone"
        masks = new
        reached.append(float(np.mean([(~m).float().mean() for m in masks.values()])))
    expected = [0.8 * (1 - (1 - min(1, e / 6)) ** 3) for e in range(8)]
    assert reached == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("sparsity", [0.5, 0.8, 0.9])
@pytest.mark.usefixtures("tiny_images")
def test_small_dense_has_as_many_parameters_as_the_pruned_net_keeps(layout: Layout, sparsity: float) -> None:
    fields = {"model": "mlp-medium", "width": 0.1, "sparsity": sparsity, **FAST}
    small = run(Trial(method="small-dense", **fields), layout)
    pruned = run(Trial(method="random", **fields), layout)
    assert small.network is not None and pruned.network is not None
    kept = pruned.network.parameters - pruned.network.zeros
    assert small.network.parameters == pytest.approx(kept, rel=0.01)
    assert small.network.zeros == 0


def test_majority_scores_what_its_formula_says(layout: Layout, tiny_images: ImageSet) -> None:
    record = run(Trial(method="majority"), layout)
    assert record.test is not None
    share = np.bincount(tiny_images.test.labels) / len(tiny_images.test)
    assert record.test.accuracy == pytest.approx(share[np.bincount(tiny_images.train.labels).argmax()])
    assert record.test.auc == pytest.approx(0.5)
    assert record.train_s is None and record.curve == ()


@pytest.mark.usefixtures("tiny_images")
def test_a_method_of_ones_own_is_one_class(layout: Layout) -> None:
    class Checkerboard(Method):
        """Every second weight goes."""

        def initial_masks(self, pruning: Pruning) -> Masks:
            return {
                layer.name: (torch.arange(layer.units) % 2 == 0).reshape(layer.mask_shape) for layer in pruning.targets
            }

    with temporarily(METHODS, "checkerboard", Checkerboard):
        record = run(Trial(method="checkerboard", sparsity=0.5, **FAST), layout)
    assert record.network is not None and record.network.scope_sparsity == 0.5
    assert record.status == "done"
