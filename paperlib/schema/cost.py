"""What one network costs to train and to run: the setting that is measured, and the record of its measurement."""

import hashlib
import json
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from paperlib.core.errors import PaperlibError
from paperlib.schema.measurement import CpuCalibration, Timing
from paperlib.schema.record import Costs, Environment, Frozen
from paperlib.schema.trial import Scope, Trial, make_trial, validated

COST_SCHEMA = 1
PROCESSES = 3  # fresh processes that a complete record has: what differs between them is in every interval


class CostSetting(BaseModel):
    """A network, what is pruned of it, and how it is trained: all that decides what a step costs.

    Weights, learning rates and images do not: costs depend on shapes and zeros. The id hashes the fields that are not
    at their defaults, as that of a Trial does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field("mlp-small", description="mlp-small, mlp-medium, …")
    shape: tuple[int, int, int] = Field((28, 28, 1), description="Height, width and channels of an image.")
    classes: int = Field(10, ge=2, description="Number of classes.")
    width: float = Field(1.0, gt=0, le=4, description="Factor on hidden widths.")
    method: str = Field("dense", description="dense, random, pre-training, in-training, post-training, set or rigl")
    scope: Scope = Field("global", description="global, layerwise, …")
    sparsity: float = Field(0.0, description="Share of linear weights of the scope removed, in [0, 1).")
    conv_sparsity: float = Field(0.0, description="Share of filters removed, in [0, 1).")
    batch_size: int = Field(64, ge=1, description="Images of a training step.")
    optimizer: str = Field("SGD", description="Any torch optimiser by name.")
    options: dict[str, float | bool] = Field({}, description="Optimiser option, such as momentum=0.9.")
    compute: Literal["fp32", "bf16"] = Field("fp32", description="fp32, or bf16 by autocast.")
    device: Literal["cpu", "cuda"] = Field("cpu", description="cpu or cuda")

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if min(self.shape) < 1:
            raise ValueError(f"shape must be three numbers above 0 (height, width, channels), not {self.shape}")
        if self.method not in MEASURED:
            raise ValueError(f"costs are measured of {', '.join(MEASURED)}, not of {self.method!r}")
        try:
            self.trial()
        except PaperlibError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def id(self) -> str:
        """16 hex digits over the non-default fields."""
        chosen = self.model_dump(mode="json", exclude_defaults=True)
        text = json.dumps({"costs": chosen}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def network(self) -> "CostSetting":
        """The dense setting beside which this one is measured."""
        return self.model_copy(update={"method": "dense", "scope": "global", "sparsity": 0.0, "conv_sparsity": 0.0})

    def trial(self) -> Trial:
        """A trial of the same network, pruning and optimiser; its images and budget mean nothing."""
        names = ("model", "width", "method", "scope", "sparsity", "conv_sparsity", "batch_size", "optimizer")
        return make_trial(lr=1e-4, options=self.options, **{name: getattr(self, name) for name in names})

    def __hash__(self) -> int:
        return hash(self.id)

    def __str__(self) -> str:
        pruned = (
            "" if self.method == "dense" else f" {self.method} {self.scope} {self.conv_sparsity:g}/{self.sparsity:g}"
        )
        return f"{self.model} at {'×'.join(map(str, self.shape))}, batch {self.batch_size}{pruned}"


# Methods whose masks have the same counts in every epoch; those that prune in rounds cost another amount in each.
MEASURED = ("dense", "random", "pre-training", "in-training", "post-training", "set", "rigl")


def make_cost_setting(**fields: Any) -> CostSetting:
    """A CostSetting, with validation errors turned into one clear line (PaperlibError)."""
    return validated(CostSetting, fields, "cost setting")


class Effort(NamedTuple):
    """How much is measured.

    min_rounds: of every comparison, which goes on until budget_s seconds (of training steps) or a quarter of that (of
    inferences at one batch size) are over; training_s: seconds of each whole
    training that is measured beside the product of its steps, 0 for none.
    """

    min_rounds: int
    budget_s: float
    training_s: float = 0.0


class WholeTraining(Frozen):
    """Trainings of so many steps, each measured in one piece, without loading and evaluation.

    product_s: its steps times a step plus its boundaries times a boundary, both timed right before each.
    """

    variant: str
    steps: int
    time_s: float
    product_s: float


class StepMemory(Frozen):
    """Bytes of tensors at the peak of a training step, by kind: counted, the same on every machine and run.

    masks: one float per parameter and optimiser state entry that a mask follows; temporaries: what a kernel holds
    while it runs; activations: with those that the backward pass needs.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    masks: int
    temporaries: int

    @property
    def total(self) -> int:
        return self.parameters + self.gradients + self.optimizer + self.activations + self.masks + self.temporaries


class InferenceMemory(Frozen):
    """Bytes of tensors at the peak of an inference of 64 images, counted, of both networks in the exact form that needs
    least (`costs.memory.count_inference_memory`). With masks it is dense's by definition."""

    dense: int
    pruned: int


class CostRun(Frozen):
    """What one fresh process measured: every variant beside dense, in rounds of random order.

    step: a training step (forward, loss, backward, optimiser, mask) of `dense`, `dense-again` (A/A), `masked` (as in
    the papers) and, where filters go, `compact`, or where single weights go and it is faster, `sparse`; without these
    where training is dense's own (post-training).
    inference: the same at batch 1 and 64, with the fastest exact variant. boundary_s: seconds of new masks at an
    epoch boundary, put in force, by variant; 0 where masks stay. cold_s: weights read and the first answer given.
    grid_g_per_kwh: grams of CO2 that a kWh costs here; others: share of the cores' time that other processes took.
    idle_w: watts of the device while this process slept, None without a counter; temperature_c, clock_mhz: the highest
    and the lowest of the device right after the steps and after the inferences, None where they cannot be read;
    calibration: this CPU's, where `paperlib calibrate` has made one.
    trainings: `dense`, `masked` and the fastest exact way of a sample of settings, in the first process alone.
    """

    step: tuple[Timing, ...]
    inference: tuple[Timing, ...]
    boundary_s: dict[str, float]
    cold_s: dict[str, float]
    grid_g_per_kwh: float
    others: float | None = None
    idle_w: float | None = None
    temperature_c: float | None = None
    clock_mhz: float | None = None
    calibration: CpuCalibration | None = None
    environment: Environment
    finished: str
    trainings: tuple[WholeTraining, ...] = ()


class CostRecord(Frozen):
    """All that was measured of a setting, from PROCESSES fresh processes (fewer while it is under way).

    memory: by variant of the training step; costs: counted bytes and FLOPs; inference_memory: None in records from
    before it was counted.
    """

    schema_version: int = COST_SCHEMA
    id: str
    setting: CostSetting
    memory: dict[str, StepMemory]
    costs: Costs
    inference_memory: InferenceMemory | None = None
    runs: tuple[CostRun, ...]
