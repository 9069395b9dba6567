"""What pruning tutorials show, on the small perceptron: techniques, rounds, thresholds, compression, the space."""

from dataclasses import dataclass, replace

from paperlib.schema.trial import Trial, make_trial
from paperlib.studies.profiles import base, profile

MODEL = "mlp-small"
TECHNIQUES = ("post-training", "post-training-random", "iterative")
COMPRESSIONS = (2, 4, 8, 16, 32, 64)
THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2)
ALLOCATIONS = ("global", "global-threshold", "erdos-renyi")
SPACE = 0.875  # a point of the curves, where allocations differ and nothing has collapsed yet


@dataclass(frozen=True)
class Tutorial:
    """What a profile runs of the tutorial.

    datasets: of the compression curves, the first one also of all else (MNIST says little: docs/checklist.md, point 4);
    compressions: original size over remaining weights; elsewhere: techniques on the other data sets; random:
    compressions of the random technique; draws: how many random layer ratios.
    """

    seeds: int
    datasets: tuple[str, ...]
    compressions: tuple[int, ...]
    elsewhere: tuple[str, ...]
    random: tuple[int, ...]
    thresholds: tuple[float, ...]
    draws: int


_ALL = Tutorial(5, ("fashionmnist", "emnist", "cifar10"), COMPRESSIONS, TECHNIQUES, COMPRESSIONS, THRESHOLDS, 500)
TUTORIALS = {
    "smoke": Tutorial(1, ("fashionmnist",), (2, 8), (), (2,), (0.05,), 3),
    "quick": Tutorial(3, ("fashionmnist", "mnist"), COMPRESSIONS, ("post-training",), (4,), THRESHOLDS[1:4], 6),
    **dict.fromkeys(("laptop", "station"), replace(_ALL, seeds=10)),
    "paper": _ALL,
}


def tutorial_trials(profile_name: str) -> list[Trial]:
    """The trials of the tutorial tables, compression curves and the sample of the pruning space, in a profile."""
    budget = profile(profile_name).mlp[MODEL]
    plan = TUTORIALS[profile_name]
    trials: list[Trial] = []
    for dataset in plan.datasets:
        first = dataset == plan.datasets[0]
        for seed in range(plan.seeds):
            common = base(budget, dataset, MODEL, seed)
            trials.append(make_trial(common))
            trials += [
                make_trial(common, method=method, sparsity=1 - 1 / factor)
                for method in (TECHNIQUES if first else plan.elsewhere)
                for factor in (plan.random if method == "post-training-random" else plan.compressions)
            ]
            if first:
                trials += [make_trial(common, method="threshold", threshold=t) for t in plan.thresholds]
    common = base(budget, plan.datasets[0], MODEL, 0)
    common |= {"method": "post-training", "sparsity": SPACE}
    trials += [make_trial(common, scope=scope) for scope in ALLOCATIONS]
    trials += [make_trial(common, scope="random-ratios", draw=draw) for draw in range(plan.draws)]
    return list(dict.fromkeys(trials))
