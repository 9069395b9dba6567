"""Which steps train what; `test_stacked` holds those of stacks, of one network too, against torch's."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from paperlib.execution.stacked import Loss
from paperlib.execution.steps import StackOfOne, TorchSteps, steps_for
from paperlib.models.mlp import build_mlp
from paperlib.pruners import MaskEnforcer

OF_ANOTHER_KIND = nn.Sequential(nn.Flatten(), nn.Linear(30, 4), nn.Tanh(), nn.Linear(4, 4))


def double_softmax(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits.softmax(1), labels)


@pytest.mark.parametrize(
    ("model", "optimizer", "loss", "bf16", "kind"),
    [
        (build_mlp(784, (16, 16), 10), torch.optim.SGD, F.cross_entropy, False, StackOfOne),
        (build_mlp(30, (8,), 4, dropout=0.3), torch.optim.AdamW, double_softmax, False, StackOfOne),
        (build_mlp(30, (8,), 4), torch.optim.SGD, F.cross_entropy, True, TorchSteps),
        (build_mlp(30, (8,), 4), torch.optim.RMSprop, F.cross_entropy, False, TorchSteps),
        (build_mlp(784, (250,), 10), torch.optim.SGD, F.cross_entropy, False, StackOfOne),
        (build_mlp(784, (300,), 10), torch.optim.SGD, F.cross_entropy, False, TorchSteps),
        (OF_ANOTHER_KIND, torch.optim.SGD, F.cross_entropy, False, TorchSteps),
    ],
)  # fmt: skip
def test_small_perceptrons_take_the_steps_of_stacks_and_all_else_takes_torch(
    model: nn.Module, optimizer: type[torch.optim.SGD], loss: Loss, bf16: bool, kind: type
) -> None:
    updates = optimizer(model.parameters(), lr=0.1)
    assert isinstance(steps_for(model, updates, MaskEnforcer([], updates), loss, bf16), kind)
