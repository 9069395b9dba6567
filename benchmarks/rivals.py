"""What a user would pick instead, beside ours: torch, torch.compile, CSR, runtimes, torch-pruning and sparselab.

`python benchmarks/rivals.py [--check] [--repeats N] [--only WORD]`, on one thread; the extra `rivals` brings what is
compared, and what is missing is left out and named. All networks are made first. Then, case by case, all ways run in
rounds of random order; a speed is the shortest time of dense over that of the way, dense in torch and dense through the
same engine, so that what an engine gains is not taken for what pruning gains. A/A is dense again beside dense. Beside
each speed stands how far the logits are from those of the masked network, as a share of the largest. Where a rival
wins, a line says so; --check exits 1 where it does with filters, or where a target is missed.
"""

import argparse
import math
import os
import random
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import distributions
from time import perf_counter
from timeit import timeit

os.environ.setdefault("OMP_NUM_THREADS", "1")  # sparselab starts threads of its own

import numpy as np
import torch
from torch import Tensor, nn

from paperlib.execution.backends import Network, to_backend
from paperlib.execution.compact import to_compact
from paperlib.execution.runtimes import OnnxModel, OpenVinoModel, is_installed, to_onnx, to_runtime_compact
from paperlib.models.graph import streams
from paperlib.models.mlp import mlp_medium
from paperlib.models.resnet import resnet18
from paperlib.models.vgg import vgg16
from paperlib.pruners import METHODS, Pruning, apply_masks, layers_of
from paperlib.schema.trial import make_trial
from paperlib.trials.environment import cpu_name

PACKAGES = ("torch", "llvmlite", "onnxruntime", "openvino", "torch-pruning", "sparselab")
SPARSITIES, KEPT, BATCHES = (0.8, 0.9, 0.95), (0.5, 0.2), (1, 64)
SAMPLE_S, CASE_S = 0.01, 10.0  # shorter calls are repeated for so long; rounds of a case take at least so long
SIDES: dict[str, tuple[Callable[..., nn.Module], int]] = {"resnet18": (resnet18, 28), "vgg16": (vgg16, 32)}
KINDS = {"torch": "eager", "torch.compile": "compiled"}  # else a runtime; ways are held against ways of their kind
# Least speed of our fastest exact way against dense in torch, by case.
TARGETS = {
    "resnet18 28 px, 50% of coupled filters, batch 64": 4.0,
    "resnet18 28 px, 20% of coupled filters, batch 64": 12.0,
    "resnet18 28 px, 20% of coupled filters, batch 1": 8.0,
}


@dataclass(frozen=True)
class Way:
    """A network through an engine. by: `ours`, `rival`, or `dense`, which is not pruned."""

    label: str
    engine: str
    by: str
    network: Network

    @property
    def name(self) -> str:
        return f"{self.label}, {self.engine}"

    @property
    def kind(self) -> str:
        return KINDS.get(self.engine, "runtime")


@dataclass(frozen=True)
class Case:
    """A pruned network at a batch size. masked: what all ways but the dense ones must answer as."""

    title: str
    images: Tensor
    masked: nn.Module
    ways: tuple[Way, ...]
    has_filters: bool = True


@dataclass(frozen=True)
class Result:
    """Of one way: seconds, speed against dense in torch and through its own engine, difference of the logits."""

    way: Way
    time_s: float
    speed: float
    pruning: float
    difference: float | None


