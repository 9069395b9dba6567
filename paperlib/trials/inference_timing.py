"""A trial's inference: the pruned network beside dense, in one process, and its cold start apart."""

import copy
from collections.abc import Callable, Mapping

import torch
from safetensors.torch import load as parse
from safetensors.torch import save
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.backends import engine_of
from paperlib.execution.compact import compact, is_worth_compacting
from paperlib.execution.sparse import sparsify
from paperlib.meters import Meters, compare, load_time
from paperlib.pruners import Masks
from paperlib.schema.measurement import Timing
from paperlib.trials.training import DeviceSplit

BATCHES = (1, 64)
ROUNDS = 20
BUDGET_S = 0.2


def benchmark_against_dense(
    networks: Mapping[str, nn.Module], masks: Masks, test: DeviceSplit, meters: Meters, seed: int
) -> tuple[Timing, ...]:
    """Time the networks against the first (dense) at batch 1 and 64; a second dense copy is the A/A control.

    The last one, pruned with `masks`, also runs in the way that makes its removed work disappear, if there is one.
    """
    found: list[Timing] = []
    for size in BATCHES:
        batch = _example(test, size)
        variants = dict(networks)
        if masks:
            variants |= fastest_exact_variant([*networks.values()][-1], masks, batch)
        calls = {name: _call(network.eval(), batch) for name, network in variants.items()}
        timings = compare(calls, batch_size=size, meters=meters, rounds=ROUNDS, budget_s=BUDGET_S, seed=seed)
        found += [t.model_copy(update={"engine": engine_of(variants[t.variant])}) for t in timings]
    return tuple(found)


def fastest_exact_variant(model: nn.Module, masks: Masks, batch: Tensor) -> list[tuple[str, nn.Module]]:
    """(`compact`, `sparse` or `compact+sparse`, network): filters cut out and linear layers as CSR, where each pays
    for this batch; empty if nothing does."""
    ways, network = [], model.eval()
    try:
        small = compact(model, masks)
        if is_worth_compacting(small, model):
            ways, network = ["compact"], small
    except PaperlibError:  # a network that cannot be followed stays masked
        pass
    if batch.device.type == "cpu":
        network, gains = sparsify(network, batch)
        ways += ["sparse"] if any(gain > 1 for gain in gains.values()) else []
    return [("+".join(ways), network)] if ways else []


def load_seconds(model: nn.Module, test: DeviceSplit, meters: Meters) -> float:
    """Seconds to read the weights from bytes and give the first answer, apart from steady state."""
    stored = save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()})
    target = copy.deepcopy(model).eval()
    first = _call(target, _example(test, 1))

    def first_answer() -> object:
        target.load_state_dict(parse(stored))
        return first()

    return load_time(first_answer, meters, repeats=3)


def _example(images: DeviceSplit, size: int) -> Tensor:
    pixels, _ = next(images.batches(size, torch.arange(size, device=images.labels.device) % len(images)))
    return pixels.clone()


def _call(network: nn.Module, batch: Tensor) -> Callable[[], object]:
    def call() -> object:
        with torch.inference_mode():
            return network(batch)

    return call
