"""A trial's inference: the pruned network beside dense, in one process, and its cold start apart."""

import copy
from collections.abc import Callable, Mapping

import torch
from safetensors.torch import load as parse
from safetensors.torch import save
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.backends import engine_of
from paperlib.execution.compact import is_worth_compacting, to_compact
from paperlib.execution.sparse import sparsify
from paperlib.meters import Meters, compare, load_time
from paperlib.pruners import Masks
from paperlib.schema.measurement import Timing
from paperlib.trials.images import DeviceSplit
from paperlib.trials.table import BATCHES

ROUNDS = 20
BUDGET_S = 0.2


def benchmark_against_dense(
    networks: Mapping[str, nn.Module], masks: Masks, test: DeviceSplit, meters: Meters, seed: int
) -> tuple[Timing, ...]:
    """Time the networks against the first (dense) at batch 1 and 64; a second dense copy is the A/A control.

    The last one, pruned with `masks`, also runs as its fastest exact variant, if there is one.
    """
    timings: list[Timing] = []
    for size in BATCHES:
        batch = _example(test, size)
        variants = dict(networks)
        if masks:
            variants |= fastest_exact_variant([*networks.values()][-1], masks, batch)
        calls = {name: forward_pass(network.eval(), batch) for name, network in variants.items()}
        compared = compare(calls, batch_size=size, meters=meters, rounds=ROUNDS, budget_s=BUDGET_S, seed=seed)
        timings += [t.model_copy(update={"engine": engine_of(variants[t.variant])}) for t in compared]
    return tuple(timings)


def fastest_exact_variant(model: nn.Module, masks: Masks, batch: Tensor) -> list[tuple[str, nn.Module]]:
    """(`compact`, `sparse` or `compact+sparse`, network): filters cut out and linear layers as CSR, where each pays
    for this batch; empty if nothing does."""
    backends, network = [], model.eval()
    try:
        small = to_compact(model, masks)
        if is_worth_compacting(small, model):
            backends, network = ["compact"], small
    except PaperlibError:  # a network that cannot be followed stays masked
        pass
    if batch.device.type == "cpu":
        network, gains = sparsify(network, batch)
        backends += ["sparse"] if any(gain > 1 for gain in gains.values()) else []
    return [("+".join(backends), network)] if backends else []


def load_seconds(model: nn.Module, test: DeviceSplit, meters: Meters) -> float:
    """Median seconds of a cold start with one image: weights read from bytes, first answer given."""
    return load_time(cold_start(model, _example(test, 1)), meters, repeats=3)


def forward_pass(network: Callable[[Tensor], object], batch: Tensor) -> Callable[[], object]:
    """A call without arguments that runs `network` on `batch` in inference mode."""

    def call() -> object:
        with torch.inference_mode():
            return network(batch)

    return call


def cold_start(model: nn.Module, batch: Tensor) -> Callable[[], object]:
    """A call without arguments that reads the model's weights from bytes and gives the answer to `batch`."""
    stored = save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()})
    target = copy.deepcopy(model).eval()
    answer = forward_pass(target, batch)

    def call() -> object:
        target.load_state_dict(parse(stored))
        return answer()

    return call


def _example(images: DeviceSplit, size: int) -> Tensor:
    pixels, _ = next(images.batches(size, torch.arange(size, device=images.labels.device) % len(images)))
    return pixels.clone()
