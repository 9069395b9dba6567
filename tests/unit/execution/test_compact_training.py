"""What becomes of weights outside a compact network: torch's own optimizers on a zero gradient are the oracle."""

import pytest
import torch
from torch import Tensor, nn

from paperlib.execution.compact_training import CompactTraining
from paperlib.pruners import MaskEnforcer, layers_of
from paperlib.schema.trial import Trial

STEPS = 450  # more than it takes a first moment to fade
OPTIMIZERS = {
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.05}),
    "adam": (torch.optim.Adam, {}),
    "adam-with-decay": (torch.optim.Adam, {"weight_decay": 0.01}),
    "slow-first-moment": (torch.optim.AdamW, {"betas": (0.999, 0.99)}),
    "no-first-moment": (torch.optim.AdamW, {"betas": (0.0, 0.99)}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-4}),
}


def network() -> nn.Sequential:
    """Its linear layer reads every filter, so columns of removed filters lie outside the compact network."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).double()


def states(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """All weights, and all that the optimizer knows of each."""
    kept = [v for p in model.parameters() for v in optimizer.state[p].values() if isinstance(v, Tensor)]
    return [*(p.detach() for p in model.parameters()), *kept]


def train(
    model: nn.Module, optimizer: torch.optim.Optimizer, schedule: torch.optim.Optimizer, steps: int,
    enforcer: MaskEnforcer | None = None,
) -> None:  # fmt: skip
    """Steps on fixed random images; schedule: the optimizer whose learning rate falls."""
    images = torch.randn(12, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for step in range(steps):
        schedule.param_groups[0]["lr"] = 1e-3 / (1 + step / 100)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), torch.arange(12) % 3).backward()
        optimizer.step()
        if enforcer is not None:
            enforcer.after_step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weights_outside_move_as_under_masks_for_hundreds_of_steps(name: str) -> None:
    kind, options = OPTIMIZERS[name]
    masks, ends = {"0": torch.arange(8) % 2 == 0}, list[list[Tensor]]()
    for compacted in (False, True):
        model = network()
        optimizer = kind(model.parameters(), lr=1e-3, **options)
        train(model, optimizer, optimizer, 5)  # dense, so that every weight has moments when the filters go
        layers = layers_of(model, Trial(method="random"))
        enforcer = MaskEnforcer(layers, optimizer)
        enforcer.set(masks)
        if compacted:
            compact = CompactTraining(model, layers, masks, optimizer)
            assert sum(p.numel() for p in compact.model.parameters()) < sum(p.numel() for p in model.parameters())
            train(compact.model, compact.optimizer, optimizer, STEPS)
            compact.scatter_back()
        else:
            train(model, optimizer, optimizer, STEPS, enforcer)
        ends.append(states(model, optimizer))
    for masked, cut in zip(*ends, strict=True):
        assert torch.allclose(masked.double(), cut.double(), rtol=1e-9, atol=1e-12)
