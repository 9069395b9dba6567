"""Networks as calls to be timed: a forward pass, a cold start, and the fastest exact variant of a pruned network."""

import copy
from collections.abc import Callable, Sequence

import torch
from safetensors.torch import load as parse
from safetensors.torch import save
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.compact import is_worth_compacting, to_compact
from paperlib.execution.flops import linear_zeros_share
from paperlib.execution.sparse import SparseLinear, sparsify
from paperlib.pruners import Masks

SPARSE_SHARE = 0.05


def exact_variants(model: nn.Module, masks: Masks, batches: Sequence[Tensor]) -> list[tuple[str, nn.Module]]:
    """For each batch (`compact`, `sparse` or `compact+sparse`, network): filters cut out, linear layers as CSR, where
    each pays; `masked` if nothing does. CSR is tried where zeros of linear layers are 5 % of the FLOPs or more."""
    cut, network, variants = list[str](), model.eval(), list[tuple[str, nn.Module]]()
    try:
        small = to_compact(model, masks)
        if is_worth_compacting(small, model):
            cut, network = ["compact"], small
    except PaperlibError:  # a network that cannot be followed stays masked
        pass
    _, channels, height, width = batches[0].shape
    on_cpu = batches[0].device.type == "cpu"
    tried = on_cpu and linear_zeros_share(network, (height, width, channels)) >= SPARSE_SHARE
    for batch in batches:
        fastest = sparsify(network, batch)[0] if tried else network
        sparse = ["sparse"] if any(isinstance(layer, SparseLinear) for layer in fastest.modules()) else []
        variants.append(("+".join(cut + sparse) or "masked", fastest))
    return variants


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
