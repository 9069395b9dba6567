"""Many small perceptrons in one training, beside each alone in torch's loop and beside `torch.func`, in one run.

`python benchmarks/stacked.py [--check]`. Milliseconds of an epoch of 60,000 images for each network of mlp-small, from
part of an epoch; random images, since their content does not matter. Loop: one network after the other, forward,
backward, optimizer and masks as anyone writes them, and the same again (A/A). `torch.func`: vmap of grad of
functional_call, the masks and the same fused SGD on stacked parameters.

What bounds a stack are the two matrix products of the first layer, 95 % of the arithmetic: GFLOP/s of the whole
training stand beside those of these products alone, at the same shapes and on as many threads.
All ways take turns; the best of five rounds counts. About two minutes on 2 cores.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from report import finish
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from paperlib.data.imageset import Split
from paperlib.execution.stacked import RandomSource
from paperlib.execution.steps import TorchSteps
from paperlib.models import build
from paperlib.pruners import METHODS, MaskEnforcer, Pruning, layers_of
from paperlib.schema.trial import Trial
from paperlib.trials.images import DeviceSplit
from paperlib.trials.optimizers import loss_of, make_optimizer
from paperlib.trials.resources import limit_threads
from paperlib.trials.stacks import Untrained, fit_stack, threads_of
from paperlib.trials.training import TrainingResult

SHAPE, CLASSES, OFFICIAL = (28, 28, 1), 10, 60_000
UNITS, INPUTS, WEIGHTS = 16, 784, 784 * 16 + 16 * 16 + 16 * 10
# A pass forward, and backward twice that, without the gradient of the images.
FLOPS = 6 * WEIGHTS - 2 * INPUTS * UNITS
STEPS = {1: 2_000, 16: 400, 64: 150, 256: 50}  # of one measurement, by the networks of a stack
TARGETS = {16: 3.0, 64: 5.0}  # times the loop, batch 64
ROUNDS = 5


def images_of(count: int) -> DeviceSplit:
    rng = np.random.default_rng(0)
    return DeviceSplit.of(
        Split(rng.integers(0, 256, (count, *SHAPE), np.uint8), rng.integers(0, CLASSES, count)), "cpu"
    )


def make_network(trial: Trial) -> Untrained:
    torch.manual_seed(trial.seed)
    model = build(trial.model, SHAPE, CLASSES)
    return Untrained(trial, model, layers_of(model, trial), RandomSource(torch.device("cpu")))


def trials_of(networks: int, batch: int) -> list[Trial]:
    """One seed, half the weights removed at random."""
    common = {"method": "random", "epochs": 1, "batch_size": batch, "lr": 0.01, "options": {"momentum": 0.9}}
    return [Trial(sparsity=0.5 + 0.4 * n / networks, **common) for n in range(networks)]


def loop(batch: int, images: DeviceSplit) -> float:
    """Seconds of an epoch of one network; small ones are faster on one thread."""
    [trial] = trials_of(1, batch)
    network = make_network(trial)
    optimizer = make_optimizer(trial, network.model)
    enforcer = MaskEnforcer(network.layers, optimizer)
    enforcer.set(METHODS[trial.method]().initial_masks(Pruning(trial, network.layers, torch.Generator())))
    steps = TorchSteps(network.model, optimizer, enforcer, loss_of(trial))
    with limit_threads(1):
        start = time.perf_counter()
        steps.epoch(images.batches(batch, torch.randperm(len(images))))
        return time.perf_counter() - start


def stacked(networks: int, batch: int, images: DeviceSplit) -> float:
    """Seconds of an epoch."""
    few = DeviceSplit(images.pixels[:1], images.labels[:1])  # next to no validation: steps are what is measured
    results = fit_stack([make_network(t) for t in trials_of(networks, batch)], images, few, few)
    return sum(r.curve[0].time_s for r in results if isinstance(r, TrainingResult))


def ensemble(networks: int, batch: int, images: DeviceSplit) -> float:
    """Seconds of the same epoch as a user of torch.func writes them; few networks are faster on one thread."""
    models = [build("mlp-small", SHAPE, CLASSES) for _ in range(networks)]
    parameters, _ = stack_module_state(models)  # type: ignore[arg-type]
    masks = {name: (torch.rand_like(p) > 0.5).to(p.dtype) for name, p in parameters.items()}
    optimizer = torch.optim.SGD(parameters.values(), lr=0.01, momentum=0.9, fused=True)

    def loss(values: dict[str, Tensor], pixels: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(functional_call(models[0], values, (pixels,)), labels)

    gradients: Callable[..., dict[str, Tensor]] = vmap(grad(loss), in_dims=(0, None, None))
    with limit_threads(1 if networks < 64 else torch.get_num_threads()):
        start = time.perf_counter()
        for pixels, labels in images.batches(batch, torch.randperm(len(images))):
            for name, gradient in gradients(dict(parameters), pixels, labels).items():
                parameters[name].grad = gradient
            optimizer.step()
            with torch.no_grad():
                for name, value in parameters.items():
                    value.mul_(masks[name])
                    optimizer.state[value]["momentum_buffer"].mul_(masks[name])
        return time.perf_counter() - start


def products(networks: int, batch: int, images: DeviceSplit) -> float:
    """Seconds of the first layer's two matrix products of an epoch, in as many threads as the stack has."""
    threads, pixels = threads_of(networks, torch.device("cpu")), torch.randn(batch, INPUTS)

    def multiply(rows: int) -> None:
        weights, units = torch.randn(rows, INPUTS), torch.randn(rows, batch)
        for _ in range(len(images) // batch):
            torch.mm(weights, pixels.t(), out=units)
            torch.mm(units, pixels, out=weights)

    with limit_threads(1), ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        list(pool.map(multiply, [UNITS * networks // threads] * threads))
        return time.perf_counter() - start


def compare(networks: int, batch: int) -> dict[str, float]:
    """Milliseconds of an epoch and network in each way."""
    alone, together = images_of(STEPS[1] // 2 * batch), images_of(STEPS[networks] * batch)
    ways: dict[str, tuple[Callable[[], float], int]] = {
        "loop": (lambda: loop(batch, alone), len(alone)),
        "stack": (lambda: stacked(networks, batch, together), networks * len(together)),
        "func": (lambda: ensemble(networks, batch, together), networks * len(together)),
        "products": (lambda: products(networks, batch, together), networks * len(together)),
        "again": (lambda: loop(batch, alone), len(alone)),
    }
    rounds = [{name: train() / images for name, (train, images) in ways.items()} for _ in range(ROUNDS)]
    return {name: 1e3 * OFFICIAL * min(one[name] for one in rounds) for name in ways}


def main() -> None:
    figures = []
    print("ms of an epoch of 60,000 images and network; GFLOP/s of the stack and of its largest products alone")
    print("batch networks    loop     A/A  torch.func  stacked  x loop  GFLOP/s  products  share")
    for batch in (64, 4):
        for networks in STEPS:
            best = compare(networks, batch)
            ratio, again = best["loop"] / best["stack"], best["again"] / best["loop"]
            speed = FLOPS * OFFICIAL / best["stack"] / 1e6
            peak = 4 * INPUTS * UNITS * OFFICIAL / best["products"] / 1e6
            ways = f"{best['loop']:>7.0f} {again:>7.2f} {best['func']:>11.1f} {best['stack']:>8.1f} {ratio:>7.1f}"
            print(f"{batch:>5} {networks:>8} {ways} {speed:>8.1f} {peak:>9.1f} {speed / peak:>6.0%}", flush=True)
            if batch == 64 and networks in TARGETS:
                figures.append((f"{networks} networks stacked, times torch's loop", ratio, TARGETS[networks], True))
    finish(figures)


if __name__ == "__main__":
    main()
