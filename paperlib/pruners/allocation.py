"""How many units each layer loses: uniform, Erdős–Rényi, in random ratios, or by one threshold over all layers.

Every function returns layer name -> units to remove, for the layers in scope, with filters kept in the multiples that
the trial asks for, and raises PaperlibError where a layer would be left without any unit.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from paperlib.core.errors import PaperlibError
from paperlib.pruners.layers import Layer

Counts = dict[str, int]


def uniform(layers: Sequence[Layer]) -> Counts:
    """The layer's nominal share of its own units, rounded as `torch.nn.utils.prune` rounds it."""
    return _checked({layer.name: round(layer.nominal * layer.units) for layer in layers if layer.in_scope}, layers)


def erdos_renyi(layers: Sequence[Layer]) -> Counts:
    """Density of a layer ∝ (n_in + n_out) / (n_in · n_out), at exactly the total of `uniform`.

    Weights and filters are allocated apart, since their sparsities are two targets. For filters n_in and n_out are
    the channels; the kernel's size, which RigL's Erdős–Rényi-kernel adds (https://arxiv.org/abs/1911.11134), does
    not count. A density above 1 is cut at 1 and the rest rescaled. Source: SET,
    https://doi.org/10.1038/s41467-018-04316-3.
    """
    counts: Counts = {}
    for unit in ("weight", "filter"):
        group = _in_scope(layers, unit)
        shapes = [layer.module.weight.shape[:2] for layer in group]
        counts |= _in_proportion(group, [(n_out + n_in) / (n_out * n_in) for n_out, n_in in shapes])
    return _checked(counts, layers)


def random_ratios(layers: Sequence[Layer], generator: torch.Generator) -> Counts:
    """Layer densities in random proportion (uniform in 0.1 to 1), at exactly the total of `uniform`.

    Filters stay uniform: their count is no share of the weights.
    """
    group = _in_scope(layers, "weight")
    ratios = 0.1 + 0.9 * torch.rand(len(group), generator=generator)
    return _checked(uniform(_in_scope(layers, "filter")) | _in_proportion(group, ratios.tolist()), layers)


def by_threshold(layers: Sequence[Layer], scores: Mapping[str, Tensor]) -> Counts:
    """How many units of each layer fall under one threshold over the scores of all linear layers in scope.

    scores: layer name -> float tensor of the layer's mask shape. The counts are those of
    `torch.nn.utils.prune.global_unstructured`; filters stay uniform, since a filter's L1 norm grows with its size and
    does not compare between layers.
    """
    group = _in_scope(layers, "weight")
    flat = torch.cat([scores[g.name].flatten() for g in group])
    removed = torch.zeros(len(flat), dtype=torch.bool, device=flat.device)
    removed[torch.topk(flat, round(group[0].nominal * len(flat)), largest=False, sorted=False).indices] = True
    parts = removed.split([g.units for g in group])
    weights = {g.name: int(part.sum()) for g, part in zip(group, parts, strict=True)}
    return _checked(uniform(_in_scope(layers, "filter")) | weights, layers)


def _in_scope(layers: Sequence[Layer], unit: str) -> list[Layer]:
    return [layer for layer in layers if layer.in_scope and layer.unit == unit]


def _in_proportion(group: Sequence[Layer], ratios: Sequence[float]) -> Counts:
    """Units to remove, densities in proportion to `ratios` and at most 1, in total as many as `uniform` removes."""
    units = {g.name: g.units for g in group}
    ratio = dict(zip(units, ratios, strict=True))
    total = sum(units.values()) - sum(round(g.nominal * g.units) for g in group)
    dense: set[str] = set()
    while True:
        free = total - sum(units[n] for n in dense)
        scale = free / sum(ratio[n] * units[n] for n in units if n not in dense) if len(dense) < len(units) else 0.0
        over = {n for n in units if n not in dense and scale * ratio[n] >= 1}
        if not over:
            break
        dense |= over
    exact = {n: float(units[n]) if n in dense else scale * ratio[n] * units[n] for n in units}
    left = {n: int(v) for n, v in exact.items()}
    # Largest remainders make the total exact.
    for n in sorted(exact, key=lambda n: left[n] - exact[n])[: total - sum(left.values())]:
        left[n] += 1
    return {n: units[n] - left[n] for n in units}


def _checked(counts: Counts, layers: Sequence[Layer]) -> Counts:
    for layer in layers:
        if counts.get(layer.name, 0) >= layer.units:
            raise PaperlibError(
                f"sparsity {layer.nominal:g} leaves layer {layer.name!r} empty ({layer.units} units); lower it"
            )
        if layer.round_to > 1 and layer.name in counts:  # the nearest multiple, at least one
            kept = layer.round_to * max(1, round((layer.units - counts[layer.name]) / layer.round_to))
            counts[layer.name] = max(0, layer.units - kept)
    return counts
