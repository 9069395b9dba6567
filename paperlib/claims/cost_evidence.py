"""Cost records as evidence: what an arm costs beside dense, one value per fresh process."""

from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy  # loads scipy.stats, which takes a second, where it is first used
from numpy.typing import NDArray

from paperlib.claims.settings import Setting
from paperlib.claims.stats.estimates import LEVEL, Estimate, mean_interval
from paperlib.data import parse_name
from paperlib.studies.costs import cost_settings
from paperlib.studies.profiles import F_DATASETS

EPOCHS_F, EPOCHS_P = 50, 10  # of a whole training: F states 50, P's published code defaults to 10


@dataclass(frozen=True)
class CostMetric:
    """One cost. level: its column in `CostTable.of`; ratio: that of its ratio to dense in the same process; control:
    that of dense measured again; scale: from the column to `unit`; source: column that says how it was obtained."""

    name: str
    title: str
    level: str
    ratio: str
    control: str | None
    unit: str
    scale: float = 1.0
    digits: int = 2
    source: str | None = None


COSTS = {
    m.name: m
    for m in (
        CostMetric("training_time", "Training time", "train_s", "train_ratio", "step_ratio_again", "h", 1 / 3600, 3),
        CostMetric(
            "training_energy", "Training energy", "train_energy_j", "train_energy_ratio", "step_ratio_again", "kJ",
            1e-3, 1, "step_energy_source",
        ),
        CostMetric(
            "co2", "CO2 of training", "train_co2_g", "train_energy_ratio", "step_ratio_again", "g", 1, 2,
            "step_energy_source",
        ),
        CostMetric("peak_memory", "Peak memory of training", "memory_bytes", "memory_ratio", None, "MiB", 2**-20, 1),
        CostMetric(  # with masks it is dense's by definition: of the exact form that needs least
            "inference_memory", "Peak memory of inference", "inference_memory_bytes", "inference_memory_ratio", None,
            "MiB", 2**-20, 1,
        ),
        CostMetric(
            "inference_time", "Inference time, batch 64", "inference_b64_s", "inference_b64_ratio",
            "inference_b64_ratio_again", "ms per batch", 1e3, 3,
        ),
        CostMetric(
            "inference_time_b1", "Inference time, batch 1", "inference_b1_s", "inference_b1_ratio",
            "inference_b1_ratio_again", "ms per image", 1e3, 3,
        ),
        CostMetric("inference_extra", "Inference time above dense", "inference_extra_s", "", None, "ms", 1e3, 3),
        CostMetric(
            "inference_energy", "Inference energy, batch 64", "inference_b64_energy_j", "inference_b64_energy_ratio",
            "inference_b64_ratio_again", "mJ per image", 1e3, 2, "inference_b64_energy_source",
        ),
    )
}  # fmt: skip


@cache
def _ids(setting: Setting, width: float) -> tuple[str, ...]:
    """Of the records that stand for an arm, best first: the larger images, and of each a GPU before a CPU."""
    candidates = cost_settings(*setting, width=width)
    return tuple(i for c in candidates for i in (c.model_copy(update={"device": "cuda"}).id, c.id))


class Network(NamedTuple):
    """A model at one size of images: what has a noise floor of its own. pixels: height of the images."""

    model: str
    pixels: int


_NOWHERE = np.array([], np.intp)


