"""What follows what inside a network, read from its traced graph and not from names of layers."""

import operator
from collections.abc import Mapping

import torch
from torch import fx, nn
from torch.nn import functional as F

from paperlib.core.errors import PaperlibError

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
# Operations as `operation` names them. Elementwise ones read one value, and have neither parameters nor chance.
ELEMENTWISE = frozenset([
    "relu", "relu6", "leakyrelu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish", "hardsigmoid", "hardtanh",
    "clamp", "sigmoid", "logsigmoid", "tanh", "softplus", "softsign", "identity", "contiguous", "clone",
])  # fmt: skip
POOLS = frozenset(["maxpool2d", "avgpool2d", "adaptiveavgpool2d", "adaptivemaxpool2d"])
SUMS, PRODUCTS = frozenset(["add", "iadd"]), frozenset(["mul", "imul"])
ARITHMETIC = SUMS | PRODUCTS | {"sub", "isub", "truediv", "itruediv", "div"}
_KEEP_CHANNELS = ELEMENTWISE | POOLS | SUMS | PRODUCTS | {"dropout", "stochasticdepth", "mean"}
_VIEWS = frozenset([
    "identity", "dropout", "flatten", "view", "reshape", "contiguous", "transpose", "permute", "squeeze", "unsqueeze",
    "chunk", "split", "getitem",
])  # fmt: skip


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Stochastic depth is one too: inside, a graph would hold what it does in the mode of now alone."""
        return type(m).__name__ == "StochasticDepth" or super().is_leaf_module(m, module_qualified_name)


def trace(model: nn.Module) -> fx.GraphModule:
    """The operations of `model` as a torch.fx graph that shares its modules, in-place changes visible in its edges.

    PaperlibError if the model's code branches on values, or changes in place what it also reads through a view.
    """
    try:
        traced = fx.GraphModule(model, _Tracer().trace(model), type(model).__name__)
    except Exception as error:  # whatever the model's own code does with values that have no numbers yet
        reason = str(error).partition("\n")[0]
        raise PaperlibError(f"cannot trace {type(model).__name__} ({reason}): use masked execution") from None
    _show_in_place_changes(traced)
    return traced


def _show_in_place_changes(traced: fx.GraphModule) -> None:
    """Later readers of a value that is changed in place read the operation that changed it."""
    modules, order = dict(traced.named_modules()), {node: i for i, node in enumerate(traced.graph.nodes)}
    for now, node in enumerate(traced.graph.nodes):
        if not _is_in_place(node, modules):
            continue
        changed = root = node.args[0]
        changed.replace_all_uses_with(node, lambda reader, now=now: order[reader] > now)
        while operation(root, modules) in _VIEWS and isinstance(root.args[0], fx.Node):
            root = root.args[0]
        names = [root]  # of the memory that changes
        for name in names:
            names += [reader for reader in name.users if order[reader] < now and operation(reader, modules) in _VIEWS]
        if any(order[reader] > now for name in names if name is not changed for reader in name.users):
            raise PaperlibError(f"cannot follow {node.name!r}: it changes in place what is read through a view as well")


def operation(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    """The name of torch's operation, alike for module, function and method (`relu6`, `maxpool2d`); '' for others."""
    if node.op == "call_module":
        name = type(modules[str(node.target)]).__name__
    elif node.op == "call_method":
        name = str(node.target)
    else:
        name = getattr(node.target, "__name__", "")
        if not any(getattr(room, name, None) is node.target for room in (torch, F, operator)):
            return ""
    return name.replace("_", "").lower()


def _is_in_place(node: fx.Node, modules: Mapping[str, nn.Module]) -> bool:
    if not node.op.startswith("call") or not node.args or not isinstance(node.args[0], fx.Node):
        return False
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    kind, name = operation(node, modules), getattr(node.target, "__name__", str(node.target))
    flagged = bool(node.kwargs.get("inplace")) or (kind in ELEMENTWISE and any(a is True for a in node.args))
    return flagged or name.endswith("_") or (kind in ARITHMETIC and kind.startswith("i"))


def followers(model: nn.Module) -> dict[str, str | None]:
    """Each convolution's name, in order of computation, to the batch-norm that alone reads it (else None).

    A removed filter must be masked in both: the convolution's row and bias, and the batch-norm's channel.
    """
    traced = trace(model)
    modules = dict(traced.named_modules())
    norms: dict[str, str | None] = {}
    for node in traced.graph.nodes:
        if node.op == "call_module" and isinstance(modules[node.target], nn.Conv2d):
            readers = list(node.users)
            only = readers[0].target if len(readers) == 1 and readers[0].op == "call_module" else None
            norms[node.target] = only if isinstance(modules.get(only), NORMS) else None
    return norms


def streams(model: nn.Module) -> dict[str, str]:
    """Each convolution's name to the first of those whose filters it shares its channels with (itself if none).

    They write to the same sums (a residual stream), scale one another, or are depthwise and read them: a channel is
    gone when the filters of all of them are.
    """
    traced = trace(model)
    modules = dict(traced.named_modules())
    stream: dict[str, str] = {}
    writer: dict[fx.Node, str | None] = {}
    for node in traced.graph.nodes:
        sources = [name for name in map(writer.get, node.all_input_nodes) if name]
        layer = modules[node.target] if node.op == "call_module" else None
        kind = operation(node, modules)
        if isinstance(layer, nn.Conv2d):
            stream.setdefault(node.target, node.target)
            sources = [node.target, *(sources if 1 < layer.groups == layer.in_channels == layer.out_channels else [])]
        elif not isinstance(layer, NORMS) and kind not in _KEEP_CHANNELS:
            sources = []
        width = max((modules[name].out_channels for name in sources), default=0)
        sources = [name for name in sources if modules[name].out_channels == width]  # one channel is spread over all
        writer[node] = sources[0] if sources else None
        joined = {stream[name] for name in sources}
        first = next((name for name in stream if name in joined), "")
        stream = {name: first if s in joined else s for name, s in stream.items()}
    return stream
