"""What each way of execution costs on this CPU: networks, single layers and the machine's own limits.

Weights are untrained: time and energy depend on shapes and zeros, not on what was learnt.
"""

import hashlib
import json
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import torch
from torch import Tensor, nn

from paperlib.core.io import write_atomically
from paperlib.core.paths import Layout
from paperlib.core.progress import progress
from paperlib.core.registry import unknown
from paperlib.execution.backends import Network, engine_of, to_backend
from paperlib.execution.flops import count
from paperlib.execution.quantized import OnnxModel
from paperlib.execution.sparse import SparseLinear, best_time
from paperlib.meters import Meters, compare
from paperlib.meters.paired import load_time
from paperlib.models import build
from paperlib.pruners import Layer, apply_masks, criteria, layers_of
from paperlib.pruners.masks import Masks, remove_lowest
from paperlib.schema.measurement import Timing
from paperlib.schema.record import Costs, Environment, Frozen
from paperlib.schema.trial import make_trial
from paperlib.trials.environment import cores, environment
from paperlib.trials.inference_timing import cold_start, forward_pass
from paperlib.trials.resources import exclusive_resources, limit_threads

BATCHES = (1, 64)
SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.99)
SCENARIOS = {"i": 1.0, "ii": 0.625, "iii": 0.0}  # conv sparsity per linear sparsity; paper F's at 0.8
QUANTISED = ("int8", "compact+int8")
SHAPE = (32, 32, 3)


@dataclass(frozen=True)
class Budget:
    """widths: models with their width factor; full: sparsities of scenario i, few: of the others and of int8;
    budget_s: seconds for the comparison of one network at one batch size and number of threads."""

    widths: dict[str, float]
    full: tuple[float, ...]
    few: tuple[float, ...]
    scenarios: tuple[str, ...]
    budget_s: float


BUDGETS = {
    "smoke": Budget({"mlp-medium": 0.1, "resnet18": 0.125}, (0.0, 0.8), (0.8,), ("i",), 0.05),
    "quick": Budget(
        {"mlp-medium": 0.15, "vgg16": 0.25, "resnet18": 0.25}, (0.0, 0.5, 0.8, 0.95), (0.8,), tuple(SCENARIOS), 0.1
    ),
    "laptop": Budget(
        dict.fromkeys(("mlp-medium", "vgg16", "resnet18"), 1.0), SPARSITIES, SPARSITIES, tuple(SCENARIOS), 1.5
    ),
}
BUDGETS["paper"] = BUDGETS["laptop"]


class Setting(Frozen):
    """One network of the study."""

    model: str
    width: float
    scenario: str
    sparsity: float
    quantised: bool
    budget_s: float

    @property
    def conv_sparsity(self) -> float:
        return self.sparsity * SCENARIOS[self.scenario]

    @property
    def id(self) -> str:
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:16]


class Run(Frozen):
    """All ways at one number of threads. cold_s: read the weights and give the first answer, batch 1."""

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
    """What was measured of one setting. disagrees: share of inputs that another class is answered than masked."""

    id: str
    setting: Setting
    costs: Costs
    runs: tuple[Run, ...]
    disagrees: dict[str, float]
    environment: Environment
    finished: str


def settings(profile: str) -> list[Setting]:
    """The networks of a profile; PaperlibError for an unknown one."""
    if profile not in BUDGETS:
        raise unknown("profile", profile, list(BUDGETS))
    budget, found = BUDGETS[profile], []
    for model, width in budget.widths.items():
        for scenario in ("iii",) if model.startswith("mlp") else budget.scenarios:
            whole = scenario == "i" or model.startswith("mlp")
            for sparsity in budget.full if whole else budget.few:
                quantised = whole and sparsity in {0.0, *budget.few}
                found.append(
                    Setting(
                        model=model, width=width, scenario=scenario, sparsity=sparsity, quantised=quantised,
                        budget_s=budget.budget_s,
                    )
                )  # fmt: skip
    return found