@dataclass(frozen=True, eq=False)
class CostTable:
    """The table of `costs.records.cost_table`, asked by the settings of claims. An empty one is no evidence."""

    rows: pd.DataFrame
    _trained: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False)
    _columns: dict[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict, repr=False)
    _networks: dict[Setting, Network | None] = field(default_factory=dict, repr=False)
    _floors: dict[tuple[str | None, Network], Estimate | None] = field(default_factory=dict, repr=False)
    _parts: dict[bytes, "CostTable"] = field(default_factory=dict, repr=False)

    def where(self, chosen: "pd.Series[bool]") -> "CostTable":
        """Only the rows that are chosen; itself where all are."""
        if chosen.all():
            return self
        return self._parts.setdefault(chosen.to_numpy(bool).tobytes(), CostTable(self.rows[chosen]))

    def places(self, setting: Setting, width: float = 1.0) -> NDArray[np.intp]:
        """Where in `rows` the largest network measured for this arm stands, one row per process; none if none was."""
        return next((self._places[name] for name in _ids(setting, width) if name in self._places), _NOWHERE)

    @cached_property
    def _places(self) -> dict[str, NDArray[np.intp]]:
        grouped = self.rows.groupby("id", sort=False).indices if len(self.rows) else {}
        return {str(name): np.asarray(places, np.intp) for name, places in grouped.items()}

    def of(self, setting: Setting, width: float = 1.0) -> pd.DataFrame:
        """The rows at `places`, with the cost of a whole training.

        `train_s`, `train_energy_j`, `train_co2_g` and their ratios are steps times step plus boundaries times
        boundary, for the official images of the data set and the paper's epochs. Empty where nothing was measured.
        """
        places = self.places(setting, width)
        return self._of_dataset(setting.dataset).iloc[places] if len(places) else self.rows[:0]

    def column(self, dataset: str, name: str) -> NDArray[np.float64]:
        """A column of `of` for the arms of a data set, in the order of `rows`; NaN where it was not measured."""
        if (dataset, name) not in self._columns:
            self._columns[dataset, name] = np.asarray(self._of_dataset(dataset)[name], float)
        return self._columns[dataset, name]

    def _of_dataset(self, dataset: str) -> pd.DataFrame:
        if dataset not in self._trained:
            self._trained[dataset] = _with_training(self.rows, dataset)
        return self._trained[dataset]

    def network(self, setting: Setting) -> Network | None:
        """The network on which this arm was measured; None where nothing was."""
        if setting not in self._networks:
            first = self.places(setting)[:1]
            of_first = [Network(str(self.rows.model.iloc[n]), int(self.rows.resolution.iloc[n])) for n in first]
            self._networks[setting] = of_first[0] if of_first else None
        return self._networks[setting]

    def effect(
        self, metric: CostMetric, setting: Setting, *, realised: bool = False, width: float = 1.0
    ) -> Estimate | None:
        """The ratio to dense of an arm with its interval over processes; realised: of the fastest exact variant."""
        rows = self.of(setting, width)
        column = f"realised_{metric.ratio}" if realised else metric.ratio
        if rows.empty or column not in rows:
            return None
        log = mean_interval(np.log(rows[column].astype(float)))
        return log and log.mapped(np.exp)

    def floor(self, metric: CostMetric, network: Network) -> Estimate | None:
        """The A/A noise floor of a network, as a share of dense, with its 95 % interval; None without any control.

        Two identical networks differ by more than this in one process of twenty: Student's quantile times the root
        mean square of the log ratios of dense to dense, over all processes and shapes of these networks.
        """
        key = (metric.control, network)
        if key not in self._floors:
            logs = self._controls(metric, network)
            self._floors[key] = _floor_of(logs) if len(logs) else None
        return self._floors[key]

    def _controls(self, metric: CostMetric, network: Network) -> NDArray[np.float64]:
        """Logarithms of the A/A ratios, each process once; zeros for what is counted and not measured."""
        if self.rows.empty:
            return np.zeros(0)
        chosen = (self.rows.model == network.model) & (self.rows.resolution == network.pixels)
        if metric.control is None:
            return np.zeros(chosen.sum())
        shape = ["width", "channels", "classes", "batch_size", "process"]
        rows = self.rows[[*shape, metric.control]][chosen].drop_duplicates(shape)
        return np.log(rows[metric.control].to_numpy(np.float64))


def networks_of(rows: pd.DataFrame) -> list[Network]:
    """The networks of these rows, in their order."""
    if rows.empty:
        return []
    return [Network(*pair) for pair in rows[["model", "resolution"]].drop_duplicates().itertuples(index=False)]


def _floor_of(logs: NDArray[np.float64]) -> Estimate:
    n, quantile = len(logs), float(scipy.special.stdtrit(len(logs), 0.5 + LEVEL / 2))
    square = float((logs**2).sum())
    tails = scipy.special.chdtri(n, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    mean, low, high = (float(np.expm1(quantile * (square / df) ** 0.5)) for df in (n, *tails))
    return Estimate(mean, low, high, n)


def _with_training(rows: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """The rows with what a whole training on this data set costs, masked and in the fastest exact way."""

    def of(name: str) -> NDArray[np.float64]:
        return rows[name].to_numpy(np.float64)

    epochs, images = (EPOCHS_F if dataset in F_DATASETS else EPOCHS_P), parse_name(dataset).info.counts[0]
    batch_size, step_s, boundaries = of("batch_size"), of("dense_step_s"), epochs - 1
    dense_s = epochs * np.ceil(images / batch_size) * step_s
    watts = of("dense_step_energy_j") * batch_size / step_s
    new = {"dense_train_s": dense_s}
    for kind in ("memory", "realised_memory", "inference_memory"):
        new[f"{kind}_ratio"] = of(f"{kind}_bytes") / of(f"dense_{kind.removeprefix('realised_')}_bytes")
    for way in ("", "realised_"):
        boundary_s = boundaries * of(f"{way}boundary_s")
        # The ratio within rounds, not that of two medians: a drift of the machine cancels in it.
        new[f"{way}train_ratio"] = of(f"{way}step_ratio") + boundary_s / dense_s
        new[f"{way}train_s"] = new[f"{way}train_ratio"] * dense_s
        energy = of(f"{way}step_energy_ratio") * watts * dense_s + watts * boundary_s
        new[f"{way}train_energy_j"] = energy
        new[f"{way}train_energy_ratio"] = energy / (watts * dense_s)
        new[f"{way}train_co2_g"] = energy / 3.6e6 * of("grid_g_per_kwh")
    new["inference_extra_s"] = of("inference_b1_s") * (1 - 1 / of("inference_b1_ratio"))
    return pd.concat([rows, pd.DataFrame(new, rows.index)], axis=1)
