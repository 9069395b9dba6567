"""What each backend costs on this CPU, network by network.

Weights are untrained: time and energy depend on shapes and zeros, not on what was learnt.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial

import torch
from torch import Tensor, nn

from paperlib.core.paths import Layout
from paperlib.costs.cpu_layers import Machine
from paperlib.costs.inference import cold_start, forward_pass
from paperlib.costs.paired import MIN_ROUNDS, Call, compare, load_time
from paperlib.costs.records import BATCHES
from paperlib.costs.training_step import MaskedTraining, TrainableNetwork
from paperlib.execution.backends import Network, engine_of, to_backend
from paperlib.execution.compact import to_compact
from paperlib.execution.flops import count
from paperlib.execution.runtimes import RuntimeModel
from paperlib.meters import Meters
from paperlib.models import MODELS, build
from paperlib.pruners import apply_masks, criteria, layers_of
from paperlib.pruners.masks import Masks, remove_lowest
from paperlib.schema.cost import make_cost_setting
from paperlib.schema.measurement import Timing
from paperlib.schema.record import Costs, Environment, Frozen
from paperlib.schema.trial import make_trial
from paperlib.trials.environment import cores, describe_environment
from paperlib.trials.resources import exclusive_resources, limit_threads

QUANTISED = ("int8", "compact+int8")
CLASSES = 10
SHAPE, PERCEPTRON_SHAPE = (32, 32, 3), (28, 28, 1)  # of images: P's perceptrons see MNIST's
# Ratios of what runs through a runtime are to the dense network through it, whose own ratio is what the runtime gains.
RUNTIME = "onnxruntime"
RUNTIME_AGAIN, COMPACT_RUNTIME = f"{RUNTIME}-again", f"compact+{RUNTIME}"
# By scenario: share of filters removed per share of weights; paper F's three at 0.8 of the weights.
CONV_PER_LINEAR = {"i": 1.0, "ii": 0.625, "iii": 0.0}


class CpuSetting(Frozen):
    """One network of the study. quantised: also in bf16 and int8; coupled: whole channels of residual sums go
    (`pre-training-coupled`), not the papers' filters of each layer; trains: a training step is measured, too;
    runtimes: also through onnxruntime, compact and dense."""

    model: str
    width: float
    scenario: str
    sparsity: float
    quantised: bool
    budget_s: float
    coupled: bool = False
    trains: bool = False
    runtimes: bool = False

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of its images: height, width, channels."""
        return PERCEPTRON_SHAPE if self.model.startswith("mlp") else SHAPE

    @property
    def conv_sparsity(self) -> float:
        return self.sparsity * CONV_PER_LINEAR[self.scenario]

    @property
    def id(self) -> str:
        text = json.dumps(self.model_dump(exclude_defaults=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Run(Frozen):
    """All backends at one number of threads. cold_s: seconds to read the weights and give the first answer, batch 1,
    of quantised settings.
    steps: training steps at batch 64, of dense, dense again, masked, and compact or sparse where that is faster."""

    threads: int
    timings: tuple[Timing, ...]
    cold_s: dict[str, float]
    steps: tuple[Timing, ...] = ()


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
    records.sort(
        key=lambda r: (models.index(r.setting.model), r.setting.scenario, r.setting.coupled, r.setting.sparsity)
    )
    return records, Machine.model_validate_json(machine.read_bytes()) if machine.exists() else None


def pruned(setting: CpuSetting) -> tuple[nn.Module, nn.Module, Masks]:
    """(dense network, the same with masks applied, masks): smallest L1 removed, at least one unit a layer stays."""
    torch.manual_seed(0)
    dense = build(setting.model, setting.shape, CLASSES, setting.width).eval()
    model = deepcopy(dense)
    layers = layers_of(model, make_trial(model=setting.model, method="random"))
    masks: Masks = {}
    for layer in layers:
        share = setting.sparsity if layer.unit == "weight" else setting.conv_sparsity
        score = criteria.stream_l1(layer, layers) if setting.coupled else criteria.l1(layer)
        masks[layer.name] = remove_lowest(score, min(layer.units - 1, round(layer.units * share)))
    apply_masks(layers, masks)
    return dense, model, masks


@exclusive_resources(["cpu"])
def measure(setting: CpuSetting) -> EdgeRecord:
    """Time every backend of one network beside dense, on one thread and on all, batch 1 and 64; training, too.

    Ratios to dense are paired within rounds (`paperlib.costs.paired`); a second dense copy is the A/A control. Those
    of RUNTIME_AGAIN and COMPACT_RUNTIME are to the dense network through the runtime.
    """
    dense, model, masks = pruned(setting)
    images = torch.randn(max(BATCHES), setting.shape[2], *setting.shape[:2])
    names = ["masked", "compact", *(("bf16", *QUANTISED) if setting.quantised else ())]
    names += [COMPACT_RUNTIME] if setting.runtimes else []
    with limit_threads(1):  # on which it is decided what runs sparse
        networks = {name: to_backend(model, masks, name, images) for name in names}
        sparse = {size: to_backend(model, masks, "sparse", images[:size]) for size in BATCHES}
        steps = _steps(setting, dense, masks, images) if setting.trains else {}
    through = dict[str, Network]()
    if setting.runtimes:
        through = dict.fromkeys((RUNTIME, RUNTIME_AGAIN), to_backend(dense, {}, RUNTIME, images))
    runs = []
    for threads in sorted({1, cores()}):
        with limit_threads(threads):
            runs.append(_run(setting, dense, networks | through, sparse, steps, images, threads))
    with torch.inference_mode():
        expected = model(images).argmax(1)
        disagrees = {name: float((net(images).argmax(1) != expected).float().mean()) for name, net in networks.items()}
    return EdgeRecord(
        id=setting.id,
        setting=setting,
        costs=count(model, masks, setting.shape),
        runs=tuple(runs),
        disagrees=disagrees,
        environment=describe_environment("cpu"),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _run(
    setting: CpuSetting, dense: nn.Module, networks: Mapping[str, Network], sparse: Mapping[int, Network],
    steps: Mapping[str, Call], images: Tensor, threads: int,
) -> Run:  # fmt: skip
    timings, meters = list[Timing](), Meters.for_device("cpu")
    compared = partial(compare, meters=meters, min_rounds=MIN_ROUNDS, budget_s=setting.budget_s, seed=0)
    variants: dict[str, Network] = {"dense": dense, "dense-again": deepcopy(dense)}
    variants |= {k: n.with_threads(threads) if isinstance(n, RuntimeModel) else n for k, n in networks.items()}
    for size in BATCHES:
        of_size = variants | {"sparse": sparse[size]}
        calls = {name: forward_pass(n, images[:size]) for name, n in of_size.items()}
        through = {name: calls.pop(name) for name in (RUNTIME_AGAIN, COMPACT_RUNTIME) if name in calls}
        timed = compared(calls, batch_size=size)
        if through:
            timed += compared({RUNTIME: calls[RUNTIME]} | through, batch_size=size)[1:]
        timings += [t.model_copy(update={"engine": engine_of(of_size[t.variant])}) for t in timed]
    cold = dict[str, float]()
    for name, network in variants.items() if setting.quantised else ():
        cold[name] = load_time(_cold(network, images[:1], threads), meters, 3)
    trained = compared(steps, batch_size=len(images)) if steps else ()
    return Run(threads=threads, timings=tuple(timings), cold_s=cold, steps=trained)


def _steps(setting: CpuSetting, dense: nn.Module, masks: Masks, images: Tensor) -> dict[str, Call]:
    """Training steps, as cost records measure them: SGD for perceptrons, AdamW for the others."""
    optimizer = {} if setting.model.startswith("mlp") else {"optimizer": "AdamW", "options": {"weight_decay": 0.05}}
    cost = make_cost_setting(
        model=setting.model, width=setting.width, shape=setting.shape, classes=CLASSES, method="random",
        sparsity=setting.sparsity, conv_sparsity=setting.conv_sparsity, batch_size=len(images), **optimizer,
    )  # fmt: skip
    batch = images, torch.arange(len(images)) % CLASSES
    one, two, masked = (TrainableNetwork(cost, deepcopy(dense), batch) for _ in range(3))
    training = MaskedTraining.of(cost, masked, masks, 0)
    calls = {"dense": one.step(), "dense-again": two.step(), "masked": masked.step(training.enforcer)}
    if training.realised is not None:
        calls[training.realised.way] = masked.realised_step(training.realised)
    return calls


def _cold(network: Network, one: Tensor, threads: int) -> Callable[[], object]:
    if isinstance(network, RuntimeModel):
        return lambda: network.with_threads(threads)(one)
    assert isinstance(network, nn.Module)
    return cold_start(network, one)


def dense_and_compact(widths: Mapping[str, float]) -> Iterator[tuple[str, nn.Module, tuple[int, int, int]]]:
    """`MODEL dense` and `MODEL compact` (80 % of scenario i) of these width factors, with the shape of their images."""
    for model, width in widths.items():
        setting = CpuSetting(model=model, width=width, scenario="i", sparsity=0.8, quantised=False, budget_s=0)
        dense, masked, masks = pruned(setting)
        yield f"{model} dense", dense, setting.shape
        yield f"{model} compact", to_compact(masked, masks), setting.shape


def rows(records: Sequence[EdgeRecord], *, steps: bool = False) -> list[dict[str, object]]:
    """One row per network, number of threads, batch size and backend: of inference, or of training steps."""
    return [
        {"id": r.id}
        | r.setting.model_dump()
        | {"conv_sparsity": r.setting.conv_sparsity, "threads": run.threads, "cold_s": run.cold_s.get(t.variant)}
        | {"disagrees": r.disagrees.get(t.variant)}
        | t.model_dump()
        | {"cost_" + name: value for name, value in asdict(r.costs).items()}
        for r in records
        for run in r.runs
        for t in (run.steps if steps else run.timings)
    ]
