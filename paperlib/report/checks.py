"""Facts that hold on every machine and under every profile, one line each: the last cell of a notebook prints them."""

from collections import Counter
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from paperlib.claims import CLAIMS, Verdict
from paperlib.core.paths import Layout
from paperlib.costs.cpu_study import EdgeRecord
from paperlib.execution.backends import to_backend
from paperlib.exhibits.manifest import Exhibit, output_root
from paperlib.models import build
from paperlib.pruners import Masks, layers_of
from paperlib.schema.record import Record
from paperlib.schema.trial import Trial, make_trial
from paperlib.studies.cpu import settings

EXACT = {"pre-training", "post-training", "random"}  # methods that remove the nominal share of each layer
SOURCES = ("official", "rebuilt", "subset", "stand-in")


def of_trials(number: str, trials: Sequence[Trial], records: Sequence[Record]) -> str:
    """Of notebook 01, 02 or 03 and what it ran."""
    done = [r for r in records if r.status == "done"]
    dense = {r.id: r for r in done if r.trial.method == "dense"}
    post = [r for r in done if r.trial.method == "post-training"]
    facts = {
        "every trial has a record": len(records) == len(trials),
        "every record says where its images come from": all(r.data.source for r in records),
        "no layer was left empty": all(layer.removed < layer.units for r in done for layer in r.layers),
        "post-training has the training of its dense trial": all(
            r.curve == dense[str(r.shared_training)].curve for r in post
        ),
    } | {"01": _of_perceptrons, "02": _as_published, "03": _of_scenarios}[number](done)
    counted = {"01": _counted_in_scopes, "02": _counted_as_published, "03": _counted_parameters}[number]
    return "\n".join([*_lines(facts), *counted()])


def of_collation(
    exhibits: Sequence[Exhibit], verdicts: Sequence[Verdict], trials: set[str], costs: set[str], layout: Layout
) -> str:
    """Of notebook 05: ids of the trials and of the costs that are there, and what was made of them."""
    files = [output_root(layout) / name for e in exhibits for name in e.files]
    of_trials = [e for e in exhibits if not set(e.trials) <= costs]
    facts = {
        "every file of the manifest is there": all(file.stat().st_size > 0 for file in files),
        "every exhibit names records that exist": all(e.trials and set(e.trials) <= trials | costs for e in exhibits),
        "every caption states n": all("n = " in e.caption for e in exhibits),
        "every caption of trials states where its images come from": all(
            any(word in e.caption for word in SOURCES) for e in of_trials
        ),
        "every claim has its verdict": len(verdicts) == len(CLAIMS) == 69,
    }
    return "\n".join(_lines(facts))


def of_cpu_study(records: Sequence[EdgeRecord], profile: str) -> str:
    """Of notebook 04 and what it measured or found."""
    timings = [t for r in records for run in r.runs for t in run.timings]
    variants = Counter(t.variant for t in timings)
    facts = {
        "every network has a record": [r.setting for r in records] == settings(profile),
        "every comparison has its A/A control": variants["dense-again"] == variants["dense"] > 0,
        "compact answers as masked does, to one tie": all(r.disagrees["compact"] <= 1 / 64 for r in records),
        "compact stores no more than dense": all(r.costs.compact_bytes <= r.costs.dense_bytes for r in records),
        "no figure of energy without its source": all(
            t.energy_source is not None for t in timings if t.energy_j_per_image is not None
        ),
    }
    return "\n".join(_lines(facts))


def _lines(facts: dict[str, bool]) -> Iterator[str]:
    return (f"{fact}: {holds}" for fact, holds in facts.items())


def _of_perceptrons(done: Sequence[Record]) -> dict[str, bool]:
    exact = [r for r in done if r.trial.method in EXACT and r.trial.scope in {"global", "layerwise"}]
    apart = (abs(layer.removed - layer.nominal * layer.units) for r in exact for layer in r.layers)
    return {"each layer lost its nominal share, to one weight": all(gap <= 1 for gap in apart)}


def _as_published(done: Sequence[Record]) -> dict[str, bool]:
    published = [_filters(r) for r in done if r.trial.quirks]
    return {
        "filters were pruned as whole units": any(sum(_filters(r)) for r in done),
        "the as-published arm keeps every filter": not any(map(sum, published)),
    }


def _of_scenarios(done: Sequence[Record]) -> dict[str, bool]:
    sized = [r for r in done if r.trial.method == "small-dense" and r.network]
    linear_only = [r for r in done if r.trial.sparsity and not r.trial.conv_sparsity]
    return {
        "small-dense removes nothing": all(r.network.zeros == 0 for r in sized if r.network),
        "scenario iii keeps every filter": not any(sum(_filters(r)) for r in linear_only),
    }


def _filters(record: Record) -> list[int]:
    """How many filters each convolution lost."""
    return [layer.removed for layer in record.layers if layer.unit == "filter"]


def _counted_in_scopes() -> Iterator[str]:
    with torch.device("meta"):
        network = build("mlp-small", (28, 28, 1), 10)
    for scope in ("global", "layerwise"):
        layers = layers_of(network, make_trial(method="pre-training", scope=scope, sparsity=0.5))
        gone = sum(round(layer.units * layer.nominal) for layer in layers if layer.in_scope)
        yield f"{scope} 50 % removes {gone:,} of {sum(layer.units for layer in layers):,} weights"


def _counted_as_published() -> Iterator[str]:
    with torch.device("meta"):
        network = build("vgg16", (32, 32, 3), 10)
    for scope, quirks in (("global", ()), ("layerwise", ("keeps-last-only",))):
        trial = make_trial(model="vgg16", method="pre-training", scope=scope, sparsity=0.5, quirks=quirks)
        layers = layers_of(network, trial)
        total = sum(layer.module.weight.numel() for layer in layers)
        prunable = sum(layer.module.weight.numel() for layer in layers if layer.in_scope)
        yield f"{scope} as published can prune {prunable:,} of {total:,} weights ({prunable / total:.1%})"


def _counted_parameters() -> Iterator[str]:
    for name, classes in (("vgg16", 1000), ("vgg16", 10), ("resnet18", 10)):
        with torch.device("meta"):
            network = build(name, (224, 224, 3), classes)
        parameters = sum(p.numel() for p in network.parameters())
        yield f"{name} at 224 px with {classes} classes: {parameters:,} parameters"


@torch.inference_mode()
def of_network(network: nn.Module, masks: Masks, images: Tensor, backend: str) -> str:
    """Of a pruned network (masks applied) and what `backend` makes of it; images: float (N, C, H, W)."""
    layers = dict(network.named_modules())
    removed = [layers[name].weight[~mask] for name, mask in masks.items()]
    answers, again = network.eval()(images), to_backend(network, masks, backend, images)(images)
    facts = {
        "every removed unit is exactly zero": all(bool((weights == 0).all()) for weights in removed),
        f"{backend} gives the answers of masked": torch.allclose(answers, again, rtol=1e-3, atol=1e-3),
    }
    return "\n".join(_lines(facts))
