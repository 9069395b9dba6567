"""A trial's inference: the pruned network beside dense, in one process, and its cold start apart."""

import copy
from collections.abc import Callable, Mapping

import torch
from safetensors.torch import load as parse
from safetensors.torch import save
from torch import Tensor, nn

from paperlib.meters import Meters, compare, load_time
from paperlib.meters.reading import Timing
from paperlib.training import Images

BATCHES = (1, 64)
ROUNDS = 30
BUDGET_S = 0.2


def masked_beside_dense(
    networks: Mapping[str, nn.Module], test: Images, meters: Meters, seed: int
) -> tuple[Timing, ...]:
    """Time the networks against the first (dense) at batch 1 and 64; a second dense copy is the A/A control."""
    found: list[Timing] = []
    for size in BATCHES:
        batch = _example(test, size)
        calls = {name: _call(network.eval(), batch) for name, network in networks.items()}
        found += compare(calls, batch_size=size, meters=meters, rounds=ROUNDS, budget_s=BUDGET_S, seed=seed)
    return tuple(found)


def load_seconds(model: nn.Module, test: Images, meters: Meters) -> float:
    """Seconds to read the weights from bytes and give the first answer, apart from steady state."""
    stored = save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()})
    target = copy.deepcopy(model).eval()
    first = _call(target, _example(test, 1))

    def first_answer() -> object:
        target.load_state_dict(parse(stored))
        return first()

    return load_time(first_answer, meters, repeats=3)


def _example(images: Images, size: int) -> Tensor:
    pixels, _ = next(images.batches(size, torch.arange(size, device=images.labels.device) % len(images)))
    return pixels.clone()


def _call(network: nn.Module, batch: Tensor) -> Callable[[], object]:
    def call() -> object:
        with torch.inference_mode():
            return network(batch)

    return call
