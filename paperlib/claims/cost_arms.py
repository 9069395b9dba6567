"""The pruned networks whose costs were measured, as arms of a study."""

from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

from paperlib.claims.cost_evidence import EPOCHS_F, EPOCHS_P, CostMetric, CostTable
from paperlib.claims.effects import NOT_PUBLISHED, PAPER, Arm, pruned_text
from paperlib.claims.settings import P_METHODS, Setting
from paperlib.claims.stats import Estimate, mean_interval
from paperlib.pruners import METHODS
from paperlib.studies.costs import BATCH_SIZE, PERCEPTRONS
from paperlib.studies.paper_f import SCENARIOS
from paperlib.studies.profiles import F_DATASETS, P_DATASETS

STUDIES = ("mlp", "vgg", "industrial")  # endings of the names of tables
SHARES_F = {(s.conv, s.linear) for s in SCENARIOS.values()}


@dataclass(frozen=True)
class CostArm:
    """A pruned network whose costs were measured. costs: its rows alone; setting: with the first of `datasets`, those
    whose images have its shape."""

    setting: Setting
    width: float
    datasets: tuple[str, ...]
    costs: CostTable

    @property
    def id(self) -> str:
        """That of the cost record."""
        return str(self.costs.rows.id.iloc[0])

    @property
    def rows(self) -> pd.DataFrame:
        """One row per process, with the cost of a whole training on the first of its data sets."""
        return self.costs.of(self.setting, self.width)

    @property
    def network(self) -> str:
        """`mlp-small at 28×28×1, 10 classes, batch 64`; batch: images of a training step."""
        first = self.rows.iloc[0]
        shape = f"{first.resolution}×{first.image_width}×{first.channels}"
        return f"{first.model} at {shape}, {first.classes} classes, batch {first.batch_size}"

    @property
    def pruned(self) -> str:
        return pruned_text(self.setting.model, self.setting.scope, self.setting.conv, self.setting.linear)

    @property
    def paper(self) -> str:
        """What P publishes of its inference time."""
        arm = self.setting.model, self.setting.scope, self.setting.linear
        published = (PAPER.get(("inference_time", dataset, *arm)) for dataset in self.datasets)
        return next(filter(None, published), NOT_PUBLISHED)

    def effect(self, metric: CostMetric, *, realised: bool = False) -> Estimate | None:
        """The ratio to dense, over processes."""
        return self.costs.effect(metric, self.setting, realised=realised, width=self.width)

    def way(self, column: str) -> str:
        """`compact`, `sparse`, …: the fastest exact variant; '' where none is faster than masked."""
        ways = dict.fromkeys(str(way) for way in self.rows[f"realised_{column}_way"])
        return "/".join(ways) if set(ways) - {"masked", "dense"} else ""

    @property
    def is_trained_dense(self) -> bool:
        """Whether its training is dense's own, as in post-training."""
        return set(self.rows.realised_step_way) == {"dense"}

    @property
    def boundary(self) -> Estimate | None:
        """Seconds of an epoch boundary as a share of a dense epoch."""
        rows = self.rows
        epochs = EPOCHS_F if self.setting.dataset in F_DATASETS else EPOCHS_P
        return mean_interval(rows.boundary_s * epochs / rows.dense_train_s)


@lru_cache(maxsize=2 * len(STUDIES))  # seconds each time, and tables, figures, findings and report all ask
def measured_arms(costs: CostTable, study: str) -> list[CostArm]:
    """The pruned arms of one of STUDIES that have cost records."""
    found = (
        [_arm(CostTable(rows), study) for _, rows in costs.rows.groupby("id", sort=False)] if len(costs.rows) else []
    )
    return sorted((arm for arm in found if arm and arm.setting.method != "dense"), key=_order)


def _order(arm: CostArm) -> tuple[object, ...]:
    """Largest images first, then scope, scenario or sparsity, and the package's order of methods."""
    setting, first = arm.setting, arm.costs.rows.iloc[0]
    network = list(BATCH_SIZE).index(setting.model), -first.resolution, first.channels, first.classes
    return *network, setting.scope, -setting.conv, setting.linear, list(METHODS).index(setting.method)


def _arm(costs: CostTable, study: str) -> CostArm | None:
    first = costs.rows.iloc[0]
    shares = float(first.conv_sparsity), float(first.sparsity)
    arm = Setting("", str(first.model), str(first.method), *shares, str(first.scope))
    datasets = F_DATASETS if study == "industrial" else P_DATASETS
    fitting = tuple(d for d in datasets if len(costs.of(arm._replace(dataset=d), float(first.width))))
    if not fitting or not _belongs(arm, study):
        return None
    return CostArm(arm._replace(dataset=fitting[0]), float(first.width), fitting, costs)


def _belongs(arm: Setting, study: str) -> bool:
    """Whether a pruned arm is one of the study's grid."""
    if study == "industrial":
        return arm.scope == "global" and (arm.conv, arm.linear) in SHARES_F
    of_p = arm.method in P_METHODS and arm.conv in {0, arm.linear}
    return of_p and (arm.model in PERCEPTRONS if study == "mlp" else arm.model == "vgg16")


def setting_of(arm: Arm) -> Setting:
    """The arm of trials as cost records are asked for it."""
    return Setting(arm.dataset, arm.model, arm.method, arm.conv_sparsity, arm.sparsity, arm.scope)


def width_of(costs: CostTable, model: str) -> float:
    """The largest width at which a model was measured; 1 where it was not."""
    widths = costs.rows[costs.rows.model == model].width if len(costs.rows) else pd.Series(dtype=float)
    return float(widths.max()) if len(widths) else 1.0
