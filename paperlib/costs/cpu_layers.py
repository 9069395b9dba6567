"""Single layers on this CPU, and its own limits, at one thread."""

import random
import time
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from paperlib.costs.records import BATCHES
from paperlib.execution import sparse_kernel
from paperlib.execution.sparse import SparseLinear, best_time
from paperlib.schema.measurement import InferenceEngine
from paperlib.schema.record import Environment, Frozen
from paperlib.trials.environment import describe_environment
from paperlib.trials.resources import exclusive_resources, limit_threads

LAYER_S = 0.1  # for the calls of a single layer, dense or sparse
# A convolution of ResNet18's second stage at 28 px, with as many channels in as out.
CHANNELS, SIDE, IMAGES, CHANNEL_ROUNDS = range(64, 129), 14, (1, 8), 12


class LayerTime(Frozen):
    """Seconds of one layer at batch 64, one thread, with its arithmetic and the bytes that it must move."""

    network: str
    layer: str
    flops: int
    bytes_moved: int
    time_s: float


class Csr(Frozen):
    """Sparse beside dense for one linear layer: ratio of shortest times, at one thread."""

    shape: tuple[int, int]
    batch_size: int
    sparsity: float
    ratio: float


class ChannelTime(Frozen):
    """Shortest seconds of a 3 × 3 convolution of so many channels in and out, on images of 14 px."""

    channels: int
    batch_size: int
    time_s: float


class Machine(Frozen):
    """What this CPU can do at one thread, and single layers on it. engine: what computed the sparse ones; channels:
    convolutions by their number of channels."""

    peak_flops: float
    bandwidth: float
    layers: tuple[LayerTime, ...]
    csr: tuple[Csr, ...]
    environment: Environment
    engine: InferenceEngine | None = None
    channels: tuple[ChannelTime, ...] = ()


@exclusive_resources(["cpu"])
def measure_machine(
    networks: Iterable[tuple[str, nn.Module, tuple[int, int, int]]], sparsities: Sequence[float]
) -> Machine:
    """Peak arithmetic and bandwidth at one thread, the time of every layer, and sparse beside dense per shape.

    networks: name, network and shape of its images; sparsities: of the linear layers that run sparse.
    """
    with limit_threads(1), torch.inference_mode():
        a, b = torch.randn(512, 512), torch.randn(512, 512)
        peak = 2 * 512**3 / best_time(lambda: a @ b)
        source, target = torch.randn(2**24), torch.empty(2**24)  # 64 MiB each: larger than the caches
        bandwidth = 2 * source.nbytes / best_time(lambda: target.copy_(source))
        layers, shapes = list[LayerTime](), set[tuple[int, int]]()
        for name, network, shape in networks:
            layers += _layer_times(name, network, shape)
            linear = [m for m in network.modules() if isinstance(m, nn.Linear)] if name.endswith("dense") else []
            shapes |= {(m.out_features, m.in_features) for m in linear}
        csr = [
            Csr(shape=shape, batch_size=size, sparsity=s, ratio=sparse_ratio(shape, size, s, LAYER_S))
            for shape in sorted(shapes)
            for size in BATCHES
            for s in sparsities
        ]
        channels = [time for size in IMAGES for time in _channel_times(size)]
    return Machine(
        peak_flops=peak,
        bandwidth=bandwidth,
        layers=tuple(layers),
        csr=tuple(csr),
        environment=describe_environment("cpu"),
        engine="llvm" if sparse_kernel.available() else "torch-csr",
        channels=tuple(channels),
    )


def _channel_times(batch_size: int) -> list[ChannelTime]:
    """Of every number in CHANNELS, in turn and in random order, so that a drift of the machine favours none."""
    layers = {n: nn.Conv2d(n, n, 3, padding=1) for n in CHANNELS}
    images = {n: torch.randn(batch_size, n, SIDE, SIDE) for n in CHANNELS}
    times: dict[int, list[float]] = {n: [] for n in CHANNELS}
    order = random.Random(0)
    for _ in range(CHANNEL_ROUNDS):
        for n in order.sample(CHANNELS, len(CHANNELS)):
            times[n].append(best_time(lambda n=n: layers[n](images[n]), 1))  # type: ignore[misc]
    return [ChannelTime(channels=n, batch_size=batch_size, time_s=min(of)) for n, of in times.items()]


def _layer_times(label: str, network: nn.Module, shape: tuple[int, int, int]) -> list[LayerTime]:
    """The shortest of four runs of every convolution and linear layer, in the order of the network."""
    best: dict[str, LayerTime] = {}
    starts: dict[str, float] = {}

    def before(name: str) -> Callable[..., None]:
        return lambda *_: starts.update({name: time.perf_counter()})

    def after(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            took = time.perf_counter() - starts[name]
            weight: Tensor = layer.weight  # type: ignore[assignment]
            flops = 2 * weight.numel() * (output.numel() // output.shape[1])
            moved = weight.nbytes + inputs[0].nbytes + output.nbytes
            if name not in best or took < best[name].time_s:
                best[name] = LayerTime(network=label, layer=name, flops=flops, bytes_moved=moved, time_s=took)

        return hook

    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_pre_hook(before(name))
            layer.register_forward_hook(after(name))
    images = torch.randn(max(BATCHES), shape[2], *shape[:2])
    for _ in range(4):
        network(images)
    return list(best.values())


def sparse_ratio(shape: tuple[int, int], size: int, sparsity: float, seconds: float) -> float:
    """Time of a sparse linear layer (out, in) to dense at this batch size and share of zeros: shortest calls.

    seconds: for the calls of each, at least three.
    """
    layer = nn.Linear(shape[1], shape[0])
    layer.weight.data[torch.rand(shape) < sparsity] = 0
    sparse, x = SparseLinear(layer, size), torch.randn(size, shape[1])
    once = best_time(lambda: layer(x), 1)
    repeats = min(30, max(3, int(seconds / once)))
    return best_time(lambda: sparse(x), repeats) / best_time(lambda: layer(x), repeats)


def crossing(points: Sequence[tuple[float, float]]) -> float | None:
    """The sparsity from which on ratio < 1, between measured (sparsity, ratio) points; None if never reached."""
    points = sorted(points)
    if points[-1][1] >= 1:
        return None
    last = max((i for i, (_, ratio) in enumerate(points) if ratio >= 1), default=-1)
    if last < 0:
        return points[0][0]
    (s0, r0), (s1, r1) = points[last], points[last + 1]
    return s0 + (s1 - s0) * (r0 - 1) / (r0 - r1)
