"""A trial's optimiser and loss."""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paperlib.core.errors import PaperlibError
from paperlib.core.registry import unknown
from paperlib.schema.trial import Trial

# The base class; one that needs a closure; one for sparse gradients.
UNUSABLE = {"Optimizer", "LBFGS", "SparseAdam"}


def make_optimizer(trial: Trial, model: nn.Module) -> torch.optim.Optimizer:
    """Any torch optimiser by name (case does not matter), fused where it has that.

    Raises PaperlibError for unknown names and for options that it does not take.
    """
    kind, allowed = optimizer_of(trial)
    make: Callable[..., torch.optim.Optimizer] = kind
    fused = {"fused": True} if "fused" in allowed else {}
    try:
        return make(model.parameters(), lr=trial.lr, **fused, **trial.options)
    except (ValueError, TypeError) as error:
        raise PaperlibError(f"optimizer {kind.__name__}: {error}") from None


def optimizer_of(trial: Trial) -> tuple[type[torch.optim.Optimizer], list[str]]:
    """The class of the trial's optimiser and the options that it takes; raises as `make_optimizer` does."""
    names = {
        name.lower(): name
        for name, kind in vars(torch.optim).items()
        if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and name not in UNUSABLE
    }
    if trial.optimizer.lower() not in names:
        raise unknown("optimizer", trial.optimizer, sorted(names.values()))
    name = names[trial.optimizer.lower()]
    kind: type[torch.optim.Optimizer] = getattr(torch.optim, name)
    allowed = [p for p in inspect.signature(kind).parameters if p not in {"params", "lr"}]
    for option in trial.options:
        if option not in allowed:
            raise unknown(f"{name} option", option, allowed)
    return kind, allowed


def loss_of(trial: Trial) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross-entropy on logits; P's medium MLP applies a softmax before it (quirk `double-softmax`)."""
    if "double-softmax" in trial.quirks:
        return lambda logits, labels: F.cross_entropy(logits.softmax(1), labels)
    return F.cross_entropy
