"""Trials and cost records as evidence: quantities, paired comparisons, noise floors, provenance."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paperlib.claims.cost_evidence import COSTS, CostMetric, CostTable
from paperlib.claims.effects import ACCURACY, PAIR, REAL, Metric, converged, corrected_protocol, near_chance, only
from paperlib.claims.settings import Setting, label

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
_NOTHING, _NOWHERE = np.array([], float), np.array([], np.intp)
SWAP = 0.2  # both papers; other values are sensitivity arms
PIXELS = 224  # of paper F's images; its networks for small images cost otherwise
F_MODELS = ("vgg16", "resnet18")
ARM = ["dataset", "model", "method", "conv_sparsity", "sparsity", "scope"]  # as the fields of Setting
MACHINE = ["device", "cpu", "gpu"]
PER_MODEL = {"lr", "batch_size", "options", "optimizer", "schedule"}  # what each model has of its own
_LEARNT = (
    ACCURACY,
    Metric("balanced_accuracy", "Balanced test accuracy", "test_balanced_accuracy", "%", 100),
    Metric("train_accuracy", "Best training accuracy", "best_train_accuracy", "%", 100),
    Metric("train_loss", "Last training loss", "last_train_loss", "nats"),
    Metric("loss_change", "Change of training loss", "loss_change", "nats", signed=True),
    Metric("loss_falling", "Epochs with falling loss", "train_loss_falling", "%", 100),
)
QUANTITIES: dict[str, Metric | CostMetric] = {**{m.name: m for m in _LEARNT}, **COSTS}
# What training improves: it says nothing where nothing was learnt, and less where training was short.
QUALITIES = {"accuracy", "balanced_accuracy", "train_accuracy", "train_loss", "loss_change", "loss_falling"}
# What every table has; an empty one gets these columns.
_COLUMNS = {
    *PAIR, *ARM, *MACHINE, "id", "source", "status", "protocol", "swap", "main_setting", "test_accuracy",
    "test_majority", "val_gain", "first_train_loss", "last_train_loss", "shared_training", "dense_bytes", "csr_bytes",
    "compact_bytes", "val_images",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PairedSample:
    """One comparison (or level). label: of its setting; repeats and values: one each per seed, of a cost per process;
    rows: of the evidence, of its costs for a cost."""

    label: str
    repeats: NDArray[np.int64]
    values: Floats
    rows: Rows


@dataclass(eq=False)
class Asked:
    """What tests have asked of their evidence: quantities, arms of trials and of costs, and on which machines."""

    quantities: set[str] = field(default_factory=set)
    trials: set[Setting] = field(default_factory=set)
    costs: set[Setting] = field(default_factory=set)
    machines: set[str] = field(default_factory=set)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a claim's test gets: finished trials of the corrected protocol, one per row of the tidy table, and costs.

    A test reads `rows` itself (columns and units as in tidy.csv), or asks for a quantity of a setting (`level`), for
    the difference of two settings (`compare`), for the noise floor of a cost, and for the `support` of a verdict.
    """

    rows: pd.DataFrame
    costs: CostTable = field(default_factory=lambda: CostTable(pd.DataFrame()))
    others: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)  # of other training settings
    strictness: float = 1.0  # factor on the margins, to see what hangs on them
    asked: Asked = field(default_factory=Asked, repr=False)
    _budgets: dict[bool, Rows] = field(init=False, default_factory=dict, repr=False)
    _columns: dict[str, Floats] = field(init=False, default_factory=dict, repr=False)

    @classmethod
    def of(cls, tidy: pd.DataFrame, costs: pd.DataFrame | None = None) -> "Evidence":
        """From the tables of `trials.store.tidy` and `costs.records.cost_table`; an empty one is no evidence."""
        rows = corrected_protocol(tidy if len(tidy) else pd.DataFrame(columns=sorted(_COLUMNS)))
        rows = only(rows, rows.swap == SWAP).reset_index(drop=True)
        stored = rows[["csr_bytes", "compact_bytes"]].astype(float).min(axis=1)
        extra = {
            "loss_change": rows.last_train_loss.astype(float) - rows.first_train_loss.astype(float),
            "stored_change": stored / rows.dense_bytes.astype(float) - 1,
        }
        rows, measured = rows.assign(**extra), CostTable(pd.DataFrame() if costs is None else costs)
        is_main = rows.main_setting.astype(bool)
        return cls(only(rows, is_main).reset_index(drop=True), measured, rows[~is_main])

    @cached_property
    def of_any_setting(self) -> "Evidence":
        """With the trials of other training settings than most of their data set and network share."""
        return replace(self, rows=pd.concat([self.rows, self.others], ignore_index=True)) if len(self.others) else self

    def where(self, chosen: pd.Series) -> "Evidence":
        """Only the trials that are chosen, and all costs; itself where all are."""
        return self if chosen.all() else replace(self, rows=self.rows[chosen].reset_index(drop=True))

    def with_costs(self, column: str, fits: Callable[[pd.Series], "pd.Series[bool]"]) -> "Evidence":
        """All trials, and only the costs whose column fits."""
        costs = self.costs
        return replace(self, costs=costs.where(fits(costs.rows[column]))) if len(costs.rows) else self

    def on_card(self, *names: str) -> "Evidence":
        """All trials, and only the costs on a GPU of one of these names."""
        self.asked.machines.add(" or ".join(names))
        return self.with_costs("gpu", lambda gpu: gpu.astype(str).str.contains("|".join(names)))

    def has(self, metric: Metric | CostMetric, setting: Setting) -> bool:
        """Whether anything was measured of this setting, be it another quantity."""
        return len(self.costs.of(setting)) > 0 if isinstance(metric, CostMetric) else setting in self.groups

    @cached_property
    def undrawn(self) -> "Evidence":
        """Only trials on real images: what stands beside a published accuracy."""
        return self.where(self.rows["source"].isin(REAL))

    @cached_property
    def at_scale(self) -> "Evidence":
        """Only trials of the papers' own scale: the whole network (width 1), trained until it converged."""
        return self.where((self.rows.width == 1) & self._converged)

    @cached_property
    def near_chance(self) -> set[tuple[str, str]]:
        """Data sets and models whose dense networks hardly beat a constant predictor."""
        return near_chance(self.rows)

    @cached_property
    def _converged(self) -> NDArray[np.bool_]:
        return converged(self.rows).to_numpy()

    @cached_property
    def groups(self) -> dict[Setting, Rows]:
        """The rows of each setting."""
        groups = cast(dict[tuple[str, str, str, float, float, str], Rows], self.rows.groupby(ARM, sort=False).indices)
        return {Setting(*key): rows for key, rows in groups.items()}

    def _budget(self, one_model: bool) -> Rows:
        """The number of each row's budget, seed and machine; across models (not one) without how each is trained."""
        if one_model not in self._budgets:
            apart = {"dataset", "model"} | (set() if one_model else PER_MODEL)
            names = [*(name for name in PAIR if name not in apart), *MACHINE]
            numbers = self.rows.groupby(names, sort=False, dropna=False).ngroup()
            self._budgets[one_model] = np.asarray(numbers, np.intp)
        return self._budgets[one_model]

    def _column(self, name: str) -> Floats:
        if name not in self._columns:
            missing = pd.Series(np.nan, self.rows.index)
            values = pd.to_numeric(self.rows.get(name, missing), errors="coerce")
            self._columns[name] = values.to_numpy(float)
        return self._columns[name]

    def level(self, metric: Metric | CostMetric, setting: Setting) -> PairedSample | None:
        """The quantity itself in the unit of its column, one value per repeat; None where it was not measured."""
        self._ask(metric, setting)
        if isinstance(metric, CostMetric):
            places = self.costs.places(setting)
            values = self.costs.column(setting.dataset, metric.level)[places] if len(places) else _NOTHING
            return self._of_costs(str(setting), places, values, places)
        at = self.groups.get(setting, _NOWHERE)
        return self._sample(str(setting), at, self._column(metric.column)[at], at)

    def compare(self, metric: Metric | CostMetric, left: Setting, right: Setting) -> PairedSample | None:
        """left - right, or of a cost log(left / right): one value per seed or per process; None where there is no pair.

        Trials are paired by budget, seed and machine, costs by process; a cost of one network is compared by its ratios
        to dense, which are taken within rounds.
        """
        name, one_network = label(left, right), (left.dataset, left.model) == (right.dataset, right.model)
        beside = isinstance(metric, CostMetric) and one_network and right.method == "dense"  # in the same record
        self._ask(metric, left, *(() if beside else (right,)))
        if isinstance(metric, CostMetric):
            return self._compare_costs(metric, name, left, right)
        rows, others = (self.groups.get(s, _NOWHERE) for s in (left, right))
        values = self._column(metric.column)
        budget = self._budget(left.model == right.model)
        partner = dict(zip(budget[others[::-1]], others[::-1], strict=True))  # of several the first
        mine = np.array([row for row in rows if budget[row] in partner], np.intp)
        other = np.array([partner[budget[row]] for row in mine], np.intp)
        return self._sample(name, mine, values[mine] - values[other], np.concatenate([mine, other]))

    def _compare_costs(self, metric: CostMetric, label: str, left: Setting, right: Setting) -> PairedSample | None:
        costs, mine, other = self.costs, self.costs.places(left), self.costs.places(right)
        one_network = (left.dataset, left.model) == (right.dataset, right.model)
        if one_network and right.method == "dense":
            ratios = costs.column(left.dataset, metric.ratio)[mine] if len(mine) else _NOTHING
            return self._of_costs(label, mine, np.log(ratios), mine)
        if not len(mine) or not len(other):
            return None
        pixels, processes = (costs.column(left.dataset, name) for name in ("resolution", "process"))
        if (pixels[mine].max() < PIXELS) != (pixels[other].max() < PIXELS):
            return None
        column = metric.ratio if one_network else metric.level
        _, x, y = np.intersect1d(processes[mine], processes[other], return_indices=True)
        mine, other = mine[x], other[y]
        logs = np.log(costs.column(left.dataset, column)[mine] / costs.column(right.dataset, column)[other])
        return self._of_costs(label, mine, logs, np.concatenate([mine, other]))

    def _of_costs(self, label: str, places: Rows, values: Floats, all_places: Rows) -> PairedSample | None:
        """A sample of the rows of costs at `places`; all_places: of the rows that it rests on."""
        good = np.isfinite(values)
        if not good.any():
            return None
        rows = self.costs.rows
        processes = rows.process.to_numpy(np.int64)[places[good]]
        return PairedSample(label, processes, values[good], rows.index.to_numpy(np.intp)[all_places])

    def _ask(self, metric: Metric | CostMetric, *settings: Setting) -> None:
        self.asked.quantities.add(metric.name)
        (self.asked.costs if isinstance(metric, CostMetric) else self.asked.trials).update(settings)

    def _sample(self, label: str, mine: Rows, values: Floats, rows: Rows) -> PairedSample | None:
        good = np.isfinite(values)
        if not good.any():
            return None
        seeds, index = np.unique(self.rows["seed"].to_numpy()[mine[good]], return_inverse=True)
        return PairedSample(label, seeds, np.bincount(index, values[good]) / np.bincount(index), rows)

    def floor(self, metric: CostMetric, settings: Iterable[Setting]) -> float | None:
        """The widest A/A noise floor of the networks that are compared, as a share of dense; None where one lacks."""
        networks = {network for s in settings if (network := self.costs.network(s))}
        floors = [self.costs.floor(metric, network) for network in networks]
        return max((floor.mean for floor in floors if floor), default=None) if all(floors) else None

    def support(self, metric: Metric | CostMetric, samples: Sequence[PairedSample]) -> dict[str, Any]:
        """Fields of a Verdict on these samples of `metric`: caveats, provenance and the ids of the records.

        provenance: `bloodmnist: official (11,959 training images, 3 epochs; cpu)`.
        """
        places = np.unique(np.concatenate([sample.rows for sample in samples]))
        if isinstance(metric, CostMetric):
            return _support_of_costs(metric, self.costs.rows.loc[places])
        budget = ["dataset", "source", "train_images", "epochs", "device"]
        rows = self.rows[["id", *budget]].iloc[places]
        caveats = non_official_sources(rows["source"])
        if metric.name in QUALITIES and not self._converged[places].all():
            caveats.append("not converged")
        provenance = [
            f"{dataset}: {source} ({images:,} training images, {epochs} epochs; {device})"
            for dataset, source, images, epochs, device in dict.fromkeys(zip(*map(rows.get, budget), strict=True))
        ]
        return {
            "caveats": tuple(caveats), "provenance": "; ".join(provenance), "trials": tuple(sorted(set(rows["id"])))
        }  # fmt: skip


def _support_of_costs(metric: CostMetric, rows: pd.DataFrame) -> dict[str, Any]:
    caveats = []
    if (rows.model.isin(F_MODELS) & (rows.resolution < PIXELS)).any():
        caveats.append("small images")
    if metric.source:
        caveats += [f"{word} energy" for word in sorted({"modelled", "simulated"} & set(rows[metric.source]))]
    measured = ["model", "resolution", "image_width", "channels", "batch_size", "device", "threads"]
    networks = rows[measured].drop_duplicates().itertuples(index=False)
    provenance = [
        f"{model} at {height}×{width}×{channels}, batch {batch} ({device}, {threads} thread(s))"
        for model, height, width, channels, batch, device, threads in networks
    ]
    trials = tuple(sorted(set(rows["id"])))
    return {"caveats": tuple(caveats), "provenance": "; ".join(provenance), "trials": trials}


def non_official_sources(sources: pd.Series) -> list[str]:
    """`stand-in and subset images`, or nothing where all are official."""
    names = sorted(set(sources.dropna()) - {"official"})
    return [f"{' and '.join(names)} images"] if names else []
