"""Why a pruned network (untrained: shapes and zeros decide) is not faster: measured, with what would help."""

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.costs.cpu_layers import LAYER_S, crossing, sparse_ratio
from paperlib.costs.inference import exact_variants, forward_pass
from paperlib.costs.paired import compare
from paperlib.execution.compact import to_compact
from paperlib.execution.flops import count
from paperlib.execution.sparse import SparseLinear, best_time
from paperlib.meters import Meters
from paperlib.meters.cpu_power import cpu_name
from paperlib.pruners import METHODS, Masks, Pruning, apply_masks, criteria, layers_of
from paperlib.pruners.masks import remove_lowest
from paperlib.schema.measurement import Timing
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial
from paperlib.trials.resources import exclusive_resources, limit_threads
from paperlib.trials.runner import build_network

ROUNDS, BUDGET_S = 7, 2.0  # at least so many, and seconds for one batch size
PASS_S = 12.0  # for the fewest rounds: a batch of 64 becomes smaller where it would take longer
MULTIPLE = 8  # channels that vector registers like
LAYERS, LEAST_WEIGHTS = 3, 10_000  # the largest linear layers are looked at, and none smaller than that
TRIED = (0.5, 0.8, 0.9, 0.95)  # sparsities at which the break-even of a layer's shape is measured
LITTLE = 0.1  # of the arithmetic gone: no way of running it can save much
CALLS, STREAMED, WORSE = 0.25, 0.5, 1.25  # from these shares and this factor on they are reasons


@dataclass(frozen=True)
class LayerFigures:
    """A pruned linear layer (in, out): its sparsity, and (sparsity, sparse time / dense time) as measured."""

    name: str
    shape: tuple[int, int]
    sparsity: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Figures:
    """What was measured of one network, one thread; times against dense, interleaved.

    small, large: timings at batch 1 and at the larger batch; variants `dense`, `dense-again`, `masked`, `way` (the
    fastest exact one), `rounded` (its filters kept in multiples of 8) and `half` (half the filters gone); small has
    `calls`, too: a dense pass over no image.
    zeros: share of the weights removed; arithmetic: share of dense's FLOPs that is left without them.
    odd: channel counts of the compact network that are no multiples of 8.
    weight_bytes: of the dense network; bandwidth: bytes a second that a sum over as many bytes reads.
    """

    title: str
    way: str
    small: tuple[Timing, ...]
    large: tuple[Timing, ...]
    zeros: float
    arithmetic: float
    layers: tuple[LayerFigures, ...]
    odd: tuple[int, ...]
    weight_bytes: int
    bandwidth: float


@dataclass(frozen=True)
class Reason:
    """A reason in one line, and what would help by how much."""

    name: str
    found: str
    helps: str


def reasons(figures: Figures) -> list[Reason]:
    """Those of the reasons that the figures bear out, the papers' own way first."""
    return [reason for find in _FINDERS.values() if (reason := find(figures))]


def explain(record: Record) -> str:
    """Measure the network of a record now. Raises PaperlibError where it failed, and as `measure`."""
    if record.status == "failed":
        raise PaperlibError(f"trial {record.id} failed, so there is no network to explain: {record.reason}")
    removed = {layer.name: layer.removed for layer in record.layers}
    figures = measure(record.trial, record.data.shape, record.data.classes, removed)
    return describe(replace(figures, title=f"Trial {record.id}: {figures.title}"))


def describe(figures: Figures) -> str:
    """The figures as a small table, the reasons as sentences, and what is no reason here."""
    batch, found = figures.large[0].batch_size, reasons(figures)
    again, rounds = _of(figures.large, "dense-again"), min(figures.small[0].rounds, figures.large[0].rounds)
    lines = [
        *_wrapped(figures.title),
        *_wrapped(f"{cpu_name()}, 1 thread, {rounds} interleaved rounds; untrained weights, 95 % intervals"),
        f"{'time, dense = 1':<22}{'batch 1':>19}{f'batch {batch}':>22}",
        f"{'dense':<22}{_seconds(figures.small[0].median_s):>19}{_seconds(figures.large[0].median_s):>22}",
    ]
    names = {"dense-again": "dense again (A/A)", "masked": "masked", "way": figures.way}
    names |= {"rounded": f"{figures.way}, of {MULTIPLE}", "half": "half the filters"}
    for timing in figures.large:
        if timing.variant in names:
            other = _of(figures.small, timing.variant)
            lines.append(f"{names[timing.variant]:<22}{_interval(other):>19}{_interval(timing):>22}")
    for number, reason in enumerate(found, 1):
        lines += _wrapped(f"{number}. {reason.name}: {reason.found} {reason.helps}", "   ")
    if none := [name for name in _FINDERS if name not in {reason.name for reason in found}]:
        lines += _wrapped(f"No reason here: {', '.join(none).lower()}.")
    if again.ratio_high / again.ratio_low > 1.2:
        lines += _wrapped("The A/A interval is wide: other processes disturb; measure again when they are done.")
    return "\n".join(lines)


