"""One measurement and how each of its figures was obtained. Nothing measured is None, never 0."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

# `external` is a meter of the reader's own, such as a plug at the wall (docs/adding.md).
EnergySource = Literal["nvml", "rapl", "jetson", "external", "modelled", "simulated"]
TrainingEngine = Literal["torch", "numpy"]
InferenceEngine = Literal["torch", "llvm", "torch-csr", "onnxruntime"]
MemorySource = Literal["cuda-allocator", "process-peak", "process-sampled", "simulated"]


class Measurement(BaseModel):
    """What one window cost.

    time_s: wall-clock seconds, device synchronised at both ends.
    energy_j: joules in the window, or None where nothing could be measured or modelled; with RAPL the packages'.
    dram_j: joules of the memory modules where RAPL counts them, in neither `energy_j` nor `co2_g`.
    peak_memory_bytes: highest use above the state at the window's start, or None.
    co2_g: grams of CO2 = kWh x `grid_g_per_kwh`, or None where energy is None.
    """

    model_config = ConfigDict(frozen=True)

    time_s: float
    energy_j: float | None = None
    energy_source: EnergySource | None = None
    dram_j: float | None = None
    peak_memory_bytes: int | None = None
    memory_source: MemorySource | None = None
    co2_g: float | None = None
    grid: str | None = None
    grid_g_per_kwh: float | None = None

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        if self.energy_j is not None and self.energy_source is None:
            raise ValueError("energy without a source")
        return self

    def __add__(self, other: "Measurement") -> "Measurement":
        """Two windows in sequence: times, energies and CO2 add, the peak is the larger one.

        A figure that one of the two lacks is lacking in the sum; sources must agree (ValueError).
        """
        if (self.energy_source, self.memory_source, self.grid) != (
            other.energy_source,
            other.memory_source,
            other.grid,
        ):
            raise ValueError("readings from different sources cannot be added")

        def total(a: float | None, b: float | None) -> float | None:
            return None if a is None or b is None else a + b

        peaks = (self.peak_memory_bytes, other.peak_memory_bytes)
        return self.model_copy(
            update={
                "time_s": self.time_s + other.time_s,
                "energy_j": total(self.energy_j, other.energy_j),
                "dram_j": total(self.dram_j, other.dram_j),
                "co2_g": total(self.co2_g, other.co2_g),
                "peak_memory_bytes": None if None in peaks else max(p for p in peaks if p is not None),
            }
        )


class Timing(BaseModel):
    """Inference of one variant beside dense, measured in one process, interleaved in random order.

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
    peak_memory_bytes: int | None = None
    memory_source: MemorySource | None = None

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        if self.energy_j_per_image is not None and self.energy_source is None:
            raise ValueError("energy without a source")
        return self
