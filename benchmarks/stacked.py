"""Many small perceptrons in one training, beside training each alone and beside a `torch.func` ensemble, in one run.

`python benchmarks/stacked.py [--check]`. Milliseconds of an epoch of 60,000 images for each network of mlp-small, from
part of an epoch; random images, since their content does not matter. Alone: one network after the other. `torch.func`:
vmap of grad of functional_call, the masks and the same fused SGD on stacked parameters. Under two minutes on 2 cores.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from report import finish
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from paperlib.data.imageset import Split
from paperlib.execution.stacked import RandomSource
from paperlib.models import build
from paperlib.pruners import layers_of
from paperlib.schema.trial import Trial
from paperlib.trials.images import DeviceSplit
from paperlib.trials.resources import limit_threads, threads_for
from paperlib.trials.stacks import Untrained, fit_stack
from paperlib.trials.training import TrainingResult, fit

SHAPE, CLASSES, OFFICIAL = (28, 28, 1), 10, 60_000
STACKS = (1, 16, 64, 256)
TARGETS = {16: 3.0, 64: 5.0}  # times alone, batch 64
STEPS = {1: 2_000, 16: 400, 64: 150, 256: 50}  # of one measurement
REPEATS = 3


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


def stacked(networks: int, batch: int, images: DeviceSplit) -> float:
    """Seconds of an epoch."""
    results = fit_stack([make_network(t) for t in trials_of(networks, batch)], images, few(images))
    return sum(r.curve[0].time_s for r in results if isinstance(r, TrainingResult))


def alone(batch: int, images: DeviceSplit) -> float:
    """Seconds of an epoch."""
    [trial] = trials_of(1, batch)
    network = make_network(trial)
    with threads_for(network.model):
        return fit(trial, network.model, network.layers, images, few(images)).curve[0].time_s


def few(images: DeviceSplit) -> DeviceSplit:
    """Next to nothing, for validation: steps are what is measured."""
    return DeviceSplit(images.pixels[:1], images.labels[:1])


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


def epoch_ms(networks: int, batch: int, train: Callable[[DeviceSplit], float]) -> float:
    """Milliseconds of a full epoch for each network."""
    images = images_of(STEPS[networks] * batch)
    return 1e3 * min(train(images) for _ in range(REPEATS)) / networks * OFFICIAL / len(images)


def main() -> None:
    figures = []
    print(f"{'batch':>5} {'networks':>8} {'alone':>8} {'stacked':>8} {'torch.func':>10}   ms an epoch and network")
    for batch in (64, 4):
        before = epoch_ms(1, batch, lambda images, batch=batch: alone(batch, images))  # type: ignore[misc]
        for count in STACKS:
            ours = epoch_ms(count, batch, lambda images, n=count, b=batch: stacked(n, b, images))  # type: ignore[misc]
            theirs = epoch_ms(count, batch, lambda images, n=count, b=batch: ensemble(n, b, images))  # type: ignore[misc]
            print(f"{batch:>5} {count:>8} {before:>8.1f} {ours:>8.1f} {theirs:>10.1f}", flush=True)
            if batch == 64 and count in TARGETS:
                figures.append((f"{count} networks stacked, times alone", before / ours, TARGETS[count], True))
    finish(figures)


if __name__ == "__main__":
    main()
