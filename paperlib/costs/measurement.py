"""Settings measured side by side in fresh processes; each process gives every setting one more run."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import torch
from torch import Tensor, nn

from paperlib.core.paths import Layout
from paperlib.core.progress import progress
from paperlib.costs.groups import Pruned, grouped
from paperlib.costs.inference import cold_start, exact_variants, forward_pass
from paperlib.costs.memory import allocator_peak, count_inference_memory, count_step_memory, fits_memory
from paperlib.costs.paired import Call, compare, load_time
from paperlib.costs.records import BATCHES, read_costs, write_costs
from paperlib.costs.training_step import MaskedTraining, TrainableNetwork, build_network, whole_trainings
from paperlib.execution.backends import Network, engine_of
from paperlib.execution.flops import count
from paperlib.meters import Meters
from paperlib.meters.calibration import read_calibration
from paperlib.meters.cpu_power import cpu_name
from paperlib.meters.sensors import extremes, read_sensors
from paperlib.schema.cost import (
    PROCESSES,
    CostRecord,
    CostRun,
    CostSetting,
    Effort,
    InferenceMemory,
    StepMemory,
    WholeTraining,
)  # fmt: skip
from paperlib.schema.measurement import Timing
from paperlib.trials.environment import describe_environment
from paperlib.trials.resources import BackgroundLoad, exclusive_resources, threads_for
from paperlib.trials.subprocess_runner import in_fresh_process

INFERENCE = 0.25  # share of a step's budget that each batch size of inference has
NETWORKS = 4  # that are in memory at once: dense twice, masked, and what is cut out of it


def run_costs(
    settings: Sequence[CostSetting], layout: Layout, effort: Effort, processes: int = PROCESSES
) -> list[CostRecord]:
    """The record of every setting, measured or found under results/<profile>/costs, in the same order.

    Settings of one network are measured side by side, in so many fresh processes. After each process its records are
    written, so that a run that was stopped goes on with the next one. A network that needs more memory than there is
    is left out, with a warning before anything is measured.
    """
    stored = {record.id: record for record in read_costs(layout)}
    networks: dict[CostSetting, list[CostSetting]] = {}
    for setting in dict.fromkeys(settings):
        if setting.id not in stored or len(stored[setting.id].runs) < processes:
            networks.setdefault(setting.network, []).append(setting)
    lacking = list(networks.values())
    runs = [len(stored[s.id].runs) if s.id in stored else 0 for group in lacking for s in group]
    first = min(runs, default=processes)
    names = ", ".join(dict.fromkeys(f"{network.model} {network.shape[0]} px" for network in networks))
    with progress(f"measuring costs in {processes} processes", processes - first) as step:
        step.describe(names)
        for process in range(first, processes):
            lacking = in_fresh_process(_add_runs, lacking, layout, effort, process)
            step.advance()
    stored = {record.id: record for record in read_costs(layout)}
    records = [stored[setting.id] for setting in settings if setting.id in stored]
    return _with_inference_memory(records, layout)


def _with_inference_memory(records: Sequence[CostRecord], layout: Layout) -> list[CostRecord]:
    """The records, those from before the memory of inference was counted with it; nothing is timed."""
    counted: dict[str, InferenceMemory] = {}
    lacking = [record.setting for record in records if record.inference_memory is None]
    for network in dict.fromkeys(setting.network for setting in lacking):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            dense = build_network(network)
        counted |= _inference_memory(grouped([s for s in lacking if s.network == network], dense, 0), dense)
    complete = [r.model_copy(update={"inference_memory": counted[r.id]}) if r.id in counted else r for r in records]
    for record in complete:
        if record.id in counted:
            write_costs(record, layout)
    return complete


def _add_runs(
    networks: list[list[CostSetting]], layout: Layout, effort: Effort, process: int
) -> list[list[CostSetting]]:
    """Give each setting that lacks it the run of this process, network by network in random order.

    Returns the networks that memory is free for, whose settings alone are measured.
    """
    meters_for = cache(Meters.for_device)  # so that idle power is measured once
    stored = {record.id: record for record in read_costs(layout)}
    known = {record.setting.network: record.memory["dense"] for record in stored.values()}
    needs = {n: known[n] if n in known else _dense_memory(n) for n in (settings[0].network for settings in networks)}
    networks = [n for n in networks if fits_memory(n[0].network, NETWORKS * needs[n[0].network].total)]
    for settings in random.Random(process).sample(networks, len(networks)):
        lacking = [s for s in settings if s.id not in stored or len(stored[s.id].runs) <= process]
        for record in measure(lacking, effort, process, meters_for, stored) if lacking else ():
            write_costs(record, layout)
    return networks


def measure(
    settings: Sequence[CostSetting],
    effort: Effort,
    process: int,
    meters_for: Callable[[str], Meters] = Meters.for_device,
    earlier: Mapping[str, CostRecord] | None = None,
) -> list[CostRecord]:
    """One run of each setting, all of one network, in this process, whose number seeds weights, masks and order.

    meters_for: gives the meters of a device such as "cpu"; the best that this machine has if left out. earlier: by id,
    the records that the runs are added to; FLOPs and memory, the same in all, are counted where one lacks.
    """
    earlier = earlier or {}
    counts = any(setting.id not in earlier for setting in settings)
    network = settings[0].network
    with exclusive_resources() as place:
        load, meters = BackgroundLoad(place.cores), meters_for(place.device)
        torch.manual_seed(process)
        height, width, channels = network.shape
        images = torch.randn(max(*BATCHES, network.batch_size), channels, height, width, device=place.device)
        dense = build_network(network).to(place.device)
        groups = grouped(settings, dense, process)
        idle_w = meters.idle_w  # before anything warms the device
        calibration = read_calibration(cpu_name()) if place.device == "cpu" else None
        with threads_for(dense):
            environment = describe_environment(place.device)
            trained = _train(network, dense, groups, images, meters, effort, process, counts)
            warm = read_sensors(place.device)
            inference = _infer(dense, groups, images, meters, effort, process)
            sensors = extremes(warm, read_sensors(place.device))
            masked = next((group.model(dense) for group in groups if group.masks), dense)
            dense_cold_s, cold_s = (load_time(cold_start(x, images[:1]), meters, repeats=3) for x in (dense, masked))
        at_inference = _inference_memory(groups, dense) if counts else {}
        records: dict[CostSetting, CostRecord] = {}
        for group in groups:
            costs = count(group.model(dense), group.masks, network.shape) if counts else None
            for setting in group.settings:
                trains = setting in group.trained
                run = CostRun(
                    step=_of(trained.steps, group.names if trains else {""}),
                    inference=_of(inference, group.names),
                    boundary_s=trained.boundary_s.get(setting.id, {}),
                    cold_s={"dense": dense_cold_s} | ({"masked": cold_s} if group.masks else {}),
                    grid_g_per_kwh=meters.grid.g_per_kwh,
                    others=load.share(),
                    idle_w=idle_w,
                    temperature_c=sensors.temperature_c,
                    clock_mhz=sensors.clock_mhz,
                    calibration=calibration,
                    environment=environment,
                    finished=datetime.now(UTC).isoformat(timespec="seconds"),
                    trainings=trained.whole.get(setting.id, ()),
                )
                if before := earlier.get(setting.id):
                    records[setting] = before.model_copy(update={"runs": (*before.runs, run)})
                elif costs:
                    memory = trained.memory.get(setting.id, {"dense": _dense_memory(network)})
                    records[setting] = CostRecord(
                        id=setting.id, setting=setting, memory=memory, costs=costs, runs=(run,),
                        inference_memory=at_inference.get(setting.id),
                    )  # fmt: skip
    return [records[setting] for setting in settings]


def _inference_memory(groups: Sequence[Pruned], dense: nn.Module) -> dict[str, InferenceMemory]:
    """By id of the settings, which are of one network."""
    counted, shape = dict[str, InferenceMemory](), groups[0].settings[0].shape
    of_dense = count_inference_memory(dense, {}, shape)
    for group in groups:
        pruned = count_inference_memory(group.model(dense), group.masks, shape)
        counted |= dict.fromkeys((s.id for s in group.settings), InferenceMemory(dense=of_dense, pruned=pruned))
    return counted


@cache
def _dense_memory(network: CostSetting) -> StepMemory:
    return count_step_memory(network, lambda: build_network(network))


def _memory(training: MaskedTraining, dense: StepMemory) -> dict[str, StepMemory]:
    masks, realised = training.enforcer.masks, training.realised
    masked = sum(t.nbytes for layer in training.enforcer.layers if layer.name in masks for t in layer.tensors())
    sizes = {"dense": dense, "masked": dense.model_copy(update={"masks": masked})}
    return sizes | ({realised.way: count_step_memory(training.setting, realised.model)} if realised else {})


@dataclass(frozen=True)
class _Trained:
    """What was measured of training, by id of the settings that train masked; memory and whole trainings once alone."""

    steps: tuple[Timing, ...]
    boundary_s: dict[str, dict[str, float]]
    memory: dict[str, dict[str, StepMemory]]
    whole: dict[str, tuple[WholeTraining, ...]]


def _train(
    network: CostSetting, dense: nn.Module, groups: Sequence[Pruned], images: Tensor, meters: Meters, effort: Effort,
    process: int, counts: bool,
) -> _Trained:  # fmt: skip
    labels = torch.arange(network.batch_size, device=images.device) % network.classes
    batch = images[: network.batch_size], labels
    dense_one, dense_two, masked = (TrainableNetwork(network, deepcopy(dense), batch) for _ in range(3))
    calls: dict[str, Call] = {"dense": dense_one.step(), "dense-again": dense_two.step()}
    firsts: list[tuple[Pruned, MaskedTraining]] = []
    for group in groups:
        if group.trained:
            first = MaskedTraining.of(group.trained[0], masked, group.masks, process)
            firsts.append((group, first))
            calls.setdefault(f"masked {group.masked}", masked.step(first.enforcer))
            if first.realised is not None:
                calls.setdefault(f"{first.realised.way} {group.realised}", masked.realised_step(first.realised))
    timings = compare(
        calls, batch_size=network.batch_size, meters=meters, min_rounds=effort.min_rounds, budget_s=effort.budget_s,
        seed=process, rare=_realised(calls),
    )  # fmt: skip
    peaks = {name: allocator_peak(step, images.device) for name, step in calls.items()}
    steps = tuple(t.model_copy(update={"engine": "torch", "allocator_bytes": peaks[t.variant]}) for t in timings)
    trained = _Trained(steps, {}, {}, {})
    swapping = [
        (first.realised is not None, s.sparsity, s.id) for g, first in firsts for s in g.trained if s.method == "set"
    ]
    sample = max(swapping)[-1] if swapping and effort.training_s and process == 0 else None
    del calls, dense_two
    while firsts:  # masks and what realised networks remember are as large as the network: one group after the other
        group, first = firsts.pop(0)
        rebuilt = first.rebuild_seconds()
        memory = _memory(first, _dense_memory(network)) if counts else {}
        for setting in group.trained:
            training = (
                first if setting == first.setting else MaskedTraining.of(setting, masked, group.masks, process, first)
            )
            updated = training.update_seconds()
            trained.boundary_s[setting.id] = {"masked": updated} | (
                {first.realised.way: updated + rebuilt} if first.realised else {}
            )
            trained.memory[setting.id] = memory
            if setting.id == sample:
                trained.whole[sample] = whole_trainings(dense_one, training, meters, effort.training_s)
    return trained


def _infer(
    dense: nn.Module, groups: Sequence[Pruned], images: Tensor, meters: Meters, effort: Effort, seed: int
) -> tuple[Timing, ...]:
    timings: list[Timing] = []
    # Copies both, so that neither lies where the network was built.
    beside = {name: deepcopy(dense).eval() for name in ("dense", "dense-again")}
    by_size: dict[int, dict[str, Network]] = {size: {**beside} for size in BATCHES}
    for group in groups:
        if group.masks:
            masked = group.model(dense)
            exact = exact_variants(masked, group.masks, [images[:size] for size in BATCHES])
            for networks, (way, network) in zip(by_size.values(), exact, strict=True):
                networks.setdefault(f"masked {group.masked}", masked)
                if way != "masked":
                    networks[f"{way} {group.realised}"] = network
    for size, networks in by_size.items():
        calls = {name: forward_pass(network, images[:size]) for name, network in networks.items()}
        compared = compare(
            calls, batch_size=size, meters=meters, min_rounds=effort.min_rounds,
            budget_s=INFERENCE * effort.budget_s, seed=seed, rare=_realised(calls),
        )  # fmt: skip
        timings += [t.model_copy(update={"engine": engine_of(networks[t.variant])}) for t in compared]
    return tuple(timings)


def _realised(variants: Iterable[str]) -> set[str]:
    return {name for name in variants if not name.startswith(("dense", "masked"))}


def _of(timings: Sequence[Timing], endings: Set[str]) -> tuple[Timing, ...]:
    """The variants of these endings, under their plain names; the ending of dense is empty.

    A sparse one that was not faster than masked is left out.
    """
    parts = [(t, *t.variant.partition(" ")[::2]) for t in timings]
    named = [t.model_copy(update={"variant": name}) for t, name, ending in parts if ending in endings]
    masked = {t.batch_size: t.ratio for t in named if t.variant == "masked"}
    return tuple(t for t in named if "sparse" not in t.variant or t.ratio < masked[t.batch_size])
