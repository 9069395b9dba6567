"""Networks as calls to be timed: a forward pass, a cold start, and the fastest exact variant of a pruned network."""

import copy
from collections.abc import Callable

import torch
from safetensors.torch import load as parse
from safetensors.torch import save
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.compact import is_worth_compacting, to_compact
from paperlib.execution.flops import linear_zeros_share
from paperlib.execution.sparse import sparsify
from paperlib.pruners import Masks

SPARSE_SHARE = 0.05


def fastest_exact_variant(model: nn.Module, masks: Masks, batch: Tensor) -> list[tuple[str, nn.Module]]:
    """(`compact`, `sparse` or `compact+sparse`, network): filters cut out and linear layers as CSR, where each pays
    for this batch; empty if nothing does. CSR is tried where zeros of linear layers are 5 % of the FLOPs or more."""
    backends, network = [], model.eval()
    try:
        small = to_compact(model, masks)
        if is_worth_compacting(small, model):
            backends, network = ["compact"], small
    except PaperlibError:  # a network that cannot be followed stays masked
        pass
    height, width, channels = batch.shape[2], batch.shape[3], batch.shape[1]
    if batch.device.type == "cpu" and linear_zeros_share(network, (height, width, channels)) >= SPARSE_SHARE:
        network, gains = sparsify(network, batch)
        backends += ["sparse"] if any(gain > 1 for gain in gains.values()) else []
    return [("+".join(backends), network)] if backends else []


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
