"""Which layers a trial prunes: every linear and convolution layer, and whether the scope takes it."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.models.graph import followers, streams
from paperlib.schema.trial import Trial


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer with something to prune.

    unit: single weights (linear layers) or whole filters (convolutions).
    norm: the batch norm behind a convolution, masked with its filters.
    in_scope: whether this trial removes units here. nominal: the share it asks for, before allocation.
    stream: name of the first layer whose filters share their channels with this one's, as those that write to one
    residual sum do (its own name if none). round_to: what the number of filters kept is a multiple of.
    """

    name: str
    unit: Literal["weight", "filter"]
    module: nn.Linear | nn.Conv2d
    norm: nn.BatchNorm2d | None
    in_scope: bool
    nominal: float
    stream: str = ""
    round_to: int = 1

    @property
    def mask_shape(self) -> torch.Size:
        """Linear: the weight's shape (out, in); convolution: (out_channels,)."""
        return self.module.weight.shape if self.unit == "weight" else self.module.weight.shape[:1]

    @property
    def units(self) -> int:
        """How many units there are to remove from."""
        return self.mask_shape.numel()

    @property
    def weights_per_unit(self) -> int:
        return self.module.weight.numel() // self.units

    def tensors(self) -> list[Tensor]:
        """The parameters that a mask covers; a filter takes bias and batch-norm scale and shift with it."""
        if self.unit == "weight":
            return [self.module.weight]
        norm = [self.norm.weight, self.norm.bias] if self.norm is not None else []
        return [p for p in (self.module.weight, self.module.bias, *norm) if p is not None]

    def broadcast_mask(self, mask: Tensor, like: Tensor) -> Tensor:
        """The unit mask broadcast over one of the layer's tensors, in that tensor's dtype."""
        return mask.reshape(mask.shape + (1,) * (like.dim() - mask.dim())).expand_as(like).to(like.dtype)


def layers_of(model: nn.Module, trial: Trial) -> list[Layer]:
    """All linear and convolution layers in order, marked with the trial's scope and target.

    Scope `layerwise` leaves the first and the last linear layer dense (paper P); convolutions are in scope
    where conv_sparsity > 0 (paper F). P's VGG code keeps only the last one dense (quirk `keeps-last-only`): the
    first linear layer that it skips is one that the network does not use. Raises PaperlibError for
    conv_sparsity without convolutions and for a layerwise scope without hidden-to-hidden layers, or with too
    few weights for the matched total.
    """
    modules = {n: m for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)}
    linear = {n: m.weight.numel() for n, m in modules.items() if isinstance(m, nn.Linear)}
    hidden_only = trial.scope in {"layerwise", "layerwise-matched"}
    first = 0 if "keeps-last-only" in trial.quirks else 1
    scope = list(linear)[first:-1] if hidden_only else list(linear)
    if trial.conv_sparsity and len(linear) == len(modules):
        raise PaperlibError(f"conv_sparsity needs convolutions: {trial.model!r} has none; use --sparsity")
    if hidden_only and not scope:
        raise PaperlibError(f"scope {trial.scope!r} needs a hidden-to-hidden linear layer: {trial.model!r} has none")
    share = trial.sparsity
    if trial.scope == "layerwise-matched":
        # Same total as `global`: the layers in scope lose `sparsity` of ALL linear weights. As published, P's
        # layer-wise loses 0.99 % of the small network where 50 % are meant.
        total, in_scope = sum(linear.values()), sum(linear[n] for n in scope)
        share = trial.sparsity * total / in_scope
        if share >= 1:
            raise PaperlibError(
                f"scope 'layerwise-matched' cannot reach {trial.sparsity:g}: the hidden layers of {trial.model!r} "
                f"hold {in_scope:,} of {total:,} weights, so less than {in_scope / total:.4g} of all can go; "
                "use scope 'layerwise'"
            )
    names, stream = (followers(model), streams(model)) if len(linear) < len(modules) else ({}, {})
    norms = {name: model.get_submodule(norm) for name, norm in names.items() if norm}
    conv_sparsity = trial.conv_sparsity
    return [
        Layer(name, "weight", module, None, name in scope, share if name in scope else 0.0)
        if isinstance(module, nn.Linear)
        else Layer(
            name, "filter", module, norms.get(name), conv_sparsity > 0, conv_sparsity,  # type: ignore[arg-type]
            stream.get(name, name), trial.round_to,
        )
        for name, module in modules.items()
    ]  # fmt: skip
