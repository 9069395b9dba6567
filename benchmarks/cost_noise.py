"""A/A spread of costs between fresh processes, network by network, and what learning changes of a cost: nothing.

`python benchmarks/cost_noise.py [--check]`, on a machine that does nothing else. About six minutes on 2 cores. With
--check it fails if the 95th percentile of |log ratio| of a training step is above 3 %.
"""

import copy
import math
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from report import finish

from paperlib.core.paths import Layout
from paperlib.costs.inference import forward_pass
from paperlib.costs.measurement import build_network, run_costs
from paperlib.costs.paired import compare
from paperlib.costs.records import cost_table
from paperlib.costs.training_step import MaskedTraining, TrainableNetwork, make_masks
from paperlib.meters import Meters
from paperlib.pruners import layers_of
from paperlib.schema.cost import Effort, make_cost_setting
from paperlib.studies.costs import cost_settings

LIMIT = 0.03
REPEATS = 2  # of PROCESSES fresh processes each


def main() -> None:
    networks = [cost_settings("mnist", name)[0] for name in ("mlp-small", "mlp-medium")]
    networks += [cost_settings("cifar10", "vgg16")[0], cost_settings("visa", "resnet18")[1]]
    ratios: dict[tuple[str, str], list[float]] = {}
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory() as folder:
            layout = Layout(Path(folder) / "results" / "noise", Path(folder) / "figures")
            table = cost_table(run_costs(networks, layout, Effort(20, 2.0)))
        for model, rows in table.groupby("model"):
            for what in ("step", "inference_b1", "inference_b64"):
                ratios.setdefault((str(model), what), []).extend(rows[f"{what}_ratio_again"])
        others = table.others_share.max()
    worst = 0.0
    for (model, what), values in ratios.items():
        spread = float(np.percentile(np.abs(np.log(values)), 95))
        worst = max(worst, spread if what == "step" else 0.0)
        print(
            f"{model:12} {what:14} {spread:6.2%} over {len(values)} processes ({min(values):.3f} to {max(values):.3f})"
        )
    print(f"other processes took at most {others:.0%} of the cores")
    figures = [("largest spread of a training step", worst, LIMIT, False)]
    for what, ratio in trained_against_random().items():
        figures.append(
            (f"{what} of a trained mask against a random one, |log ratio|", abs(math.log(ratio)), LIMIT, False)
        )
    finish(figures)


def trained_against_random() -> dict[str, float]:
    """Time of a masked step and of an inference: trained weights pruned by L1 over untrained ones pruned at random."""
    images, calls = torch.randn(64, 1, 28, 28), dict[str, dict[str, Callable[[], object]]]()
    for method in ("random", "pre-training"):
        setting = make_cost_setting(model="mlp-medium", method=method, sparsity=0.8, optimizer="AdamW")
        network = TrainableNetwork(setting, build_network(setting), (images, torch.arange(64) % 10))
        if method == "pre-training":
            step = network.step()
            for _ in range(200):
                step()
        masks = make_masks(setting, layers_of(network.model, setting.trial()), seed=0)
        training = MaskedTraining.of(setting, network, masks, seed=0)
        answering = copy.deepcopy(network.model).eval()
        calls.setdefault("step", {})[method] = network.step(training.enforcer)
        calls.setdefault("inference", {})[method] = forward_pass(answering, images)
    options = {"batch_size": 64, "meters": Meters.time_only("cpu"), "min_rounds": 40, "budget_s": 20, "seed": 0}
    return {what: compare(variants, **options)[1].ratio for what, variants in calls.items()}


if __name__ == "__main__":
    main()
