"""Two sets of results, trial by trial: the regression check of reviewers and of CI."""

import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.schema.record import Record
from paperlib.trials.archive import open_archive
from paperlib.trials.predictions import disagreement, unpack
from paperlib.trials.store import Store

# Time, energy and memory belong to a machine: relative tolerances, and only on request within one environment.
COSTS = ("time_s", "energy_j", "co2_g", "peak_memory_bytes", "load_s", "median_s", "ratio", "energy_j_per_image")
# Counts that follow from trained weights: which of two nearly equal weights is removed hangs on the last bit.
COUNTS = ("removed", "swapped", "zeros", "nonzeros", "csr_bytes", "compact_bytes", "inference_flops", "training_flops")
_SCORES = ("loss", "accuracy", "balanced_accuracy", "macro_f1", "precision", "recall", "auc")
TOLERANCES: Mapping[str, float] = {
    **dict.fromkeys((*_SCORES, *COUNTS), 0.01),
    **dict.fromkeys(("class_recall", "predictions"), math.inf),
}
EXACT: Mapping[str, float] = {}
# What `model_dump` is to leave out; engines and costs are compared in another way.
_MEASURED: Mapping[str, Any] = {
    **dict.fromkeys(("training", "inference", "load_s", "environment", "place", "finished", "command", "engine"), True),
    "curve": {"__all__": {"time_s"}},
    "compute": {"step_s"},
}
_FROM_IMAGES = ("network", "layers", "curve", "test", "predictions", "costs", "compact_epochs", "status", "reason")


@dataclass(frozen=True)
class Difference:
    """One field in which two records of one trial disagree; None where one lacks it.

    Of predictions, `b` is the share of the test images that both answer alike and `a` is 1.
    """

    id: str
    field: str
    a: Any
    b: Any

    @property
    def metric(self) -> str:
        """The name that tolerances have: `loss` of `curve.3.train.loss`."""
        return next(part for part in reversed(self.field.split(".")) if not part.isdigit())

    @property
    def size(self) -> float | None:
        """How far apart two numbers are, relative for COSTS and COUNTS; None unless both are numbers."""
        if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in (self.a, self.b)):
            return None
        apart = abs(self.a - self.b)
        if math.isnan(apart):
            return math.inf
        return apart / max(abs(self.a), abs(self.b)) if self.metric in (*COSTS, *COUNTS) else apart

    def within(self, tolerances: Mapping[str, float]) -> bool:
        return self.size is not None and self.size <= tolerances.get(self.metric, 0.0)


def list_differences(a: Record, b: Record, costs: Mapping[str, float] = EXACT) -> list[Difference]:
    """Every field in which two records of one trial are not equal, however little.

    What was measured (COSTS) is looked at only if `costs` names it and the two environments are one, for times compare
    only within one. Every other field is compared, so that a new one is, too; of different images only that they
    differ, since all the rest follows from it.
    """
    same_images = a.data.content_hash == b.data.content_hash
    # By which file the same images came does not matter.
    exclude = {**_MEASURED, **({"data": {"note"}} if same_images else dict.fromkeys(_FROM_IMAGES, True))}
    left, right = (record.model_dump(mode="json", exclude=exclude) for record in (a, b))
    if same_images and a.predictions is not None and b.predictions is not None:
        left["predictions"] = 1.0
        right["predictions"] = 1.0 - disagreement(unpack(a.predictions), unpack(b.predictions))
    x, y = _flat(left), _flat(right)
    engines, others = _engines(a), _engines(b)  # older records have none; variants may differ
    x |= {name: engine for name, engine in engines.items() if name in others}
    y |= {name: engine for name, engine in others.items() if name in engines}
    if a.environment == b.environment:
        x |= _costs(a, costs)
        y |= _costs(b, costs)
    fields = [Difference(a.id, field, x.get(field), y.get(field)) for field in dict.fromkeys((*x, *y))]
    return [d for d in fields if d.a != d.b and not (_is_nan(d.a) and _is_nan(d.b))]


def _engines(record: Record) -> dict[str, str]:
    """What trained the network and what computed each variant of its inference, as far as the record says so."""
    named = {f"{t.variant}-b{t.batch_size}.engine": t.engine for t in record.inference} | {"engine": record.engine}
    return {name: engine for name, engine in named.items() if engine is not None}


def _costs(record: Record, allowed: Mapping[str, float]) -> dict[str, Any]:
    parts = {
        "load_s": record.load_s,
        "training": record.training.model_dump() if record.training else None,
        "inference": {f"{t.variant}-b{t.batch_size}": t.model_dump() for t in record.inference},
    }
    return {f: v for f, v in _flat(parts).items() if (m := f.rsplit(".", 1)[-1]) in COSTS and m in allowed}


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    if not isinstance(value, dict | list):
        return {at: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for key, part in items for k, v in _flat(part, f"{at}.{key}" if at else str(key)).items()}


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def records_in(path: Path) -> dict[str, Record]:
    """The records of a folder of results, such as results/quick, or of a records.tar.xz, by trial id.

    Raises PaperlibError if it holds no trials or is a damaged archive.
    """
    if not path.is_file() and not (path / "trials").is_dir():
        raise PaperlibError(f"{path} holds no trials: give a folder of results, such as results/quick")
    with open_archive(path) if path.is_file() else nullcontext(Layout(path, path / "figures")) as layout:
        return {record.id: record for record in Store(layout).records()}
