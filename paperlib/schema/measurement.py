"""One measurement and how each of its figures was obtained. Nothing measured is None, never 0."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

# `external` is a meter of the reader's own, such as a plug at the wall (docs/adding.md).
EnergySource = Literal["nvml", "rapl", "jetson", "external", "modelled", "simulated"]
TrainingEngine = Literal["torch", "numpy", "stacked"]
InferenceEngine = Literal["torch", "llvm", "torch-csr", "onnxruntime"]


class Measurement(BaseModel):
    """What one window cost.

    time_s: wall-clock seconds, device synchronised at both ends.
    energy_j: joules in the window, or None where nothing could be measured or modelled; with RAPL the packages'.
    dram_j: joules of the memory modules where RAPL counts them, in neither `energy_j` nor `co2_g`.
    co2_g: grams of CO2 = kWh x `grid_g_per_kwh`, or None where energy is None.
    """

    model_config = ConfigDict(frozen=True)

    time_s: float
    energy_j: float | None = None
    energy_source: EnergySource | None = None
    dram_j: float | None = None
    co2_g: float | None = None
    grid: str | None = None
    grid_g_per_kwh: float | None = None

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        if self.energy_j is not None and self.energy_source is None:
            raise ValueError("energy without a source")
        return self


class Timing(BaseModel):
    """One variant beside dense, measured in one process, interleaved in random order.

    engine: what computed it (`llvm` and `torch-csr` the sparse layers), None in older records.
    ratio: median over rounds of time(variant) / time(dense of the same round), with a paired bootstrap
    interval. All times are seconds for one batch; energies joules for one image.
    """

    model_config = ConfigDict(frozen=True)

    variant: str
    engine: InferenceEngine | None = None
    batch_size: int
    rounds: int
    median_s: float
    p95_s: float
    p99_s: float
    ratio: float
    ratio_low: float
    ratio_high: float
    energy_j_per_image: float | None = None
    energy_source: EnergySource | None = None

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        if self.energy_j_per_image is not None and self.energy_source is None:
            raise ValueError("energy without a source")
        return self
