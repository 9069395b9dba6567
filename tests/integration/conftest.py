"""A small, real run of the perceptron that several files look at."""

import shutil
from pathlib import Path

import pytest

from paperlib.core.paths import Layout
from paperlib.exhibits.results import Source
from paperlib.schema.trial import make_trial
from tests import measured_costs
from tests.conftest import tiny, train

FAST = {"epochs": 2, "batch_size": 16, "dataset": "mnist"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of dense, the 0 % control, and two methods at 50 % in two scopes."""
    trials = []
    for seed in range(2):
        trials += [make_trial(**FAST, seed=seed), make_trial(**FAST, seed=seed, method="random")]
        trials += [
            make_trial(**FAST, seed=seed, method=method, sparsity=0.5, scope=scope)
            for method in ("pre-training", "set")
            for scope in ("global", "layerwise")
        ]
    trials.append(make_trial(**FAST, method="set", sparsity=0.5, quirks=("swap-first",)))
    return train(trials, tiny(), tmp_path_factory.mktemp("trained"))


@pytest.fixture
def made(layout: Layout, trained: Path, tiny_images: object) -> Source:
    shutil.copytree(trained, layout.results)
    measured_costs.write(layout)
    return Source.of(layout)
