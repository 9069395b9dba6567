"""What each backend costs on this CPU: networks, single layers and the machine's own limits.

Weights are untrained: time and energy depend on shapes and zeros, not on what was learnt.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

import torch
from torch import Tensor, nn

from paperlib.core.paths import Layout
from paperlib.costs.inference import cold_start, forward_pass
from paperlib.costs.paired import MIN_ROUNDS, compare, load_time
from paperlib.costs.records import BATCHES
from paperlib.execution.backends import Network, engine_of, to_backend
from paperlib.execution.compact import to_compact
from paperlib.execution.flops import count
from paperlib.execution.runtimes import RuntimeModel
from paperlib.execution.sparse import SparseLinear, best_time
from paperlib.meters import Meters
from paperlib.models import MODELS, build
from paperlib.pruners import apply_masks, criteria, layers_of
from paperlib.pruners.masks import Masks, remove_lowest
from paperlib.schema.measurement import Timing
from paperlib.schema.record import Costs, Environment, Frozen
from paperlib.schema.trial import make_trial
from paperlib.trials.environment import cores, describe_environment
from paperlib.trials.resources import exclusive_resources, limit_threads

QUANTISED = ("int8", "compact+int8")
# Ratios of what runs through a runtime are to the dense network through it, whose own ratio is what the runtime gains.
RUNTIME = "onnxruntime"
RUNTIME_AGAIN, COMPACT_RUNTIME = f"{RUNTIME}-again", f"compact+{RUNTIME}"
SHAPE = (32, 32, 3)
# By scenario: share of filters removed per share of weights; paper F's three at 0.8 of the weights.
CONV_PER_LINEAR = {"i": 1.0, "ii": 0.625, "iii": 0.0}


class CpuSetting(Frozen):
    """One network of the study. runtimes: also through onnxruntime, compact and dense."""

    model: str
    width: float
    scenario: str
    sparsity: float
    quantised: bool
    budget_s: float
    runtimes: bool = False

    @property
    def conv_sparsity(self) -> float:
        return self.sparsity * CONV_PER_LINEAR[self.scenario]

    @property
    def id(self) -> str:
        return hashlib.sha256(json.dumps(self.model_dump(exclude_defaults=True), sort_keys=True).encode()).hexdigest()[
            :16
        ]


class Run(Frozen):
    """All backends at one number of threads. cold_s: seconds to read the weights and give the first answer, batch 1."""

    threads: int
    timings: tuple[Timing, ...]
    cold_s: dict[str, float]


class LayerTime(Frozen):
    """Seconds of one layer at batch 64, one thread, with its arithmetic and the bytes that it must move."""

    network: str
    layer: str
    flops: int
    bytes_moved: int
    time_s: float


class Csr(Frozen):
    """CSR beside dense for one linear layer: ratio of best times, at one thread."""

    shape: tuple[int, int]
    batch_size: int
    sparsity: float
    ratio: float


class Machine(Frozen):
    """What this CPU can do at one thread, and single layers on it."""

    peak_flops: float
    bandwidth: float
    layers: tuple[LayerTime, ...]
    csr: tuple[Csr, ...]
    environment: Environment


class EdgeRecord(Frozen):
    """What was measured of one setting. disagrees: share of images that get another class than from masked."""

    id: str
    setting: CpuSetting
    costs: Costs
    runs: tuple[Run, ...]
    disagrees: dict[str, float]
    environment: Environment
    finished: str


def stored(layout: Layout) -> tuple[list[EdgeRecord], Machine | None]:
    """The measurements in results/<profile>/edge, by network, scenario and sparsity; none and None before a run."""
    machine = layout.edge / "machine.json"
    records = [EdgeRecord.model_validate_json(p.read_bytes()) for p in layout.edge.glob("*.json") if p != machine]
    models = list(MODELS)
    records.sort(key=lambda r: (models.index(r.setting.model), r.setting.scenario, r.setting.sparsity))
    return records, Machine.model_validate_json(machine.read_bytes()) if machine.exists() else None


def pruned(setting: CpuSetting) -> tuple[nn.Module, nn.Module, Masks]:
    """(dense network, the same with masks applied, masks): smallest L1 removed, at least one unit a layer stays."""
    torch.manual_seed(0)
    dense = build(setting.model, SHAPE, 10, setting.width).eval()
    model = deepcopy(dense)
    layers = layers_of(model, make_trial(model=setting.model, method="random"))
    masks: Masks = {}
    for layer in layers:
        share = setting.sparsity if layer.unit == "weight" else setting.conv_sparsity
        masks[layer.name] = remove_lowest(criteria.l1(layer), min(layer.units - 1, round(layer.units * share)))
    apply_masks(layers, masks)
    return dense, model, masks


@exclusive_resources(["cpu"])
def measure(setting: CpuSetting) -> EdgeRecord:
    """Time every backend of one network beside dense, on one thread and on all, batch 1 and 64.

    Ratios to dense are paired within rounds (`paperlib.costs.paired`); a second dense copy is the A/A control. Those
    of RUNTIME_AGAIN and COMPACT_RUNTIME are to the dense network through the runtime.
    """
    dense, model, masks = pruned(setting)
    images = torch.randn(max(BATCHES), SHAPE[2], *SHAPE[:2])
    names = ["masked", "compact", "bf16", *(QUANTISED if setting.quantised else ())]
    networks = {name: to_backend(model, masks, name, images) for name in names}
    through = dict[str, Network]()
    if setting.runtimes:
        networks[COMPACT_RUNTIME] = to_backend(model, masks, COMPACT_RUNTIME, images)
        through = dict.fromkeys((RUNTIME, RUNTIME_AGAIN), to_backend(dense, {}, RUNTIME, images))
    runs = []
    for threads in sorted({1, cores()}):
        with limit_threads(threads):
            runs.append(_run(setting, dense, model, masks, networks | through, images, threads))
    with torch.inference_mode():
        expected = model(images).argmax(1)
        disagrees = {name: float((net(images).argmax(1) != expected).float().mean()) for name, net in networks.items()}
    return EdgeRecord(
        id=setting.id,
        setting=setting,
        costs=count(model, masks, SHAPE),
        runs=tuple(runs),
        disagrees=disagrees,
        environment=describe_environment("cpu"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _run(
    setting: CpuSetting,
    dense: nn.Module,
    model: nn.Module,
    masks: Masks,
    networks: Mapping[str, Network],
    images: Tensor,
    threads: int,
) -> Run:
    meters, timings = Meters.for_device("cpu"), list[Timing]()
    measured = partial(compare, meters=meters, min_rounds=MIN_ROUNDS, budget_s=setting.budget_s, seed=0)
    variants: dict[str, Network] = {"dense": dense, "dense-again": deepcopy(dense)}
    variants |= {k: n.with_threads(threads) if isinstance(n, RuntimeModel) else n for k, n in networks.items()}
    for size in BATCHES:
        batch = images[:size]
        compared = variants | {"sparse": to_backend(model, masks, "sparse", batch)}  # chosen for a batch size
        calls = {name: forward_pass(network, batch) for name, network in compared.items()}
        through = {name: calls.pop(name) for name in (RUNTIME_AGAIN, COMPACT_RUNTIME) if name in calls}
        timed = measured(calls, batch_size=size)
        if through:
            timed += measured({RUNTIME: calls[RUNTIME]} | through, batch_size=size)[1:]
        timings += [t.model_copy(update={"engine": engine_of(compared[t.variant])}) for t in timed]
    cold = {name: load_time(_cold(network, images[:1], threads), meters, 3) for name, network in variants.items()}
    return Run(threads=threads, timings=tuple(timings), cold_s=cold)


def _cold(network: Network, one: Tensor, threads: int) -> Callable[[], object]:
    if isinstance(network, RuntimeModel):
        return lambda: network.with_threads(threads)(one)
    assert isinstance(network, nn.Module)
    return cold_start(network, one)


@exclusive_resources(["cpu"])
def measure_machine(widths: Mapping[str, float], sparsities: Sequence[float]) -> Machine:
    """Peak arithmetic and bandwidth at one thread, the time of every layer, and CSR beside dense per shape.

    widths: width factor by model; sparsities: of the linear layers that run as CSR.
    """
    with limit_threads(1), torch.inference_mode():
        a, b = torch.randn(512, 512), torch.randn(512, 512)
        peak = 2 * 512**3 / best_time(lambda: a @ b)
        source, target = torch.randn(2**24), torch.empty(2**24)  # 64 MiB each: larger than the caches
        bandwidth = 2 * source.nbytes / best_time(lambda: target.copy_(source))
        layers, shapes = list[LayerTime](), set[tuple[int, int]]()
        for model, width in widths.items():
            setting = CpuSetting(model=model, width=width, scenario="i", sparsity=0.8, quantised=False, budget_s=0)
            dense, masked, masks = pruned(setting)
            layers += _layer_times(f"{model} dense", dense)
            layers += _layer_times(f"{model} compact", to_compact(masked, masks))
            shapes |= {(m.out_features, m.in_features) for m in dense.modules() if isinstance(m, nn.Linear)}
        csr = [_csr(shape, size, sparsity) for shape in sorted(shapes) for size in BATCHES for sparsity in sparsities]
    return Machine(
        peak_flops=peak,
        bandwidth=bandwidth,
        layers=tuple(layers),
        csr=tuple(csr),
        environment=describe_environment("cpu"),
    )


def _layer_times(label: str, network: nn.Module) -> list[LayerTime]:
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
    images = torch.randn(max(BATCHES), SHAPE[2], *SHAPE[:2])
    for _ in range(4):
        network(images)
    return list(best.values())


def _csr(shape: tuple[int, int], size: int, sparsity: float) -> Csr:
    layer = nn.Linear(shape[1], shape[0])
    layer.weight.data[torch.rand(shape) < sparsity] = 0
    csr, x = SparseLinear(layer, size), torch.randn(size, shape[1])
    ratio = best_time(lambda: csr(x), 30) / best_time(lambda: layer(x), 30)
    return Csr(shape=shape, batch_size=size, sparsity=sparsity, ratio=ratio)


def rows(records: list[EdgeRecord]) -> list[dict[str, object]]:
    """One row per network, number of threads, batch size and backend."""
    return [
        {"id": r.id}
        | r.setting.model_dump()
        | {"conv_sparsity": r.setting.conv_sparsity, "threads": run.threads, "cold_s": run.cold_s.get(t.variant)}
        | {"disagrees": r.disagrees.get(t.variant)}
        | t.model_dump()
        | {"cost_" + name: value for name, value in asdict(r.costs).items()}
        for r in records
        for run in r.runs
        for t in run.timings
    ]
