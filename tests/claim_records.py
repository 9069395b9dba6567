"""Tables with known truth: every setting of both papers, with effects that a test chooses."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from paperlib.claims.costs import P_VGG
from paperlib.claims.settings import Setting, dense_of, grid_f, grid_p
from paperlib.costs.records import BATCHES, cost_table
from paperlib.schema.cost import PROCESSES, CostRecord, CostRun, InferenceMemory, StepMemory
from paperlib.schema.measurement import EnergySource, Timing
from paperlib.schema.record import Costs, Environment
from paperlib.studies.costs import cost_settings

Truth = Callable[[Setting], dict[str, float]]
COUNTS = {"bloodmnist": 11_959, "industrial": 70_000, "visa": 8_657}
NO_COUNTS = Costs(*[0] * 10)


def settings() -> list[Setting]:
    """All arms of both papers with their dense ones."""
    pruned = grid_f() + grid_p(("global", "layerwise")) + P_VGG
    plain = grid_f(("dense",), models=("resnet18-plain",))
    return list(dict.fromkeys([*pruned, *map(dense_of, pruned), *plain]))


def table(
    truth: Truth = lambda s: {}, *, seeds: int = 5, noise: float = 0.01, source: str = "official",
    device: str = "cpu", gpu: str | None = None, seed: int = 0, arms: list[Setting] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Rows as `store.tidy` writes them. truth(setting): `accuracy` (a level), `stored` (a factor on the dense file),
    and any column by its own name."""
    rng = np.random.default_rng(seed)
    arms = settings() if arms is None else arms
    controls = [dense_of(s)._replace(method="random") for s in arms if s.method == "dense"]
    rows = [_row(arm, number, truth(arm), rng, noise) for arm in arms + controls for number in range(seeds)]
    frame = pd.DataFrame(rows)
    frame["id"] = [f"{i:016x}" for i in range(len(frame))]
    return frame.assign(source=source, main_setting=True, device=device, gpu=gpu)


def _row(arm: Setting, seed: int, truth: dict[str, float], rng: np.random.Generator, noise: float) -> dict[str, Any]:
    accuracy = truth.get("accuracy", 0.9) + rng.normal(0, noise / 10)
    row: dict[str, Any] = {
        "dataset": arm.dataset, "model": arm.model, "method": arm.method, "conv_sparsity": arm.conv,
        "sparsity": arm.linear, "scope": arm.scope, "seed": seed, "width": 1.0, "swap": 0.2, "epochs": 50,
        "val_gain": 0.001,
        "batch_size": 64, "optimizer": "SGD", "lr": 0.01, "resolution": 224, "options": "{}", "schedule": "constant",
        "augment": False, "compute": "fp32", "protocol": "corrected", "quirks": "", "status": "done",
        "train_images": COUNTS.get(arm.dataset, 60_000), "test_images": 10_000, "test_majority": 0.2,
        "shared_training": f"dense{seed}" if arm.method == "post-training" else None, "cpu": "x", "command": "paperlib",
        "test_accuracy": accuracy, "test_balanced_accuracy": accuracy, "dense_bytes": 1000, "compact_bytes": 1000,
        "csr_bytes": round(1000 * truth.get("stored", 1.0)), "val_images": 1_712,
        "best_train_accuracy": accuracy, "first_train_loss": 2.0,
        "last_train_loss": 0.2 + rng.normal(0, noise / 10), "train_loss_falling": 0.95, "train_time_s": 100.0,
    }  # fmt: skip
    return row | {k: v for k, v in truth.items() if k in row}


def costs(truth: Truth = lambda s: {}, **options: Any) -> pd.DataFrame:
    """`cost_table` of `cost_records`."""
    return cost_table(cost_records(truth, **options))


