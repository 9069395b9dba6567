"""Two sets of results, trial by trial: the regression check of reviewers and of CI."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.schema.cost import CostRecord
from paperlib.schema.record import Record
from paperlib.trials.archive import open_archive
from paperlib.trials.predictions import disagreement, unpack

# Times and energies belong to a machine: relative tolerances, and only on request within one environment.
COSTS = ("ratio", "median_s", "energy_j_per_image")
# Counts that follow from trained weights: which of two nearly equal weights is removed hangs on the last bit.
COUNTS = ("removed", "swapped", "zeros", "nonzeros", "csr_bytes", "compact_bytes", "inference_flops", "training_flops")
_SCORES = ("loss", "accuracy", "balanced_accuracy", "macro_f1", "precision", "recall", "auc")
TOLERANCES: Mapping[str, float] = {
    **dict.fromkeys((*_SCORES, *COUNTS), 0.01),
    **dict.fromkeys(("class_recall", "predictions"), math.inf),
}
# What `model_dump` is to leave out; engines are compared in another way.
_MEASURED: Mapping[str, Any] = {
    **dict.fromkeys(("train_s", "environment", "place", "finished", "command", "engine"), True),
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


def list_differences(a: Record, b: Record) -> list[Difference]:
    """Every field in which two records of one trial are not equal, however little.

    Every field but what is measured is compared, so that a new one is, too; of different images only that they
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
    if None not in (a.engine, b.engine):  # older records have none
        x["engine"], y["engine"] = a.engine, b.engine
    fields = [Difference(a.id, field, x.get(field), y.get(field)) for field in dict.fromkeys((*x, *y))]
    return [d for d in fields if d.a != d.b and not (_is_nan(d.a) and _is_nan(d.b))]


def list_cost_differences(a: CostRecord, b: CostRecord) -> list[Difference]:
    """Means over processes of what was measured of one setting, where they differ (COSTS).

    Empty for records of two environments: times compare only within one.
    """
    if {r.environment for r in a.runs} != {r.environment for r in b.runs}:
        return []
    x, y = _means(a), _means(b)
    return [Difference(a.id, field, x[field], y[field]) for field in x if field in y and x[field] != y[field]]


def _means(record: CostRecord) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for run in record.runs:
        for what, timing in [("step", t) for t in run.step] + [("inference", t) for t in run.inference]:
            for name in COSTS:
                if (value := getattr(timing, name)) is not None:
                    values.setdefault(f"{what}.{timing.variant}-b{timing.batch_size}.{name}", []).append(value)
    return {field: sum(found) / len(found) for field, found in values.items()}


def _flat(value: Any, at: str = "") -> dict[str, Any]:
    if not isinstance(value, dict | list):
        return {at: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {k: v for key, part in items for k, v in _flat(part, f"{at}.{key}" if at else str(key)).items()}


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


@contextmanager
def opened(path: Path) -> Iterator[Layout]:
    """A folder of results, such as results/quick, or a records.tar.xz, unpacked for the length of the block.

    Raises PaperlibError if it holds no trials or is a damaged archive.
    """
    if not path.is_file() and not (path / "trials").is_dir():
        raise PaperlibError(f"{path} holds no trials: give a folder of results, such as results/quick")
    with open_archive(path) if path.is_file() else nullcontext(Layout(path, path / "figures")) as layout:
        yield layout
