"""One measurement and how each of its figures was obtained. Nothing measured is None, never 0."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

# `external` is a meter of the reader's own, such as a plug at the wall (docs/adding.md).
EnergySource = Literal["nvml", "rapl", "jetson", "external", "modelled", "simulated"]
TrainingEngine = Literal["torch", "numpy", "stacked", "sparse"]
# The version stands behind a runtime's name, not in older records.
InferenceEngine = Annotated[str, Field(pattern=r"^(torch|llvm|torch-csr|(onnxruntime|openvino)( [\w.+-]+)?)$")]
# Share by which modelled joules may be off without a calibration; docs/measuring.md says where it comes from.
MODELLED_UNCERTAINTY = 0.4


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
    ratio: trimmed mean over rounds of time(variant) / time(dense of the same round), on the log scale, with its 95 %
    interval. All times are seconds for one batch; energies joules for one image, gross.
    energy_uncertainty: share by which a modelled energy may be off; None where a counter gave it.
    allocator_bytes: what CUDA's allocator held at the peak of one call above what it held before (gradients,
    activations, temporaries); None on a CPU and for inference.
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
    energy_uncertainty: float | None = None
    allocator_bytes: int | None = None

    @model_validator(mode="before")
    @classmethod
    def _uncalibrated(cls, fields: Any) -> Any:
        # Records from before the uncertainty was noted: none was calibrated.
        if fields.get("energy_source") == "modelled" and fields.get("energy_uncertainty") is None:
            return fields | {"energy_uncertainty": MODELLED_UNCERTAINTY}
        return fields

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        if self.energy_j_per_image is not None and self.energy_source is None:
            raise ValueError("energy without a source")
        return self


class LoadWindow(BaseModel):
    """One load that a calibration puts on the CPU.

    load: idle, half or full; start, end: unix seconds; busy_cpus: CPU seconds of this process per second; watts: mean
    power that a counter or a wall meter measured meanwhile, None where there is none yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    load: str
    start: float
    end: float
    busy_cpus: float
    watts: float | None = None


class CpuCalibration(BaseModel):
    """Measured watts = idle_w + slope_w x busy logical CPUs, by least squares over the windows of some loads.

    cpu: the processor's name; residual_w: standard deviation of the measured watts about the line; uncertainty: the
    residual as a share of the power above idle at the mean load; source: of the measured watts; made: ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    cpu: str
    slope_w: float = Field(gt=0)
    idle_w: float
    residual_w: float = Field(ge=0)
    uncertainty: float = Field(ge=0)
    source: EnergySource
    made: str