def cost_records(
    truth: Truth = lambda s: {}, *, processes: int = PROCESSES, noise: float = 0.005, seed: int = 0,
    energy_source: EnergySource | None = "rapl", device: str = "cpu", gpu: str | None = None, large: bool = True,
    arms: list[Setting] | None = None,
) -> list[CostRecord]:  # fmt: skip
    """One record for each setting of a cost that the arms have. truth(setting): factors on the dense costs: `time`,
    `energy`, `memory`, `inference`, `inference_energy`; noise: of the logarithm of a ratio, between processes; large:
    F's networks at 224 px, else on small images."""
    rng, records = np.random.default_rng(seed), dict[str, CostRecord]()
    environment = Environment(
        python="3.11", torch="2.13", paperlib="0", platform="x", cpu="x", cores=2, threads=2, device=device, gpu=gpu
    )
    for arm in settings() if arms is None else arms:
        setting = cost_settings(*arm)[0 if large else -1].model_copy(update={"device": device.partition(":")[0]})
        factors = truth(arm)

        def timings(
            time: str, energy: str, batch: int, variants: tuple[str, ...], factors=factors
        ) -> tuple[Timing, ...]:  # type: ignore[no-untyped-def]
            return tuple(
                _timing(name, batch, factors if name == "masked" else {}, (time, energy), rng, noise, energy_source)
                for name in ("dense", "dense-again", *variants)
            )

        pruned = arm.method != "dense"
        trains = ("masked",) if pruned and arm.method != "post-training" else ()
        runs = [
            CostRun(
                step=timings("time", "energy", setting.batch_size, trains),
                inference=sum((timings("inference", "inference_energy", n, ("masked",) * pruned) for n in BATCHES), ()),
                boundary_s=dict.fromkeys(trains, 0.0), cold_s={"dense": 0.01}, grid_g_per_kwh=400.0, others=0.0,
                environment=environment, finished="2026-11-24T00:00:00+00:00",
            )
            for _ in range(processes)
        ]  # fmt: skip
        memory = {"dense": _memory(1.0)} | {name: _memory(factors.get("memory", 1.0)) for name in trains}
        inference = InferenceMemory(dense=10**9, pruned=round(1e9 * factors.get("inference_memory", 1.0)))
        records[setting.id] = CostRecord(
            id=setting.id, setting=setting, memory=memory, costs=NO_COUNTS, inference_memory=inference, runs=tuple(runs)
        )
    return list(records.values())


def _memory(factor: float) -> StepMemory:
    sizes = dict.fromkeys(("gradients", "optimizer", "activations", "masks", "temporaries"), 0)
    return StepMemory(parameters=round(1e9 * factor), **sizes)


def _timing(
    name: str, batch: int, factors: dict[str, float], keys: tuple[str, str], rng: np.random.Generator, noise: float,
    source: EnergySource | None,
) -> Timing:  # fmt: skip
    time, energy = (
        1.0 if name == "dense" else factors.get(key, 1.0) * float(np.exp(rng.normal(0, noise))) for key in keys
    )
    return Timing(
        variant=name, batch_size=batch, rounds=5, median_s=0.004 * time, p95_s=0.004, p99_s=0.004, ratio=time,
        ratio_low=time, ratio_high=time, energy_j_per_image=0.1 * energy if source else None, energy_source=source,
    )  # fmt: skip


# Columns of a cost that `costs_like` multiplies, of what is pruned.
_COLUMNS = {
    "time": ("step_ratio", "step_s"),
    "energy": ("step_energy_ratio", "step_energy_j"),
    "memory": ("memory_bytes",),
    "inference_memory": ("inference_memory_bytes",),
    "inference": tuple(f"inference_b{size}_{part}" for size in BATCHES for part in ("ratio", "s")),
    "inference_energy": tuple(f"inference_b{size}_energy_{part}" for size in BATCHES for part in ("ratio", "j")),
}
_NETWORK = ["model", "method", "conv_sparsity", "sparsity", "scope"]
_SCORES = {  # column of a table of trials: how much noisier it is than an accuracy
    "test_accuracy": 1.0, "test_balanced_accuracy": 1.0, "best_train_accuracy": 1.0, "last_train_loss": 10.0,
    "train_loss_falling": 1.0,
}  # fmt: skip


