"""Whether a dense kernel's time hangs on the values: masked filters and black images beside dense, in one run.

`python benchmarks/zeros.py`, on a machine that does nothing else: ResNet18 at 224 px, batch 64, inference on all cores,
in random order, ratios of medians; about two minutes on 2 cores. The same filters scaled to a hundredth stand beside:
masks without zeros. Nothing is skipped anywhere, so what differs is what the values themselves change.
"""

import random
import statistics
import time
from copy import deepcopy

import torch
from torch import Tensor, nn

from paperlib.models import build
from paperlib.pruners import METHODS, Pruning, apply_masks, layers_of
from paperlib.schema.trial import make_trial

ROUNDS = 8


def pruned(dense: nn.Module, factor: float) -> nn.Module:
    """A copy with 80 % of the filters of every convolution multiplied by a factor."""
    trial, model = make_trial(model="resnet18", method="pre-training", conv_sparsity=0.8), deepcopy(dense)
    layers = layers_of(model, trial)
    masks = METHODS[trial.method]().initial_masks(Pruning(trial, layers, torch.Generator().manual_seed(0)))
    weights = {layer.name: layer.module.weight.detach().clone() for layer in layers}
    apply_masks(layers, masks)
    for layer in layers:
        weight = layer.module.weight.data
        weight += factor * (weights[layer.name] - weight)
    return model


def main() -> None:
    torch.manual_seed(0)
    dense, images = build("resnet18", (224, 224, 3), 10).eval(), torch.randn(64, 3, 224, 224)
    jobs: dict[str, tuple[nn.Module, Tensor]] = {
        "dense": (dense, images),
        "dense again": (deepcopy(dense), images),
        "80 % of the filters zero": (pruned(dense, 0.0), images),
        "80 % of the filters at a hundredth": (pruned(dense, 0.01), images),
        "dense on black images": (dense, torch.zeros_like(images)),
    }
    times: dict[str, list[float]] = {name: [] for name in jobs}
    with torch.inference_mode():
        for number in range(ROUNDS + 1):
            for name in random.sample(list(jobs), len(jobs)):
                model, batch = jobs[name]
                start = time.perf_counter()
                model(batch)
                if number:  # the first round warms up
                    times[name].append(time.perf_counter() - start)
    for name, took in times.items():
        seconds, of_dense = statistics.median(took), statistics.median(times["dense"])
        print(f"{name}: {seconds:.3f} s, x{seconds / of_dense:.3f}")


if __name__ == "__main__":
    main()
