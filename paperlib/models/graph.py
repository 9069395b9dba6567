"""What follows what inside a network, read from its traced graph and not from names of layers."""

from torch import fx, nn

from paperlib.core.errors import PaperlibError

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def trace(model: nn.Module) -> fx.GraphModule:
    """The operations of `model` as a torch.fx graph that shares its modules; PaperlibError if its code branches."""
    try:
        return fx.symbolic_trace(model)
    except (fx.proxy.TraceError, TypeError) as error:
        raise PaperlibError(f"cannot trace {type(model).__name__} ({error}): use masked execution") from None


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