class Spread(NamedTuple):
    """How noise is spread: every second arm has `wide` times that of the others; tails: degrees of freedom of Student's
    t from which it is drawn, scaled to the same variance, None for normal noise."""

    wide: float = 1.0
    tails: int | None = None

    def draw(self, rng: np.random.Generator, arms: Sequence[Setting]) -> np.ndarray:
        """Noise of unit variance (of the others), one for each row, whose arms these are."""
        places = {arm: place for place, arm in enumerate(dict.fromkeys(arms))}
        widths = np.array([self.wide if places[arm] % 2 else 1.0 for arm in arms])
        if self.tails is None:
            return rng.normal(0, 1, len(arms)) * widths
        return rng.standard_t(self.tails, len(arms)) * (1 - 2 / self.tails) ** 0.5 * widths


EVEN, UNEVEN, HEAVY = Spread(), Spread(wide=3.0), Spread(tails=3)


def costs_like(
    base: pd.DataFrame, truth: Truth, *, noise: float = 0.0, seed: int = 0, spread: Spread = EVEN
) -> pd.DataFrame:
    """A table of `costs` with other factors (of arms without a data set), and further noise between processes.

    `level_s` and `level_j` multiply what the network itself takes, dense or pruned.
    """
    rng, rows = np.random.default_rng(seed), base.copy()
    arms = [Setting("", *arm) for arm in rows[_NETWORK].itertuples(index=False)]
    truths = {arm: truth(arm) for arm in dict.fromkeys(arms)}
    trains = ~rows.method.isin(["dense", "post-training"])
    for name, columns in _COLUMNS.items():
        is_noisy = (trains if name in {"time", "energy"} else rows.method != "dense") & ("memory" not in name)
        noises = np.exp(noise * spread.draw(rng, arms) * is_noisy)
        factor = np.array([truths[arm].get(name, 1.0) for arm in arms])
        is_changed = trains if name in {"time", "energy", "memory"} else rows.method != "dense"
        for column in columns:
            rows[column] = rows[column].astype(float) * np.where(is_changed, factor, 1.0) * noises
    shape = rows.groupby(["model", "resolution", "classes", "channels", "process"]).ngroup()  # one control of each
    for column in ("step_ratio_again", *(f"inference_b{size}_ratio_again" for size in BATCHES)):
        rows[column] *= np.exp(rng.normal(0, noise, shape.max() + 1))[shape]
    for name, ending in (("level_s", "_s"), ("level_j", "_energy_j")):
        factor = np.array([truths[arm].get(name, 1.0) for arm in arms])
        for column in [
            c for c in rows if c.endswith(ending) and c.removeprefix("dense_").startswith(("step", "infer"))
        ]:
            rows[column] = rows[column].astype(float) * factor
    return rows


def table_like(
    base: pd.DataFrame, truth: Truth, *, noise: float = 0.0, seed: int = 0, spread: Spread = EVEN
) -> pd.DataFrame:
    """A table of `table` with other scores, and further noise between seeds: `noise` is that of an accuracy."""
    rng, rows = np.random.default_rng(seed), base.copy()
    arms = [Setting(*arm) for arm in rows[["dataset", *_NETWORK]].itertuples(index=False)]
    truths = {arm: truth(arm) for arm in dict.fromkeys(arms)}
    for column, factor in _SCORES.items():
        names = (column, "accuracy" if column.endswith("accuracy") else column)
        level = [next((truths[arm][n] for n in names if n in truths[arm]), None) for arm in arms]
        levels = np.array([np.nan if v is None else v for v in level])
        rows[column] = np.where(np.isnan(levels), rows[column].astype(float), levels)
        rows[column] += noise * factor * spread.draw(rng, arms)
    rows["first_train_loss"] = [truths[arm].get("first_train_loss", 2.0) for arm in arms]
    rows["csr_bytes"] = [round(1000 * truths[arm].get("stored", 1.0)) for arm in arms]
    return rows
