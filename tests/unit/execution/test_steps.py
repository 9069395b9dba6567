"""NumPy steps against torch's autograd and optimiser."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from paperlib.execution.steps import NumpySteps, TorchSteps, steps_for
from paperlib.models.mlp import mlp
from paperlib.pruners import METHODS, MaskEnforcer, Pruning, layers_of
from paperlib.schema.trial import Trial


@given(
    widths=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    batch=st.integers(1, 17),
    momentum=st.sampled_from([0.0, 0.9]),
    decay=st.sampled_from([0.0, 0.01]),
    sparsity=st.sampled_from([None, 0.0, 0.5]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_numpy_steps_equal_torch_steps(
    widths: list[int], batch: int, momentum: float, decay: float, sparsity: float | None, seed: int
) -> None:
    torch.manual_seed(seed)
    models = [mlp(30, tuple(widths), 4).double()]  # in float32 a ReLU near 0 may take the other side
    models.append(copy.deepcopy(models[0]))
    batches = [(torch.randn(batch, 1, 5, 6).double(), torch.randint(4, (batch,))) for _ in range(4)]
    batches.append((torch.randn(1, 1, 5, 6).double(), torch.tensor([2])))  # a last batch that is not full
    found = []
    for model, kind in zip(models, (TorchSteps, NumpySteps), strict=True):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum, weight_decay=decay)
        trial = Trial(method="random", sparsity=sparsity or 0.0)
        layers = layers_of(model, trial)
        keeper = MaskEnforcer(layers, optimizer)
        steps = (
            kind(model, optimizer, keeper, F.cross_entropy) if kind is TorchSteps else kind(model, optimizer, keeper)
        )
        for round_ in range(2):
            if sparsity is not None:
                pruning = Pruning(trial, layers, torch.Generator().manual_seed(seed + round_))
                keeper.set(METHODS["random"]().initial_masks(pruning))
            found.append(steps.epoch(batches))
        found += [p.detach().clone() for p in model.parameters()]
        found += [optimizer.state[p]["momentum_buffer"] for p in model.parameters() if momentum]
    half = len(found) // 2
    for theirs, ours in zip(found[:half], found[half:], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("model", "options", "loss"),
    [
        (mlp(30, (8,), 4), {"nesterov": True, "momentum": 0.9}, F.cross_entropy),
        (mlp(30, (8,), 4, dropout=0.3), {}, F.cross_entropy),
        (mlp(30, (8,), 4), {}, lambda x, y: F.cross_entropy(x.softmax(1), y)),
        (mlp(30, (8,), 4).double(), {}, F.cross_entropy),
        (nn.Sequential(nn.Flatten(), nn.Linear(30, 4), nn.Tanh(), nn.Linear(4, 4)), {}, F.cross_entropy),
    ],
)
def test_anything_else_takes_torch(model: nn.Module, options: dict[str, float], loss: object) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **options)
    keeper = MaskEnforcer([], optimizer)
    assert isinstance(steps_for(model, optimizer, keeper, loss), TorchSteps)  # type: ignore[arg-type]


def test_a_small_mlp_with_plain_sgd_takes_numpy() -> None:
    model = mlp(784, (16, 16), 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)
    assert isinstance(steps_for(model, optimizer, MaskEnforcer([], optimizer), F.cross_entropy), NumpySteps)
