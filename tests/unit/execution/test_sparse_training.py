"""Sparse training against masked training, torch's numerical gradients, and what it holds in memory."""

import pytest
import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.sparse_training import Linear, SparseTraining
from paperlib.models.mlp import build_mlp
from paperlib.pruners import METHODS, MaskEnforcer, Pruning, layers_of
from paperlib.schema.trial import Trial

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3}),
    "adam": (torch.optim.Adam, {"lr": 2e-3, "weight_decay": 1e-3}),
    "adamw": (torch.optim.AdamW, {"lr": 2e-3, "weight_decay": 0.05}),
    "fused": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "nesterov": True, "fused": True}),
}


def two_epochs(name: str, method: str, dtype: torch.dtype, sparse: bool) -> tuple[list[float], list[Tensor]]:
    """Losses of all steps, then weights and optimizer state, with a schedule, dropout and a short last batch."""
    torch.manual_seed(0)
    model = build_mlp(200, (150, 140), 5, dropout=0.3).to(dtype)
    kind, options = OPTIMIZERS[name]
    optimizer, trial = kind(model.parameters(), **options), Trial(method=method, sparsity=0.8)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)
    images, labels, losses = torch.randn(150, 200).to(dtype), torch.arange(150) % 5, []
    layers = layers_of(model, trial)
    pruning, enforcer = Pruning(trial, layers, torch.Generator().manual_seed(1)), MaskEnforcer(layers, optimizer)
    pruner = METHODS[method]()
    masks = pruner.initial_masks(pruning)
    for epoch in range(2):
        masks = pruner.update_masks(pruning, masks, epoch)
        enforcer.set(masks)
        training = SparseTraining(model, masks, optimizer) if sparse else None
        network, steps = (training.model, training.optimizer) if training else (model, optimizer)
        for part in torch.randperm(150).split(64):
            loss = nn.functional.cross_entropy(network(images[part]), labels[part])
            loss.backward()
            steps.step()
            steps.zero_grad()
            if training is None:
                enforcer.after_step()
            schedule.step()
            losses.append(loss.item())
        if training is not None:
            training.scatter_back()
    state = [v for p in model.parameters() for v in optimizer.state[p].values() if isinstance(v, Tensor)]
    return losses, [*(p.detach() for p in model.parameters()), *state]


@pytest.mark.parametrize("method", ["set", "random"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_curves_weights_and_state_are_those_of_masked_training(name: str, method: str) -> None:
    (masked, left), (sparse, right) = (two_epochs(name, method, torch.float64, sparse) for sparse in (False, True))
    assert sparse == pytest.approx(masked, rel=1e-6) and masked[-1] != masked[0]
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-6, atol=1e-9)


def test_a_convolutional_network_keeps_its_other_layers() -> None:
    ends = list[list[Tensor]]()
    for sparse in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(),
            nn.Sequential(nn.Dropout(0.2), nn.Linear(144, 30), nn.Dropout(0.4), nn.ReLU(True), nn.Linear(30, 3)),
        ).double()  # fmt: skip
        optimizer, images = torch.optim.AdamW(model.parameters()), torch.randn(20, 1, 8, 8).double()
        enforcer = MaskEnforcer(layers_of(model, Trial(method="random")), optimizer)
        enforcer.set({"4.1": torch.rand(30, 144) < 0.2})
        training = SparseTraining(model, enforcer.masks, optimizer) if sparse else None
        network, steps = (training.model, training.optimizer) if training else (model, optimizer)
        for _ in range(5):
            nn.functional.cross_entropy(network(images), torch.arange(20) % 3).backward()
            steps.step()
            steps.zero_grad()
            if training is None:
                enforcer.after_step()
        if training is not None:
            training.scatter_back()
        ends.append([*model.state_dict().values()])
    for masked, cut in zip(*ends, strict=True):
        torch.testing.assert_close(cut, masked, rtol=1e-9, atol=1e-12)


def test_float32_stays_within_rounding_of_masked_training() -> None:
    (masked, left), (sparse, right) = (two_epochs("sgd", "set", torch.float32, sparse) for sparse in (False, True))
    assert sparse == pytest.approx(masked, rel=1e-4)
    for a, b in zip(left, right, strict=True):
        torch.testing.assert_close(b, a, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 5, 16, 70])
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_the_numerical_ones(batch: int, bias: bool) -> None:
    layer, kept = nn.Linear(21, 9, bias=bias).double(), torch.rand(9, 21) < 0.3
    layer.weight.data[~kept] = 0
    sparse, x = Linear(layer, kept), torch.randn(batch, 21, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(sparse(x), layer(x))
    assert torch.autograd.gradcheck(lambda x, *_: sparse(x).sin(), (x, *sparse.parameters()), fast_mode=batch > 5)


def test_removed_weights_take_no_memory_and_the_rest_is_shared() -> None:
    model = build_mlp(300, (200,), 10)
    optimizer = torch.optim.Adam(model.parameters())
    masks = {"fc1": torch.rand(200, 300) < 0.1}
    model.fc1.weight.data[~masks["fc1"]] = 0
    training = SparseTraining(model, masks, optimizer)
    training.model(torch.randn(64, 1, 300)).sum().backward()
    training.optimizer.step()
    kept, layer = int(masks["fc1"].sum()), training.model.get_submodule("fc1")
    assert isinstance(layer, Linear) and layer.values.shape == layer.values.grad.shape == (kept,)
    assert training.optimizer.state[layer.values]["exp_avg_sq"].shape == (kept,)
    size = sum(t.nbytes for t in layer.buffers())
    assert size < 6 * kept + 16 * 1000  # offsets forth, offsets and places back; rows and tiles
    assert training.model.get_parameter("out.weight") is model.get_parameter("out.weight")


@pytest.mark.parametrize(
    ("model", "kind", "said"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3)), torch.optim.SGD, "linear layers, not '0'"),
        (nn.Sequential(nn.Linear(4, 4)), torch.optim.RMSprop, "not RMSprop"),
    ],
)
def test_what_it_does_not_know_is_one_clear_line(
    model: nn.Sequential, kind: type[torch.optim.Optimizer], said: str
) -> None:
    with pytest.raises(PaperlibError, match=said):
        SparseTraining(model, {"0": torch.ones(4, dtype=torch.bool)}, kind(model.parameters(), lr=0.1))