def edge(profile: str, layout: Layout) -> list[EdgeRecord]:
    """Every network of a profile, measured or found under results/<profile>/edge/; the machine's limits beside."""
    todo, records = settings(profile), []
    with progress(f"{len(todo)} networks on the CPU", len(todo)) as step:
        for setting in todo:
            step.describe(f"{setting.model} {setting.scenario} {setting.sparsity:g}")
            path = layout.edge / f"{setting.id}.json"
            if not path.exists():
                write_atomically(path, (measure(setting).model_dump_json(indent=1) + "\n").encode())
            records.append(EdgeRecord.model_validate_json(path.read_bytes()))
            step.advance()
    if not (path := layout.edge / "machine.json").exists():
        write_atomically(path, (limits(BUDGETS[profile]).model_dump_json(indent=1) + "\n").encode())
    return records


def stored(layout: Layout) -> tuple[list[EdgeRecord], Machine | None]:
    """What `edge` left, in its own order; no records and None where it has not run."""
    machine = layout.edge / "machine.json"
    found = [EdgeRecord.model_validate_json(p.read_bytes()) for p in layout.edge.glob("*.json") if p != machine]
    models = list(BUDGETS["quick"].widths)
    found.sort(key=lambda r: (models.index(r.setting.model), r.setting.scenario, r.setting.sparsity))
    return found, Machine.model_validate_json(machine.read_bytes()) if machine.exists() else None


def pruned(setting: Setting) -> tuple[nn.Module, nn.Module, Masks]:
    """(dense network, the same with masks applied, masks): smallest L1 removed, at least one unit a layer stays."""
    torch.manual_seed(0)
    dense = build(setting.model, SHAPE, 10, setting.width).eval()
    model = deepcopy(dense)
    layers = layers_of(model, make_trial(model=setting.model, method="random"))
    masks = {layer.name: _weakest(layer, setting) for layer in layers}
    apply_masks(layers, masks)
    return dense, model, masks


def _weakest(layer: Layer, setting: Setting) -> Tensor:
    share = setting.sparsity if layer.unit == "weight" else setting.conv_sparsity
    return remove_lowest(criteria.l1(layer), min(layer.units - 1, round(layer.units * share)))


