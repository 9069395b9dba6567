"""The tidy table as evidence: settings, paired comparisons over seeds, noise floors, provenance."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from paperlib.claims.effects import METRICS, REAL, Metric, corrected_protocol, main_setting_only, near_chance
from paperlib.claims.stats import PAIR, control_differences, control_ratios
from paperlib.studies.profiles import F_DATASETS

Floats = NDArray[np.float64]
SWAP = 0.2  # both papers; other values are sensitivity arms
MACHINE = ["device", "cpu", "gpu"]
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
# What on drawn images stands beside no published figure.
ON_IMAGES = {"accuracy", "train_accuracy", "train_loss"}
EPOCHS = 50  # of paper F; P does not state its own


class Setting(NamedTuple):
    """One arm: conv and linear are the sparsities of filters and of linear weights."""

    dataset: str
    model: str
    method: str
    conv: float
    linear: float
    scope: str = "global"

    def __str__(self) -> str:
        if self.method == "dense":
            return f"{self.dataset} {self.model} dense"
        scope = "" if self.scope == "global" else f" {self.scope}"
        return f"{self.dataset} {self.model} {self.method} {self.conv:g}/{self.linear:g}{scope}"


def non_official_sources(sources: pd.Series) -> list[str]:
    """`stand-in and subset images`, or nothing where all are official."""
    found = sorted(set(sources.dropna()) - {"official"})
    return [f"{' and '.join(found)} images"] if found else []


def dense_of(setting: Setting) -> Setting:
    """The dense arm beside a setting."""
    return Setting(setting.dataset, setting.model, "dense", 0.0, 0.0)


@dataclass(frozen=True)
class PairedSample:
    """One comparison (or level): a value per seed, and the rows that it rests on."""

    label: str
    seeds: NDArray[np.int64]
    values: Floats
    rows: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Finished trials of the corrected protocol, indexed by setting."""

    rows: pd.DataFrame

    @classmethod
    def of(cls, tidy: pd.DataFrame) -> "Evidence":
        """From the table of `paperlib.trials.store.tidy`; an empty one is no evidence."""
        if tidy.empty:
            return cls(tidy)
        tidy = main_setting_only(tidy)
        rows = corrected_protocol(tidy)
        rows = rows[rows.swap == SWAP].reset_index(drop=True)
        extra = {"loss_change": rows.last_train_loss.astype(float) - rows.first_train_loss.astype(float)}
        if {"inference_s_b1", "inference_ratio_b1"} <= set(rows):
            extra["inference_extra_s"] = rows.inference_s_b1 * (1 - 1 / rows.inference_ratio_b1)
        return cls(rows.assign(**extra))

    def on(self, machine: str) -> "Evidence":
        """Only trials that ran on the `cpu` or on a `gpu`."""
        return self._cpu if machine == "cpu" else self._gpu

    @cached_property
    def _cpu(self) -> "Evidence":
        return self if self.rows.empty else Evidence(self.rows[self.rows.device == "cpu"].reset_index(drop=True))

    @cached_property
    def _gpu(self) -> "Evidence":
        return self if self.rows.empty else Evidence(self.rows[self.rows.device != "cpu"].reset_index(drop=True))

    def at_scale(self, pixels: int) -> "Evidence":
        """Only trials of the whole network, trained as long as paper F's or longer, on images of `pixels` or more."""
        if self.rows.empty:
            return self
        whole = (self.rows.epochs >= EPOCHS) & (self.rows.width == 1) & (self.rows.resolution >= pixels)
        return self if whole.all() else Evidence(self.rows[whole].reset_index(drop=True))

    @cached_property
    def undrawn(self) -> "Evidence":
        """Only trials on real images: what stands beside a published accuracy."""
        real = self.rows if self.rows.empty else self.rows[self.rows["source"].isin(REAL)]
        return self if len(real) == len(self.rows) else Evidence(real.reset_index(drop=True))

    @cached_property
    def unlearnt(self) -> set[tuple[str, str]]:
        """Data sets and models whose dense networks hardly beat a constant predictor."""
        return set() if self.rows.empty else near_chance(self.rows)

    @cached_property
    def groups(self) -> dict[Setting, NDArray[np.intp]]:
        if self.rows.empty:
            return {}
        keys = ["dataset", "model", "method", "conv_sparsity", "sparsity", "scope"]
        found = cast(
            dict[tuple[str, str, str, float, float, str], NDArray[np.intp]], self.rows.groupby(keys, sort=False).indices
        )
        return {Setting(*key): np.asarray(index, np.intp) for key, index in found.items()}

    @cached_property
    def _codes(self) -> dict[bool, NDArray[np.intp]]:
        same = [*(name for name in PAIR if name not in {"dataset", "model"}), *MACHINE]
        across = [name for name in same if name not in PER_MODEL]
        return {
            True: np.asarray(self.rows.groupby(same, sort=False, dropna=False).ngroup(), np.intp),
            False: np.asarray(self.rows.groupby(across, sort=False, dropna=False).ngroup(), np.intp),
        }

    @cached_property
    def _columns(self) -> dict[str, Floats]:
        return {}

    def column(self, name: str) -> Floats:
        """A column as numbers, all missing if the table does not have it."""
        if name not in self._columns:
            blank = pd.Series(np.nan, index=self.rows.index)
            self._columns[name] = pd.to_numeric(self.rows.get(name, blank), errors="coerce").to_numpy(float)
        return self._columns[name]

    def level(self, metric: Metric, setting: Setting) -> PairedSample | None:
        """The quantity itself, one value per seed."""
        rows = self.groups.get(setting, np.array([], np.intp))
        return self._cell(str(setting), rows, self.column(metric.column)[rows], rows)

    def compare(self, metric: Metric, left: Setting, right: Setting) -> PairedSample | None:
        """left - right (or the logarithm of left / right), paired by budget, seed and machine, per seed."""
        here, there = (self.groups.get(s, np.array([], np.intp)) for s in (left, right))
        label = str(left) if right == dense_of(left) else f"{left} against {right}"
        same = (left.dataset, left.model) == (right.dataset, right.model)
        in_trial = metric.ratio_column if same and left.method != "dense" else None
        values = self.column(in_trial or metric.column)
        if metric.effect == "ratio":
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.where(values > 0, np.log(values), np.nan)
        if in_trial and right.method == "dense":  # the trial timed its own dense twin
            return self._cell(label, here, values[here], here)
        if not len(here) or not len(there):
            return None
        codes = self._codes[left.model == right.model]
        known, first = np.unique(codes[there], return_index=True)
        at = np.searchsorted(known, codes[here]).clip(max=len(known) - 1)
        hit = known[at] == codes[here]
        mine, other = here[hit], there[first[at[hit]]]
        return self._cell(label, mine, values[mine] - values[other], np.concatenate([mine, other]))

    def _cell(self, label: str, mine: NDArray[np.intp], values: Floats, rows: NDArray[np.intp]) -> PairedSample | None:
        good = np.isfinite(values)
        if not good.any():
            return None
        seeds, index = np.unique(self.rows["seed"].to_numpy()[mine[good]], return_inverse=True)
        means = np.bincount(index, values[good]) / np.bincount(index)
        return PairedSample(label, seeds, means, rows)

    def floor(self, metric: Metric, settings: Iterable[Setting]) -> float | None:
        """95th percentile of the A/A controls of these data sets and models, else of all; None without any."""
        places = frozenset((s.dataset, s.model) for s in settings)
        if (metric.name, places) not in self._floors:
            self._floors[metric.name, places] = self._floor(metric, places)
        return self._floors[metric.name, places]

    @cached_property
    def _floors(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float | None]:
        return {}

    def _floor(self, metric: Metric, places: frozenset[tuple[str, str]]) -> float | None:
        controls = self._controls(metric)
        value = "ratio" if metric.effect == "ratio" else "difference"
        near = [pair in places for pair in zip(controls.dataset, controls.model, strict=True)]
        chosen = (controls[near] if any(near) else controls)[value].to_numpy(float)
        if not len(chosen):
            return None
        return float(np.percentile(np.abs(chosen - 1 if value == "ratio" else chosen), 95))

    @cached_property
    def _known_controls(self) -> dict[str, pd.DataFrame]:
        return {}

    def _controls(self, metric: Metric) -> pd.DataFrame:
        if metric.name not in self._known_controls:
            ratio = metric.effect == "ratio"
            find, column = (control_ratios, metric.ratio_column) if ratio else (control_differences, None)
            self._known_controls[metric.name] = find(self.rows, column or metric.column)
        return self._known_controls[metric.name]

    def caveats(self, metric: Metric, cells: Sequence[PairedSample]) -> tuple[str, ...]:
        """What is not the real thing under these cells, in words for the verdict."""
        rows = self._rows(cells)
        words = non_official_sources(rows["source"])
        kind = "inference_energy_source" if metric.name.startswith("inference_energy") else metric.source_column
        if kind and kind in rows:
            what = "memory" if kind == "memory_source" else "energy"
            words += [f"{w} {what}" for w in sorted(set(rows[kind].dropna())) if w in {"modelled", "simulated"}]
        if metric.name in QUALITIES and (rows.dataset.isin(F_DATASETS) & (rows.epochs < EPOCHS)).any():
            words.append("short training")
        cost = metric.column.startswith("train_") and metric.name not in QUALITIES
        if cost and pd.to_numeric(rows.compact_epochs).gt(0).any():
            words.append("compact training")  # the papers' is masked
        return tuple(words)

    def provenance(self, cells: Sequence[PairedSample]) -> str:
        """`bloodmnist: official (11,959 training images, 3 epochs; cpu)`."""
        rows = self._rows(cells).drop_duplicates(["dataset", "source", "train_images", "epochs", "device"])
        said = [
            f"{r.dataset}: {r.source} ({r.train_images:,} training images, {r.epochs} epochs; {r.device})"
            for r in rows.itertuples()
        ]
        return "; ".join(said)

    def ids(self, cells: Sequence[PairedSample]) -> tuple[str, ...]:
        """The trials under these cells."""
        return tuple(sorted(set(self._rows(cells)["id"])))

    def _rows(self, cells: Sequence[PairedSample]) -> pd.DataFrame:
        return self.rows.iloc[np.unique(np.concatenate([c.rows for c in cells]))]
