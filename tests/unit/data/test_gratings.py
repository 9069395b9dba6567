"""The drawn stand-in: right shape and balance, always the same, and hard for a linear model."""

import numpy as np
import pytest
import torch
from torch import nn

from paperlib.data import DATASETS
from paperlib.data.imageset import Split
from paperlib.data.synthetic import gratings


@pytest.mark.parametrize("name", ["emnist", "cifar10", "octmnist", "visa"])
def test_shape_balance_and_repeatability(name):
    info = DATASETS[name]
    one, two = (gratings.draw(info, 28, 500, 100) for _ in range(2))
    assert one["train"].images.shape == (500, 28, 28, info.shape[2])
    counts = np.bincount(one["train"].labels, minlength=len(info.classes))
    share = np.array(info.balance or [1] * len(info.classes))
    expected = 500 * share / share.sum()
    assert (counts > 0).all() and np.abs(counts - expected).max() <= len(info.classes)
    for split in ("train", "test"):
        assert np.array_equal(one[split].images, two[split].images)
    assert not np.array_equal(one["train"].images[:100], one["test"].images)


def test_size_shrinks_with_resolution():
    assert gratings.counts_for(28, 1) == (6000, 1000)
    train, test = gratings.counts_for(224, 3)
    assert (train + test) * 224 * 224 * 3 < 110_000_000 and train >= 500


def accuracy(model: nn.Module, train: Split, test: Split, epochs: int) -> float:
    def tensor(split: Split) -> torch.Tensor:
        return torch.from_numpy(split.images).permute(0, 3, 1, 2).float() / 128 - 1

    x, y = tensor(train), torch.from_numpy(train.labels)
    optimiser = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for index in torch.randperm(len(y)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(x[index]), y[index]).backward()
            optimiser.step()
    model.eval()
    return (model(tensor(test)).argmax(1).numpy() == test.labels).mean()


def test_a_linear_model_is_clearly_below_a_convolutional_one():
    torch.manual_seed(0)
    parts = gratings.draw(DATASETS["fashionmnist"], 28, 2000, 500)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    conv = nn.Sequential(
        *(nn.Conv2d(1, 16, 5, 2), nn.BatchNorm2d(16), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, 2), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.Linear(32, 10)),
    )
    low = accuracy(linear, parts["train"], parts["test"], 6)
    high = accuracy(conv, parts["train"], parts["test"], 6)
    assert 0.15 < low < 0.6 and high > low + 0.3, (low, high)
