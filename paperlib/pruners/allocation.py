"""How many units each layer loses: uniform, Erdős–Rényi, or by one threshold over all layers."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from paperlib.core.errors import PaperlibError
from paperlib.pruners.layers import Layer

Counts = dict[str, int]


def uniform(layers: Sequence[Layer]) -> Counts:
    """The layer's nominal share of its own units, rounded as `torch.nn.utils.prune` rounds it."""
    return _never_empty({layer.name: round(layer.nominal * layer.units) for layer in layers if layer.in_scope}, layers)


def erdos_renyi(layers: Sequence[Layer]) -> Counts:
    """True Erdős–Rényi allocation (SET): density of a layer ∝ (n_in + n_out) / (n_in · n_out).

    Weights and filters are allocated apart, since their sparsities are two targets. For filters n_in and
    n_out are the channels; a density above 1 is cut at 1 and the rest rescaled, so that the total number
    of removed units is exactly the target.
    """
    counts: Counts = {}
    for unit in ("weight", "filter"):
        group = [layer for layer in layers if layer.in_scope and layer.unit == unit]
        if group:
            keep = sum(layer.units for layer in group) - sum(round(g.nominal * g.units) for g in group)
            shapes = {g.name: g.module.weight.shape[:2] for g in group}
            raw = {name: (n_out + n_in) / (n_out * n_in) for name, (n_out, n_in) in shapes.items()}
            counts |= _share(group, keep, raw)
    return _never_empty(counts, layers)


def random_ratios(layers: Sequence[Layer], generator: torch.Generator) -> Counts:
    """Layer densities in random proportion (uniform in 0.1 to 1), at exactly the total of `uniform`.

    Filters stay uniform: their count is no share of the weights.
    """
    counts = uniform([layer for layer in layers if layer.unit == "filter"])
    group = [layer for layer in layers if layer.in_scope and layer.unit == "weight"]
    keep = sum(layer.units for layer in group) - sum(round(g.nominal * g.units) for g in group)
    drawn = 0.1 + 0.9 * torch.rand(len(group), generator=generator)
    raw = dict(zip([g.name for g in group], drawn.tolist(), strict=True))
    return _never_empty(counts | _share(group, keep, raw), layers)


def _share(group: Sequence[Layer], keep: int, raw: Mapping[str, float]) -> Counts:
    """Units to remove so that `keep` stay, densities in proportion to `raw` and at most 1."""
    units = {g.name: g.units for g in group}
    dense: set[str] = set()
    while True:
        free = keep - sum(units[n] for n in dense)
        scale = free / sum(raw[n] * units[n] for n in units if n not in dense) if len(dense) < len(units) else 0.0
        over = {n for n in units if n not in dense and scale * raw[n] >= 1}
        if not over:
            break
        dense |= over
    exact = {n: float(units[n]) if n in dense else scale * raw[n] * units[n] for n in units}
    kept = {n: int(v) for n, v in exact.items()}
    # Largest remainders make the total exact.
    for n in sorted(exact, key=lambda n: kept[n] - exact[n])[: keep - sum(kept.values())]:
        kept[n] += 1
    return {n: units[n] - kept[n] for n in units}


def by_threshold(layers: Sequence[Layer], scores: Mapping[str, Tensor]) -> Counts:
    """How many units of each layer fall under one L1 threshold over all linear layers in scope.

    The counts of `torch.nn.utils.prune.global_unstructured`; filters stay uniform, since a filter's L1
    norm grows with its size and does not compare between layers.
    """
    counts = uniform([layer for layer in layers if layer.unit == "filter"])
    group = [layer for layer in layers if layer.in_scope and layer.unit == "weight"]
    flat = torch.cat([scores[g.name].flatten() for g in group])
    remove = round(group[0].nominal * len(flat))
    gone = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    gone[torch.topk(flat, remove, largest=False, sorted=False).indices] = True
    parts = gone.split([g.units for g in group])
    return _never_empty(counts | {g.name: int(part.sum()) for g, part in zip(group, parts, strict=True)}, layers)


def _never_empty(counts: Counts, layers: Sequence[Layer]) -> Counts:
    for layer in layers:
        if counts.get(layer.name, 0) >= layer.units:
            raise PaperlibError(
                f"sparsity {layer.nominal:g} leaves layer {layer.name!r} empty ({layer.units} units); lower it"
            )
    return counts
