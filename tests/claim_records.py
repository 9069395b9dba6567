"""Tidy tables with known truth: every setting of both papers, with effects that a test chooses."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from paperlib.claims.settings import Setting, dense_of, grid_f, grid_p

Truth = Callable[[Setting], dict[str, float]]
COUNTS = {"bloodmnist": 11_959, "industrial": 70_000, "visa": 8_657}


def settings() -> list[Setting]:
    """All arms of both papers with their dense ones."""
    pruned = grid_f() + grid_p(("global", "layerwise")) + grid_p(models=("vgg16",))
    return list(dict.fromkeys([*pruned, *map(dense_of, pruned)]))


def table(
    truth: Truth = lambda s: {}, *, seeds: int = 5, noise: float = 0.01, source: str = "official",
    energy_source: str | None = "nvml", device: str = "cpu", gpu: str | None = None, seed: int = 0,
    arms: list[Setting] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Rows as `store.tidy` writes them. truth(setting): factors on the dense costs (`time`, `energy`, `memory`,
    `inference`, `inference_energy`), `accuracy` (a level), and any column by its own name."""
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    arms = settings() if arms is None else arms
    controls = [dense_of(s)._replace(method="random") for s in arms if s.method == "dense"]
    for arm in arms + controls:
        for number in range(seeds):
            rows.append(_row(arm, number, truth(arm), rng, noise))
    frame = pd.DataFrame(rows)
    frame["id"] = [f"{i:016x}" for i in range(len(frame))]
    return frame.assign(
        source=source, main_setting=True, energy_source=energy_source, inference_energy_source=energy_source,
        device=device, gpu=gpu,
    )  # fmt: skip


def _row(arm: Setting, seed: int, truth: dict[str, float], rng: np.random.Generator, noise: float) -> dict[str, Any]:
    def near(name: str, base: float = 1.0) -> float:
        return base * truth.get(name, 1.0) * float(np.exp(rng.normal(0, noise)))

    accuracy = truth.get("accuracy", 0.9) + rng.normal(0, noise / 10)
    row: dict[str, Any] = {
        "dataset": arm.dataset, "model": arm.model, "method": arm.method, "conv_sparsity": arm.conv,
        "sparsity": arm.linear, "scope": arm.scope, "seed": seed, "width": 1.0, "swap": 0.2, "epochs": 50,
        "batch_size": 64, "optimizer": "SGD", "lr": 0.01,
        "resolution": 224, "options": "{}", "schedule": "constant",
        "augment": False, "compute": "fp32",
        "compact_epochs": 0, "protocol": "corrected", "quirks": "", "status": "done",
        "train_images": COUNTS.get(arm.dataset, 60_000), "test_images": 10_000, "test_majority": 0.2,
        "shared_training": f"dense{seed}" if arm.method == "post-training" else None, "cpu": "x", "command": "paperlib",
        "memory_source": "process-peak", "test_accuracy": accuracy, "best_train_accuracy": accuracy,
        "first_train_loss": 2.0, "last_train_loss": 0.2 + rng.normal(0, noise / 10), "train_loss_falling": 0.95,
        "train_time_s": near("time", 100), "train_energy_j": near("energy", 1000), "train_co2_g": near("energy", 10),
        "train_peak_memory_bytes": near("memory", 1e9),
    }  # fmt: skip
    for batch in ("b1", "b64"):
        pruned = arm.method != "dense"
        row |= {
            f"inference_s_{batch}": near("inference", 0.004),
            f"inference_energy_j_{batch}": near("inference_energy", 0.1),
            f"inference_ratio_{batch}": near("inference") if pruned else np.nan,
            f"inference_energy_ratio_{batch}": near("inference_energy") if pruned else np.nan,
            f"inference_ratio_{batch}_again": near("none"),
            f"inference_energy_ratio_{batch}_again": near("none"),
        }
    return row | {k: v for k, v in truth.items() if k in row}