@cache
def no_compiler() -> str:
    """Why torch.compile cannot make code here (no C++ compiler, no headers of Python), in a line; '' where it can."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(4))
    except Exception as error:  # which one hangs on what is missing
        return str(error).partition("\n")[0]
    return ""


def in_faster_format(model: nn.Module, images: Tensor) -> Network:
    """The network in that of torch's two memory formats in which it is faster."""
    last = deepcopy(model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if not any(isinstance(layer, nn.Conv2d) for layer in model.modules()):
        return model

    def channels_last(x: Tensor) -> Tensor:
        return last(x.contiguous(memory_format=torch.channels_last))

    forms: tuple[Network, Network] = (model, channels_last)
    calls = [partial(form, images) for form in forms]
    number = math.ceil(SAMPLE_S / timeit(calls[0], number=1))  # seven single calls chose wrongly one time in ten
    rounds = [[timeit(call, number=number) for call in calls] for _ in range(7)]
    seconds = [min(times) for times in zip(*rounds, strict=True)]
    return forms[seconds[1] < seconds[0]]


def engines(
    label: str, by: str, model: nn.Module, images: Tensor, for_runtimes: nn.Module | None = None, compiles: bool = True
) -> list[Way]:
    """The network through every engine that is here; `for_runtimes`, if given, through the runtimes."""
    file = to_onnx(for_runtimes or model, images)
    networks: dict[str, Network] = {"torch": in_faster_format(model, images), "onnxruntime": OnnxModel(file)}
    if compiles and not no_compiler():
        networks["torch.compile"] = torch.compile(deepcopy(model), dynamic=False)
        networks["torch.compile"](images)
    if is_installed("openvino"):
        networks["openvino"] = OpenVinoModel(file)
    return [Way(label, engine, by, network) for engine, network in networks.items()]


def dense_ways(build: Callable[[], nn.Module], images: Tensor) -> list[Way]:
    """Dense through every engine, and again (A/A) through those in which that is made fast."""
    again = engines("dense again", "dense", build().eval(), images, compiles=False)
    return engines("dense", "dense", build().eval(), images) + again


def sparselab_layer(dense: nn.Linear) -> nn.Module:
    """A linear layer as sparselab runs it."""
    import sparselab

    layer = sparselab.SparseLinear(dense.in_features, dense.out_features, sparsity=0.99)
    layer._csr = sparselab.PaddedCSR.from_dense(dense.weight.detach())
    layer._values, layer.bias = nn.Parameter(torch.from_numpy(np.asarray(layer._csr.values))), dense.bias
    return layer


def csr(layer: nn.Linear) -> nn.Module:
    """A linear layer whose weights are torch's CSR."""
    layer.weight = nn.Parameter(layer.weight.detach().to_sparse_csr(), requires_grad=False)
    return layer


def with_linear(model: nn.Module, make: Callable[[nn.Linear], nn.Module]) -> nn.Module:
    model = deepcopy(model)
    for name, layer in [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)]:
        model.set_submodule(name, make(layer))
    return model


def perceptrons() -> Iterator[Case]:
    """P's full-size mlp-medium without single weights."""
    for batch in BATCHES:
        images = torch.randn(batch, 1, 28, 28)
        dense = dense_ways(lambda: mlp_medium((28, 28, 1), 10, 1.0), images)
        for sparsity in SPARSITIES:
            model = mlp_medium((28, 28, 1), 10, 1.0).eval()
            for layer in model.modules():
                if isinstance(layer, nn.Linear):
                    layer.weight.data[torch.rand_like(layer.weight) < sparsity] = 0
            ways = [*dense, *engines("masked", "rival", model, images)]
            ways.append(Way("sparse kernel", "torch", "ours", to_backend(model, {}, "sparse", images)))
            ways.append(Way("CSR", "torch", "rival", with_linear(model, csr)))
            if is_installed("sparselab"):
                ways.append(Way("sparselab", "torch", "rival", with_linear(model, sparselab_layer)))
            if is_installed("openvino"):
                rate = {"CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE": 0.5}
                unpacked = OpenVinoModel(to_onnx(model, images), options=rate)
                ways.append(Way("masked, sparse weights unpacked", "openvino", "rival", unpacked))
            yield Case(f"mlp-medium, {sparsity:.0%} of weights gone, batch {batch}", images, model, tuple(ways), False)


@torch.enable_grad()
def by_torch_pruning(model: nn.Module, masks: Mapping[str, Tensor], images: Tensor) -> nn.Module:
    """The network without the channels that the masks of its streams remove, cut by torch-pruning."""
    import torch_pruning

    small = deepcopy(model)
    graph = torch_pruning.DependencyGraph().build_dependency(small, example_inputs=images[:1])
    for name in dict.fromkeys(streams(model).values()):
        gone = (~masks[name]).nonzero()[:, 0].tolist()
        graph.get_pruning_group(small.get_submodule(name), torch_pruning.prune_conv_out_channels, idxs=gone).prune()
    return small


def convolutional(name: str) -> Iterator[Case]:
    """F's networks without whole filters: the papers' choice, layer by layer, and for ResNet18 coupled channels."""
    build, side = SIDES[name]
    for batch in BATCHES:
        images = torch.randn(batch, 3, side, side)
        dense = dense_ways(partial(build, (side, side, 3), 10), images)
        for method in ("pre-training", "pre-training-coupled") if name == "resnet18" else ("pre-training",):
            coupled = method.endswith("coupled")
            for keep in KEPT:
                trial = make_trial(model=name, method=method, conv_sparsity=1 - keep)
                model = build((side, side, 3), 10).eval()
                layers = layers_of(model, trial)
                masks = METHODS[method]().initial_masks(Pruning(trial, layers, torch.Generator()))
                apply_masks(layers, masks)
                small = to_compact(model, masks)
                ways = [*dense, Way("masked", "torch", "rival", in_faster_format(model, images))]
                ways += engines("ours", "ours", small, images, to_runtime_compact(model, masks))
                if is_installed("torch_pruning") and (coupled or name == "vgg16"):
                    ways += engines("torch-pruning", "rival", by_torch_pruning(model, masks, images), images)
                word = "coupled filters" if coupled else "filters"
                yield Case(f"{name} {side} px, {keep:.0%} of {word}, batch {batch}", images, model, tuple(ways))