@exclusive_resources(["cpu"])
def measure(setting: Setting) -> EdgeRecord:
    """Time every way of one network beside dense, on one thread and on all."""
    dense, model, masks = pruned(setting)
    images = torch.randn(max(BATCHES), SHAPE[2], *SHAPE[:2])
    hows = ["masked", "compact", "sparse", "bf16", *(QUANTISED if setting.quantised else ())]
    ways = {how: to_backend(model, masks, how, images) for how in hows if how != "sparse"}
    runs = tuple(_run(setting, dense, model, masks, ways, images, n) for n in sorted({1, cores()}))
    with torch.inference_mode():
        expected = model(images).argmax(1)
        disagrees = {how: float((way(images).argmax(1) != expected).float().mean()) for how, way in ways.items()}
    return EdgeRecord(
        id=setting.id,
        setting=setting,
        costs=count(model, masks, SHAPE),
        runs=runs,
        disagrees=disagrees,
        environment=environment("cpu"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _run(
    setting: Setting, dense: nn.Module, model: nn.Module, masks: Masks, ways: dict[str, Network], images: Tensor, n: int
) -> Run:
    meters, timings = Meters.for_device("cpu"), list[Timing]()
    with limit_threads(n):
        mine: dict[str, Network] = {"dense": dense, "dense-again": deepcopy(dense)}
        mine |= {how: OnnxModel(w.data, n) if isinstance(w, OnnxModel) else w for how, w in ways.items()}
        for size in BATCHES:
            batch = images[:size]
            here = mine | {"sparse": to_backend(model, masks, "sparse", batch)}
            calls = {how: forward_pass(way, batch) for how, way in here.items()}
            timed = compare(calls, batch_size=size, meters=meters, rounds=30, budget_s=setting.budget_s, seed=0)
            timings += [t.model_copy(update={"engine": engine_of(here[t.variant])}) for t in timed]
        cold = {how: load_time(_cold(way, images[:1], n), meters, 3) for how, way in mine.items()}
    return Run(threads=n, timings=tuple(timings), cold_s=cold)


def _cold(network: Network, one: Tensor, threads: int) -> Callable[[], object]:
    if isinstance(network, OnnxModel):
        return lambda: OnnxModel(network.data, threads)(one)
    assert isinstance(network, nn.Module)
    return cold_start(network, one)


@exclusive_resources(["cpu"])
def limits(budget: Budget) -> Machine:
    """Peak arithmetic and bandwidth at one thread, the time of every layer, and CSR beside dense per shape."""
    with limit_threads(1), torch.inference_mode():
        a, b = torch.randn(512, 512), torch.randn(512, 512)
        peak = 2 * 512**3 / best_time(lambda: a @ b)
        source, target = torch.randn(2**24), torch.empty(2**24)  # 64 MiB each: larger than the caches
        bandwidth = 2 * source.nbytes / best_time(lambda: target.copy_(source))
        layers, csr = list[LayerTime](), list[Csr]()
        for model, width in budget.widths.items():
            setting = Setting(model=model, width=width, scenario="i", sparsity=0.8, quantised=False, budget_s=0)
            dense, masked, masks = pruned(setting)
            for name, network in (("dense", dense), ("compact", to_backend(masked, masks, "compact", torch.empty(0)))):
                layers += _layer_times(f"{model} {name}", network)  # type: ignore[arg-type]
        shapes = {
            tuple(m.weight.shape)
            for model, width in budget.widths.items()
            for m in build(model, SHAPE, 10, width).modules()
            if isinstance(m, nn.Linear)
        }
        for shape in sorted(shapes):
            csr += [_csr(shape, size, sparsity) for size in BATCHES for sparsity in SPARSITIES[1:]]  # type: ignore[arg-type]
    return Machine(
        peak_flops=peak, bandwidth=bandwidth, layers=tuple(layers), csr=tuple(csr), environment=environment("cpu")
    )


def _layer_times(label: str, network: nn.Module) -> list[LayerTime]:
    found: list[LayerTime] = []
    images = torch.randn(max(BATCHES), SHAPE[2], *SHAPE[:2])
    starts: dict[str, tuple[float, LayerTime | None]] = {}

    def before(name: str) -> Callable[..., None]:
        return lambda *_: starts.update({name: (time.perf_counter(), None)})

    def after(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
            took = time.perf_counter() - starts[name][0]
            weight: Tensor = layer.weight  # type: ignore[assignment]
            flops = 2 * weight.numel() * (output.numel() // output.shape[1])
            moved = weight.nbytes + inputs[0].nbytes + output.nbytes
            found.append(LayerTime(network=label, layer=name, flops=flops, bytes_moved=moved, time_s=took))

        return hook

    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_pre_hook(before(name))
            layer.register_forward_hook(after(name))
    for _ in range(4):
        network(images)
    best: dict[str, LayerTime] = {}
    for one in found:
        if one.layer not in best or one.time_s < best[one.layer].time_s:
            best[one.layer] = one
    return list(best.values())


def _csr(shape: tuple[int, int], size: int, sparsity: float) -> Csr:
    layer = nn.Linear(shape[1], shape[0])
    layer.weight.data[torch.rand(shape) < sparsity] = 0
    csr, x = SparseLinear(layer), torch.randn(size, shape[1])
    ratio = best_time(lambda: csr(x), 30) / best_time(lambda: layer(x), 30)
    return Csr(shape=shape, batch_size=size, sparsity=sparsity, ratio=ratio)


def rows(records: list[EdgeRecord]) -> list[dict[str, object]]:
    """One row per (network, threads, batch, way)."""
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
