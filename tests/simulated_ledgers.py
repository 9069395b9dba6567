"""Simulated ledgers with known truth, by claim: tables of the arms that a claim asks for, and nothing else."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from paperlib.claims import CLAIMS
from paperlib.claims.evidence import Asked
from paperlib.claims.missing import asked_by
from paperlib.claims.settings import METHODS, Setting, dense_of, grid_f
from paperlib.data.registry import DOERRICH
from tests import claim_records as made

COSTS = "time", "energy", "memory", "inference", "inference_energy", "inference_memory"
Truth = Callable[[Setting], dict[str, float]]


class Given(NamedTuple):
    """What both tables say of one truth."""

    tidy: pd.DataFrame
    costs: pd.DataFrame


def pruned(factor: float, **scores: float) -> Truth:
    """All pruned arms cost `factor` of dense and have these scores."""
    changed = dict.fromkeys(COSTS, factor) | {"stored": factor} | scores
    return lambda s: changed if s.conv or s.linear else {}


def by(key: Callable[[Setting], object], **values: dict[object, float]) -> Truth:
    """Each quantity by what `key` says of an arm; nothing where it says something else."""
    return lambda s: {name: of[key(s)] for name, of in values.items() if key(s) in of}


def scenario(s: Setting) -> str:
    return {0.8: "i", 0.5: "ii"}.get(s.conv, "iii") if s.linear else "dense"


def method(s: Setting) -> str:
    return s.method


def network(s: Setting) -> str:
    return f"{scenario(s)} {s.model}"


def costing(key: Callable[[Setting], object], factors: dict[object, float]) -> Truth:
    return by(key, **dict.fromkeys(COSTS, factors))


def faster(model: str, factor: float) -> Truth:
    """A network that takes `factor` of the seconds and joules, dense or pruned."""
    return lambda s: {"level_s": factor, "level_j": factor} if s.model == model else {}


GENERAL: dict[str, Truth] = {
    "cheaper": pruned(0.8),
    "better": pruned(0.8, accuracy=0.93),
    "dearer": pruned(1.5, accuracy=0.3, last_train_loss=1.0),
    "equal": pruned(1.0),
}
COLLAPSED = {"best_train_accuracy": 0.19, "first_train_loss": 2.05, "last_train_loss": 2.0}
# Further truths, where those do not reach every word.
SPECIAL: dict[str, tuple[Truth, ...]] = {
    "A1": (pruned(0.67, accuracy=0.8951),),
    "A3": tuple(costing(lambda s: s.scope, {"layerwise": x}) for x in (0.8, 1.5)),
    "C2": (lambda s: {"inference_memory": 0.8, "stored": 0.8} if s.linear else {},),
    "C3": (lambda s: {"accuracy": DOERRICH["bloodmnist", s.model][28][0] / 100 + 0.02},),
    "C5": (lambda s: {"accuracy": 0.86},),
    "C9": tuple(by(method, accuracy={"post-training": x}) for x in (0.8, 0.95)),
    "C15": (by(lambda s: s.conv > 0, accuracy={True: 0.2}), by(lambda s: s.conv, accuracy={0.95: 0.2})),
    "C19": (lambda s: COLLAPSED,),
    "C20": (lambda s: {"best_train_accuracy": 0.5},),
    "C21": tuple(by(scenario, best_train_accuracy={"i": x, "ii": y}) for x, y in ((0.5, 0.8), (0.8, 0.5))),
    "C24": (lambda s: COLLAPSED,),
    "C25": (lambda s: {"last_train_loss": 0.35},),
    "C26": (by(lambda s: s.dataset, train_loss_falling={"visa": 0.5}),),
    "C28": (costing(method, {"set": 1.5, "in-training": 1.5}),),
    "C31": (costing(method, {"pre-training": 1.5, "in-training": 1.5}),),
    "C34": (faster("resnet18", 2.0),),
    "C35": (faster("resnet18", 0.5), faster("resnet18", 2.0)),
    "C36": tuple(by(scenario, accuracy={"i": x}) for x in (0.8, 0.95)),
    "C37": (by(network, accuracy={"i vgg16": 0.1, "i resnet18": 0.2}),),
    "C39": (lambda s: {"accuracy": 0.92},),
    "C40": tuple(
        lambda s, x=x: {"accuracy": 0.8 if s.model == "vgg16" else 0.8 + (-x if s.method == "post-training" else x)}
        for x in (0.1, -0.1)
    ),
    "C41": (by(scenario, accuracy={"i": 0.1, "iii": 0.95}),),
    "C42": tuple(by(scenario, accuracy={"i": x, "ii": 0.8, "iii": y}) for x, y in ((0.7, 0.9), (0.9, 0.7))),
    "C47": (faster("resnet18", 0.5), faster("resnet18", 2.0)),
    "C50": (costing(method, {"pre-training": 0.8, "set": 0.8}),),
    "C51": (costing(method, {"pre-training": 1.3, "in-training": 1.3, "set": 0.8}),),
    "C54": (faster("resnet18", 0.5), faster("resnet18", 2.0)),
    "C57": (by(scenario, accuracy={"i": 0.1}),),
    "C59": tuple(
        lambda s, turn=turn: {
            "time": (x := 1 + 0.1 * METHODS.index(s.method) if s.linear else 1.0), "energy": x**turn
        }
        for turn in (1, -1)
    ),
    "C61": (costing(scenario, {"ii": 0.9, "iii": 0.7}),),
    "C62": tuple(costing(method, {"set": x}) for x in (0.7, 1.5)),
}  # fmt: skip
JOULES = {  # of F's two networks, as factors on the simulated ones: 50 epochs of 0.1 J an image
    "C48": {"vgg16": 2.7e6 / 350_000, "resnet18": 1.1e6 / 350_000},
    "C49": {"vgg16": 0.6e6 / 59_795, "resnet18": 0.2e6 / 59_795},
}
ON_A100 = "C43", "C45", "C48", "C49"  # or on any GPU
ON_BOTH = tuple(grid_f((*METHODS, "dense")))


@cache
def base(arms: tuple[Setting, ...], costs: tuple[Setting, ...], gpu: str | None = None, seeds: int = 3) -> Given:
    """Three seeds and processes of these arms, all equal to dense."""
    device = "cuda" if gpu else "cpu"
    tidy = (
        made.table(arms=list(dict.fromkeys([*arms, *map(dense_of, arms)])), seeds=seeds, noise=0)
        if arms
        else pd.DataFrame()
    )
    measured = made.costs(arms=list(costs), device=device, gpu=gpu, noise=0) if costs else pd.DataFrame()
    return Given(tidy, measured)


@cache
def _asked(claim: str) -> Asked:
    return asked_by(CLAIMS[claim])


def world(
    claim: str, truth: Truth, *, noise: float = 0.005, seed: int = 0, gpu: str | None = None,
    spread: made.Spread = made.EVEN,
) -> Given:  # fmt: skip
    asked = _asked(claim)
    if claim == "C43":  # asks for nothing where nothing was measured on an A100
        given = base((), ON_BOTH, gpu)
    elif asked.trials | asked.costs:
        given = base(tuple(sorted(asked.trials)), tuple(sorted(asked.costs)), gpu)
    else:  # what reads the rows itself
        given = base(tuple(made.settings()), ())
    like: dict[str, Any] = {"seed": seed, "spread": spread}
    return Given(
        made.table_like(given.tidy, truth, noise=noise / 10, **like) if len(given.tidy) else given.tidy,
        made.costs_like(given.costs, truth, noise=noise, **like) if len(given.costs) else given.costs,
    )


def worlds(claim: str) -> Iterator[Given]:
    """Simulated ledgers in which the claim can get all of its words."""
    gpu = "A100" if claim in ON_A100 else None
    yield Given(pd.DataFrame(), pd.DataFrame())
    for truth in (*GENERAL.values(), *SPECIAL.get(claim, ())):
        yield world(claim, truth, gpu=gpu)
    noisy = [(pruned(1.0, stored=0.8), 0.5), (pruned(1.0, stored=0.8), 1.0)]
    for truth, noise in noisy + [(truth, noise) for truth in SPECIAL.get(claim, ()) for noise in (0.5, 1.0, 3.0)]:
        yield world(claim, truth, noise=noise, seed=1, gpu=gpu)
    yield from FURTHER.get(claim, lambda: ())()


def on_an_a100(claim: str, *truths: Truth) -> Iterator[Given]:
    """On the whole card, and of one network alone."""
    for truth in truths:
        yield from (world(claim, truth, noise=noise, gpu="A100") for noise in (0.005, 0.5))
    given = world(claim, truths[0], gpu="A100")
    yield Given(given.tidy, given.costs[given.costs.model == "resnet18"])


def two_machines() -> Iterator[Given]:
    hpc, laptop = (base((), ON_BOTH, gpu).costs for gpu in ("A100", None))
    for factor, noise in ((0.5, 1.0), (1.0, 0.005), (0.5, 0.005)):
        other = made.costs_like(laptop.assign(gpu="RTX 3060"), lambda s, x=factor: {"level_j": x}, noise=noise)  # type: ignore[misc]
        both = pd.concat([hpc, other], ignore_index=True)
        yield Given(pd.DataFrame(), both)
    yield Given(pd.DataFrame(), both[both.model == "resnet18"])


def restless_steps() -> Iterator[Given]:
    given = world("C35", faster("resnet18", 1.0))
    restless = given.costs.dense_step_s * np.exp(np.random.default_rng(0).normal(0, 0.5, len(given.costs)))
    yield Given(given.tidy, given.costs.assign(dense_step_s=restless))


def trained_apart() -> Iterator[Given]:
    tidy = made.table()
    yield Given(tidy.assign(shared_training=tidy.id), pd.DataFrame())


FURTHER: dict[str, Callable[[], Iterable[Given]]] = {
    "C14": two_machines,
    "C29": trained_apart,
    "C35": restless_steps,
    "C43": lambda: on_an_a100("C43", pruned(1.0), pruned(4.0)),
    "C45": lambda: on_an_a100("C45", pruned(1.0), pruned(4.0)),
    "C48": lambda: on_an_a100("C48", lambda s: {"level_j": JOULES["C48"][s.model]}),
    "C49": lambda: on_an_a100("C49", lambda s: {"level_j": JOULES["C49"][s.model]}),
}
