"""The tidy table as evidence: quantities, paired comparisons over seeds, noise floors, provenance."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paperlib.claims.effects import METRICS, REAL, Metric, corrected_protocol, main_setting_only, near_chance
from paperlib.claims.settings import Setting, dense_of
from paperlib.claims.stats.noise import MACHINE, PAIR, cost_controls, score_controls
from paperlib.studies.profiles import F_DATASETS

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
SWAP = 0.2  # both papers; other values are sensitivity arms
EPOCHS = 50  # of paper F; P does not state its own
ARM = ["dataset", "model", "method", "conv_sparsity", "sparsity", "scope"]  # as the fields of Setting
PER_MODEL = {"lr", "batch_size", "options", "optimizer", "schedule"}  # what each model has of its own
QUANTITIES = METRICS | {
    m.name: m
    for m in (
        Metric("train_accuracy", "Best training accuracy", "best_train_accuracy", "%", "difference", 100),
        Metric("train_loss", "Last training loss", "last_train_loss", "nats", "difference"),
        Metric("loss_change", "Change of training loss", "loss_change", "nats", "difference", signed=True),
        Metric("loss_falling", "Epochs with falling loss", "train_loss_falling", "%", "difference", 100),
        Metric("inference_energy_absolute", "Inference energy, batch 64", "inference_energy_j_b64", "J", "ratio"),
        Metric("inference_extra", "Inference time above dense", "inference_extra_s", "s", "difference", signed=True),
    )
}
# What training improves: it says nothing where nothing was learnt, and less where training was short.
QUALITIES = {"accuracy", "train_accuracy", "train_loss", "loss_change", "loss_falling"}
# What every table has; an empty one gets these columns.
_COLUMNS = {
    *PAIR, *ARM, *MACHINE, "id", "source", "status", "protocol", "swap", "main_setting", "test_accuracy",
    "test_majority", "first_train_loss", "last_train_loss", "shared_training", "compact_epochs", "energy_source",
    "train_energy_j",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class PairedSample:
    """One comparison (or level). label: of its setting; seeds and values: one each per seed; rows: of the evidence."""

    label: str
    seeds: NDArray[np.int64]
    values: Floats
    rows: Rows


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a claim's test gets: finished trials of the corrected protocol, one per row of the tidy table.

    A test reads `rows` itself (columns and units as in tidy.csv), or asks for a quantity of a setting (`level`), for
    the difference of two settings (`compare`), for the noise floor of a quantity, and for the `support` of a verdict.
    """

    rows: pd.DataFrame
    _controls: dict[str, dict[Any, Floats]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, tidy: pd.DataFrame) -> "Evidence":
        """From the table of `paperlib.trials.store.tidy`; an empty one is no evidence."""
        rows = corrected_protocol(main_setting_only(tidy if len(tidy) else pd.DataFrame(columns=sorted(_COLUMNS))))
        rows = rows[rows.swap == SWAP].reset_index(drop=True)
        extra = {"loss_change": rows.last_train_loss.astype(float) - rows.first_train_loss.astype(float)}
        if {"inference_s_b1", "inference_ratio_b1"} <= set(rows):
            extra["inference_extra_s"] = rows.inference_s_b1 * (1 - 1 / rows.inference_ratio_b1)
        return cls(rows.assign(**extra))

    def where(self, chosen: pd.Series) -> "Evidence":
        """Only the rows that are chosen; itself where all are."""
        return self if chosen.all() else Evidence(self.rows[chosen].reset_index(drop=True))

    @cached_property
    def undrawn(self) -> "Evidence":
        """Only trials on real images: what stands beside a published accuracy."""
        return self.where(self.rows["source"].isin(REAL))

    @cached_property
    def near_chance(self) -> set[tuple[str, str]]:
        """Data sets and models whose dense networks hardly beat a constant predictor."""
        return near_chance(self.rows)

    @cached_property
    def groups(self) -> dict[Setting, Rows]:
        """The rows of each setting."""
        groups = cast(dict[tuple[str, str, str, float, float, str], Rows], self.rows.groupby(ARM, sort=False).indices)
        return {Setting(*key): rows for key, rows in groups.items()}

    @cached_property
    def _budgets(self) -> dict[bool, Rows]:
        # The number of each row's budget, seed and machine; under False across models, which train in their own ways.
        same = [*(name for name in PAIR if name not in {"dataset", "model"}), *MACHINE]
        across = [name for name in same if name not in PER_MODEL]
        return {
            one_model: np.asarray(self.rows.groupby(names, sort=False, dropna=False).ngroup(), np.intp)
            for one_model, names in ((True, same), (False, across))
        }

    def _column(self, name: str) -> Floats:
        if name not in self.rows:
            return np.full(len(self.rows), np.nan)
        return pd.to_numeric(self.rows[name], errors="coerce").to_numpy(float)

    def level(self, metric: Metric, setting: Setting) -> PairedSample | None:
        """The quantity itself in the unit of its column, one value per seed; None where it was not measured."""
        rows = self.groups.get(setting, np.array([], np.intp))
        return self._sample(str(setting), rows, self._column(metric.column)[rows], rows)

    def compare(self, metric: Metric, left: Setting, right: Setting) -> PairedSample | None:
        """left - right, or log(left / right) of a metric whose effect is a ratio: one value per seed.

        Trials are paired by budget, seed and machine; a ratio to dense that a trial measured itself comes first. None
        where there is no pair.
        """
        rows, others = (self.groups.get(s, np.array([], np.intp)) for s in (left, right))
        label = str(left) if right == dense_of(left) else f"{left} against {right}"
        one_network = (left.dataset, left.model) == (right.dataset, right.model)
        in_trial = metric.ratio_column if one_network and left.method != "dense" else None
        values = self._column(in_trial or metric.column)
        if metric.effect == "ratio":
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.where(values > 0, np.log(values), np.nan)
        if in_trial and right.method == "dense":  # the trial timed its own dense baseline
            return self._sample(label, rows, values[rows], rows)
        budget = self._budgets[left.model == right.model]
        partner = dict(zip(budget[others[::-1]], others[::-1], strict=True))  # of several the first
        mine = np.array([row for row in rows if budget[row] in partner], np.intp)
        other = np.array([partner[budget[row]] for row in mine], np.intp)
        return self._sample(label, mine, values[mine] - values[other], np.concatenate([mine, other]))

    def _sample(self, label: str, mine: Rows, values: Floats, rows: Rows) -> PairedSample | None:
        good = np.isfinite(values)
        if not good.any():
            return None
        seeds, index = np.unique(self.rows["seed"].to_numpy()[mine[good]], return_inverse=True)
        return PairedSample(label, seeds, np.bincount(index, values[good]) / np.bincount(index), rows)

    def floor(self, metric: Metric, settings: Iterable[Setting]) -> float | None:
        """95th percentile of the A/A controls of these data sets and models, else of all; None without any.

        As a share of the cost where the effect of `metric` is a ratio, else in the unit of its column.
        """
        if metric.name not in self._controls:
            if metric.effect == "ratio":
                controls = cost_controls(self.rows, metric.ratio_column or metric.column)
            else:
                controls = score_controls(self.rows, metric.column)
            networks = controls.groupby(["dataset", "model"]).deviation
            self._controls[metric.name] = {network: group.to_numpy(float) for network, group in networks}
        controls_of = self._controls[metric.name]
        near = [controls_of[n] for n in {(s.dataset, s.model) for s in settings} if n in controls_of]
        deviations = near or list(controls_of.values())
        return float(np.percentile(np.concatenate(deviations), 95)) if deviations else None

    def support(self, metric: Metric, samples: Sequence[PairedSample]) -> dict[str, Any]:
        """Fields of a Verdict on these samples of `metric`: caveats, provenance and the ids of the trials.

        provenance: `bloodmnist: official (11,959 training images, 3 epochs; cpu)`.
        """
        rows = self.rows.iloc[np.unique(np.concatenate([sample.rows for sample in samples]))]
        caveats = non_official_sources(rows["source"])
        kind = "inference_energy_source" if metric.name.startswith("inference_energy") else metric.source_column
        if kind and kind in rows:
            what = "memory" if kind == "memory_source" else "energy"
            caveats += [f"{w} {what}" for w in sorted({"modelled", "simulated"} & set(rows[kind]))]
        if metric.name in QUALITIES and (rows.dataset.isin(F_DATASETS) & (rows.epochs < EPOCHS)).any():
            caveats.append("short training")
        cost = metric.column.startswith("train_") and metric.name not in QUALITIES
        if cost and pd.to_numeric(rows.compact_epochs).gt(0).any():
            caveats.append("compact training")  # the papers' is masked
        budgets = rows[["dataset", "source", "train_images", "epochs", "device"]].drop_duplicates()
        provenance = [
            f"{dataset}: {source} ({images:,} training images, {epochs} epochs; {device})"
            for dataset, source, images, epochs, device in budgets.itertuples(index=False)
        ]
        return {
            "caveats": tuple(caveats), "provenance": "; ".join(provenance), "trials": tuple(sorted(set(rows["id"])))
        }  # fmt: skip


def non_official_sources(sources: pd.Series) -> list[str]:
    """`stand-in and subset images`, or nothing where all are official."""
    names = sorted(set(sources.dropna()) - {"official"})
    return [f"{' and '.join(names)} images"] if names else []
