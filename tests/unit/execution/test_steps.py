"""NumPy steps against torch's autograd and optimiser."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paperlib.execution.steps import NumpySteps, TorchSteps, steps_for
from paperlib.models.mlp import build_mlp
from paperlib.pruners import METHODS, MaskEnforcer, Pruning, layers_of
from paperlib.schema.trial import Trial


@pytest.mark.parametrize("sparsity", [None, 0.0, 0.5])
@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize(("widths", "batch"), [((1,), 1), ((16, 16), 4), ((20, 3, 7, 12), 17)])
def test_numpy_steps_equal_torch_steps(
    widths: tuple[int, ...], batch: int, momentum: float, decay: float, sparsity: float | None
) -> None:
    """In float64: in float32 a ReLU near 0 may take the other side."""
    torch.manual_seed(0)
    model = build_mlp(30, widths, 4).double()
    batches = [(torch.randn(n, 1, 5, 6).double(), torch.randint(4, (n,))) for n in (batch, batch, batch, 1)]
    expected, results = (
        _two_epochs(kind, copy.deepcopy(model), batches, momentum, decay, sparsity) for kind in (TorchSteps, NumpySteps)
    )
    torch.testing.assert_close(results, expected, rtol=1e-8, atol=1e-10)


def _two_epochs(
    kind: type, model: nn.Module, batches: list[tuple[Tensor, Tensor]], momentum: float, decay: float,
    sparsity: float | None,
) -> list[Tensor]:  # fmt: skip
    """Logits of two epochs, the second with other masks, then weights and momentum."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=momentum, weight_decay=decay)
    trial = Trial(method="random", sparsity=sparsity or 0.0)
    layers = layers_of(model, trial)
    enforcer = MaskEnforcer(layers, optimizer)
    loss = (F.cross_entropy,) if kind is TorchSteps else ()
    steps, logits = kind(model, optimizer, enforcer, *loss), []
    for epoch in range(2):
        if sparsity is not None:
            pruning = Pruning(trial, layers, torch.Generator().manual_seed(epoch))
            enforcer.set(METHODS["random"]().initial_masks(pruning))
        logits.append(steps.epoch(batches))
    weights = [p.detach() for p in model.parameters()]
    return [*logits, *weights, *(optimizer.state[p]["momentum_buffer"] for p in model.parameters() if momentum)]


@pytest.mark.parametrize(
    ("model", "options", "loss"),
    [
        (build_mlp(30, (8,), 4), {"nesterov": True, "momentum": 0.9}, F.cross_entropy),
        (build_mlp(30, (8,), 4, dropout=0.3), {}, F.cross_entropy),
        (build_mlp(30, (8,), 4), {}, lambda x, y: F.cross_entropy(x.softmax(1), y)),
        (build_mlp(30, (8,), 4).double(), {}, F.cross_entropy),
        (nn.Sequential(nn.Flatten(), nn.Linear(30, 4), nn.Tanh(), nn.Linear(4, 4)), {}, F.cross_entropy),
    ],
)
def test_anything_else_takes_torch(model: nn.Module, options: dict[str, float], loss: object) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **options)
    enforcer = MaskEnforcer([], optimizer)
    assert isinstance(steps_for(model, optimizer, enforcer, loss), TorchSteps)  # type: ignore[arg-type]


def test_a_small_mlp_with_plain_sgd_takes_numpy() -> None:
    model = build_mlp(784, (16, 16), 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)
    assert isinstance(steps_for(model, optimizer, MaskEnforcer([], optimizer), F.cross_entropy), NumpySteps)
