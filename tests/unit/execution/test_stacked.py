"""Stacks of perceptrons against torch's autograd and optimizers, network by network."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from paperlib.execution.perceptron import is_perceptron
from paperlib.execution.stacked import Network, RandomSource, StackedSteps
from paperlib.execution.steps import TorchSteps
from paperlib.models.mlp import build_mlp
from paperlib.pruners import METHODS, MaskEnforcer, Pruning, layers_of
from paperlib.schema.trial import Trial

SETTINGS = [
    (torch.optim.SGD, {"lr": 0.1}),
    (torch.optim.SGD, {"lr": 0.02, "momentum": 0.9, "weight_decay": 0.01}),
    (torch.optim.SGD, {"lr": 0.05, "momentum": 0.5, "nesterov": True}),
    (torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.01}),
    (torch.optim.AdamW, {"lr": 0.02}),
]


def network(seed: int, setting: int, widths: tuple[int, ...], dropout: float) -> tuple[Network, Trial]:
    torch.manual_seed(seed)
    model = build_mlp(30, widths, 4, dropout).double()
    kind, options = SETTINGS[setting]
    optimizer, trial = kind(model.parameters(), **options), Trial(method="random", sparsity=0.1 * (seed % 5))
    enforcer = MaskEnforcer(layers_of(model, trial), optimizer)
    return Network(model, optimizer, enforcer, RandomSource(torch.device("cpu"))), trial


def renew_masks(member: Network, trial: Trial, epoch: int) -> None:
    pruning = Pruning(trial, member.enforcer.layers, torch.Generator().manual_seed(epoch))
    if trial.sparsity:
        member.enforcer.set(METHODS["random"]().initial_masks(pruning))


def state(member: Network) -> list[Tensor]:
    kept = [v for p in member.model.parameters() for v in member.optimizer.state[p].values()]
    return [*member.model.state_dict().values(), *(v for v in kept if isinstance(v, Tensor) and v.dim())]


@settings(deadline=None, max_examples=40)
@given(
    runs=st.lists(
        st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=4), min_size=1, max_size=3
    ),
    widths=st.lists(st.integers(1, 9), max_size=3).map(tuple),
    dropout=st.sampled_from([0.0, 0.3]),
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4),
    double_softmax=st.booleans(),
)  # fmt: skip
def test_a_stack_takes_the_steps_that_each_network_takes_alone(
    runs: list[list[tuple[int, int]]], widths: tuple[int, ...], dropout: float, sizes: list[int], double_softmax: bool
) -> None:
    loss = (lambda x, y: F.cross_entropy(x.softmax(1), y)) if double_softmax else F.cross_entropy
    dropout = dropout if widths else 0.0
    members = [network(*n, widths, dropout) for run in runs for n in run]
    singles = copy.deepcopy([network(*n, widths, dropout) for run in runs for n in run])
    source = torch.Generator().manual_seed(0)
    batches = [
        [
            (torch.randn(n, 1, 5, 6, dtype=torch.float64, generator=source), torch.randint(4, (n,), generator=source))
            for n in sizes
        ]
        for _ in runs
    ]
    steps = StackedSteps([m for m, _ in members], loss, [len(run) for run in runs])
    logits = list[Tensor]()
    for epoch in range(2):
        for member, trial in members:
            renew_masks(member, trial, epoch)
        logits.append(steps.epoch(*batches))
    place = 0
    for run, own in zip(runs, batches, strict=True):
        for _ in run:
            single, trial = singles[place]
            alone = TorchSteps(single.model, single.optimizer, single.enforcer, loss)
            single.model.train()
            with single.random.active():  # type: ignore[union-attr]
                for epoch in range(2):
                    renew_masks(single, trial, epoch)
                    torch.testing.assert_close(logits[epoch][place], alone.epoch(own), rtol=1e-9, atol=1e-10)
            torch.testing.assert_close(state(members[place][0]), state(single), rtol=1e-9, atol=1e-10)
            single.model.eval()
            expected = torch.cat([single.model(pixels) for pixels, _ in own])
            torch.testing.assert_close(steps.predict(own)[place], expected, rtol=1e-9, atol=1e-10)
            place += 1


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 4, bias=False)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4), nn.Dropout(0.1), nn.Linear(4, 4)),
        nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(4, 4)),
        nn.Sequential(nn.Linear(4, 4)),
        nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.ReLU()),
    ],
)  # fmt: skip
def test_what_is_no_plain_perceptron_cannot_be_stacked(model: nn.Module) -> None:
    assert not is_perceptron(model)