@exclusive_resources(["cpu"])
def measure(
    trial: Trial,
    shape: tuple[int, int, int],
    classes: int,
    removed: Mapping[str, int] | None = None,
    budget_s: float = BUDGET_S,
) -> Figures:
    """Time a trial's network on one thread in well under a minute, all ways interleaved with dense and dense again.

    shape: of its images (height, width, channels). removed: units that a record counted in each layer, where the masks
    must agree with one. budget_s: seconds for one batch size, if its fewest rounds take less. Raises PaperlibError for
    a trial of which nothing is removed, and as `build`, `layers_of` and `count`.
    """
    torch.manual_seed(0)
    dense = build_network(trial, shape, classes).eval()
    model, masks = _pruned(dense, trial, removed or {})
    if all(bool(mask.all()) for mask in masks.values()):
        raise PaperlibError(f"trial {trial.id} ({trial.method}) has no pruned network: nothing was removed from it")
    with limit_threads(1), torch.inference_mode():
        costs, compact = count(model, masks, shape), to_compact(model, masks)
        arithmetic = costs.inference_flops / costs.dense_inference_flops
        convolutions = [m for m in compact.modules() if isinstance(m, nn.Conv2d)]
        odd = tuple(m.out_channels for m in convolutions if trial.conv_sparsity and m.out_channels % MULTIPLE)
        networks: dict[str, nn.Module] = {"dense": dense, "dense-again": deepcopy(dense), "masked": model}
        if odd:
            networks["rounded"] = to_compact(*_pruned(dense, trial.model_copy(update={"round_to": MULTIPLE}), {}))
        if convolutions and arithmetic > 1 - LITTLE:
            half = {"method": "pre-training", "conv_sparsity": 0.5, "scope": "global"}
            networks["half"] = to_compact(*_pruned(dense, trial.model_copy(update=half), {}))
        one = torch.randn(1, shape[2], *shape[:2])
        # A linear layer reads its weights once for all images: 64 take far less than 64 times one.
        room_s = PASS_S * (1 if convolutions else 16) / ((len(networks) + 1) * (ROUNDS + 1))
        room = room_s / best_time(lambda: dense(one), 3)
        images = one.repeat(min(64, 2 ** max(0, math.floor(math.log2(room)))), 1, 1, 1)
        way, timed, meters = "", list[tuple[Timing, ...]](), Meters.for_device("cpu")
        for batch in (images, one):
            ((name, best),) = exact_variants(model, masks, [batch])
            if name == "masked":  # nothing pays: the way that was to be
                pair = ("compact", compact) if trial.conv_sparsity else ("sparse", _sparse(model, masks, len(batch)))
                name, best = pair
            way = way or name
            calls = {name: forward_pass(x, batch) for name, x in (networks | {"way": best}).items()}
            calls |= {"calls": forward_pass(dense, one[:0])} if batch is one else {}
            effort = partial(compare, meters=meters, min_rounds=ROUNDS, budget_s=budget_s, seed=0)
            timed.append(effort(calls, batch_size=len(batch)))
        weights = [m.weight for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
        buffer = torch.ones(sum(w.numel() for w in weights))
        gone = f"{trial.sparsity:.0%} of linear weights"
        gone += f", {trial.conv_sparsity:.0%} of filters" if convolutions else ""
        return Figures(
            title=f"{trial.method} {trial.model} on {trial.dataset}, {gone} removed",
            way=way,
            small=timed[1],
            large=timed[0],
            zeros=sum(int((w == 0).sum()) for w in weights) / buffer.numel(),
            arithmetic=arithmetic,
            layers=tuple(_layers(model, masks, len(images))),
            odd=odd,
            weight_bytes=buffer.nbytes,
            bandwidth=buffer.nbytes / best_time(buffer.sum),
        )


def _pruned(dense: nn.Module, trial: Trial, removed: Mapping[str, int]) -> tuple[nn.Module, Masks]:
    """A copy under the masks that the method begins or ends with; smallest L1 by count where it counted otherwise."""
    model = deepcopy(dense)
    layers, method = layers_of(model, trial), METHODS[trial.method]()
    pruning = Pruning(trial, layers, torch.Generator().manual_seed(0))
    masks = method.final_masks(pruning, method.initial_masks(pruning)) if method.prunes else {}
    counts = {layer.name: int((~masks[layer.name]).sum()) if layer.name in masks else 0 for layer in layers}
    if removed and removed != counts:
        masks = {x.name: remove_lowest(criteria.l1(x), removed[x.name]) for x in layers if removed.get(x.name)}
    apply_masks(layers, masks)
    return model, masks


def _sparse(model: nn.Module, masks: Masks, batch: int) -> nn.Module:
    sparse = deepcopy(model)
    for name in masks:
        sparse.set_submodule(name, SparseLinear(sparse.get_submodule(name), batch))  # type: ignore[arg-type]
    return sparse


def _layers(model: nn.Module, masks: Masks, size: int) -> Iterator[LayerFigures]:
    """The largest pruned linear layers, each shape measured once."""
    linear = {name: model.get_submodule(name) for name in masks}
    largest = sorted(linear, key=lambda name: -masks[name].numel())
    for name in [n for n in largest if isinstance(linear[n], nn.Linear) and masks[n].numel() >= LEAST_WEIGHTS][:LAYERS]:
        out, into = masks[name].shape
        sparsity = 1 - float(masks[name].float().mean())
        points = [(s, sparse_ratio((out, into), size, s, LAYER_S)) for s in sorted({*TRIED, sparsity})]
        yield LayerFigures(name, (into, out), sparsity, tuple(points))


def _masked(figures: Figures) -> Reason | None:
    masked, way, small = _of(figures.large, "masked"), _of(figures.large, "way"), _of(figures.small, "way")
    found = (
        f"{100 * figures.zeros:.2g}% of the weights are zeros and are multiplied all the same (×{masked.ratio:.2f})."
    )
    helps = f"Left out ({figures.way}): ×{small.ratio:.2f} at batch 1, ×{way.ratio:.2f} at batch {way.batch_size}."
    if way.ratio_high >= min(1.0, _of(figures.large, "dense-again").ratio_low):
        helps = f"{helps[:-1]}: no gain beyond the noise."
    return Reason("Masked", found, helps)


def _too_few(figures: Figures) -> Reason | None:
    half = next((t for t in figures.large if t.variant == "half"), None)
    if figures.arithmetic > 1 - LITTLE and half:
        found = f"what was removed does {100 - 100 * figures.arithmetic:.2g}% of the arithmetic."
        helps = f"With half the filters gone (compact): ×{half.ratio:.2f} at batch {half.batch_size}."
        return Reason("Too few weights gone", found, helps)
    losing = [layer for layer in figures.layers if dict(layer.points)[layer.sparsity] >= 1]
    if not losing:
        return None
    layer = losing[0]
    at, (best, ratio) = crossing(layer.points), min(layer.points, key=lambda point: point[1])
    pays = "pays at none that was tried" if at is None else f"pays from {at:.0%} on"
    found = f"{layer.name} ({layer.shape[0]}→{layer.shape[1]}) lost {layer.sparsity:.0%}; sparse {pays}."
    return Reason("Too few weights gone", found, f"At {best:.0%} the layer takes ×{ratio:.2f}.")


def _odd_channels(figures: Figures) -> Reason | None:
    rounded, way = (next((t for t in figures.large if t.variant == name), None) for name in ("rounded", "way"))
    if not figures.odd or rounded is None or way is None or rounded.ratio_high >= way.ratio_low:
        return None
    some = ", ".join(map(str, figures.odd[:3]))
    found = f"{len(figures.odd)} convolutions have channels in no multiple of {MULTIPLE} ({some} …)."
    helps = f"--round-to {MULTIPLE}: ×{rounded.ratio:.2f} instead of ×{way.ratio:.2f}."
    return Reason("Odd channel counts", found, helps)


def _batch(figures: Figures) -> Reason | None:
    small, large, calls = _of(figures.small, "way"), _of(figures.large, "way"), _of(figures.small, "calls")
    share = calls.median_s / small.median_s
    per_image = large.median_s / large.batch_size / small.median_s
    helps = f"At batch {large.batch_size} an image takes ×{per_image:.2f}."
    if share >= CALLS:
        found = f"calls alone take {_seconds(calls.median_s)}, {min(1, share):.0%} of {figures.way} at batch 1."
        return Reason("Batch too small", found, helps)
    if small.ratio_low > WORSE * large.ratio_high:
        found = f"{figures.way} takes ×{small.ratio:.2f} at batch 1, ×{large.ratio:.2f} at batch {large.batch_size}."
        return Reason("Batch too small", found, helps)
    return None


def _memory(figures: Figures) -> Reason | None:
    dense, way = _of(figures.small, "dense"), _of(figures.small, "way")
    rate = figures.weight_bytes / dense.median_s
    if rate < STREAMED * figures.bandwidth:
        return None
    found = f"batch 1 reads {rate / 1e9:.1f} GB/s of weights of {figures.bandwidth / 1e9:.1f} that can be read."
    return Reason("Memory-bound", found, f"Fewer bytes ({figures.way}): ×{way.ratio:.2f}.")


_FINDERS = {
    "Masked": _masked,
    "Too few weights gone": _too_few,
    "Odd channel counts": _odd_channels,
    "Batch too small": _batch,
    "Memory-bound": _memory,
}


def _of(timings: Sequence[Timing], variant: str) -> Timing:
    return next(t for t in timings if t.variant == variant)


def _interval(timing: Timing) -> str:
    return f"{timing.ratio:.2f} [{timing.ratio_low:.2f}, {timing.ratio_high:.2f}]"


def _seconds(value: float) -> str:
    return f"{value * 1e3:.3g} ms" if value >= 1e-3 else f"{value * 1e6:.3g} µs"


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, 80, subsequent_indent=indent)