def measure(case: Case, repeats: int) -> list[Result]:
    """Shortest times over rounds in random order; differences from the masked network."""
    times: dict[str, list[float]] = {way.name: [] for way in case.ways}
    with torch.no_grad():  # in inference mode torch refuses its CSR
        expected = case.masked(case.images)
        apart = {w.name: float((w.network(case.images) - expected).abs().max()) for w in case.ways}
        calls = {way.name: partial(way.network, case.images) for way in case.ways}
        number = {name: math.ceil(SAMPLE_S / timeit(call, number=1)) for name, call in calls.items()}
        start, done = perf_counter(), 0
        while done < repeats or perf_counter() < start + CASE_S:
            done += 1
            for name in random.sample(list(calls), len(calls)):
                times[name].append(timeit(calls[name], number=number[name]) / number[name])
    scale = float(expected.abs().max())
    differences = {way.name: None if way.by == "dense" else apart[way.name] / scale for way in case.ways}
    return results(case.ways, {name: min(t) for name, t in times.items()}, differences)


def results(ways: Sequence[Way], seconds: Mapping[str, float], differences: Mapping[str, float | None]) -> list[Result]:
    """Speeds from the seconds of each way by name."""
    return [
        Result(
            way, seconds[way.name], seconds["dense, torch"] / seconds[way.name],
            seconds[f"dense, {way.engine}"] / seconds[way.name], differences[way.name],
        )
        for way in ways
    ]  # fmt: skip


def noise(found: Sequence[Result]) -> float:
    """The largest factor between dense again and dense through the same engine."""
    return max(max(r.pruning, 1 / r.pruning) for r in found if r.way.label == "dense again")


def defeats(found: Sequence[Result], floor: float) -> list[str]:
    """Where our fastest way of a kind is slower than the fastest other by more than the factor `floor`."""
    lines = []
    for kind in dict.fromkeys(r.way.kind for r in found if r.way.by == "ours"):
        ours, other = (
            min((r for r in found if r.way.kind == kind and (r.way.by == "ours") == mine), key=lambda r: r.time_s)
            for mine in (True, False)
        )
        if ours.time_s > floor * other.time_s:
            ratio = ours.time_s / other.time_s
            lines.append(f"{kind}: {other.way.name} is {ratio:.2f} times as fast as {ours.way.name}")
    return lines


def table(title: str, found: Sequence[Result]) -> str:
    rows = [f"\n{title}", f"{'':44}{'ms':>10}{'to dense':>10}{'pruning':>10}  difference"]
    for r in sorted(found, key=lambda r: r.time_s):
        apart = "" if r.difference is None else f"{r.difference:.0e}"
        rows.append(f"{r.way.name:44}{r.time_s * 1e3:10.3f}{r.speed:9.2f}x{r.pruning:9.2f}x  {apart}")
    return "\n".join(rows)


def missed(title: str, found: Sequence[Result]) -> list[str]:
    """The target of this case where our fastest exact way misses it."""
    best, target = max(r.speed for r in found if r.way.by == "ours"), TARGETS.get(title, 0.0)
    return [] if best >= target else [f"ours reaches {best:.2f}x dense in torch, short of {target:.3g}x"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 where a rival wins with filters, or for a target")
    parser.add_argument("--repeats", type=int, default=7, help="least rounds")
    parser.add_argument("--only", choices=["mlp", *SIDES])
    options = parser.parse_args()
    torch.set_num_threads(1)
    versions = [f"{d.name} {d.version}" for d in distributions() if d.name.lower().replace("_", "-") in PACKAGES]
    print(f"{cpu_name()}, one thread; {', '.join(sorted(versions))}")
    print("not installed, so left out:", ", ".join(p for p in PACKAGES if not is_installed(p.replace("-", "_"))) or "-")
    if no_compiler():
        print(f"torch.compile is left out: {no_compiler()}")
    makers = {"mlp": perceptrons} | {name: partial(convolutional, name) for name in SIDES}
    with torch.no_grad():
        cases = [case for name, make in makers.items() if options.only in {None, name} for case in make()]
    print("all networks made; measuring", flush=True)
    measured = [(case, measure(case, options.repeats)) for case in cases]
    floor, good = max(noise(found) for _, found in measured), True
    for case, found in measured:
        print(table(case.title, found))
        lost, short = defeats(found, floor), missed(case.title, found)
        good &= not short and not (lost and case.has_filters)
        print("\n".join([*lost, *short] or ["no rival is faster"]))
    print(f"\nA/A: dense again within a factor of {floor:.3f} of dense")
    return 1 if options.check and not good else 0


if __name__ == "__main__":
    sys.exit(main())
