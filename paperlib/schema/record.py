"""What a trial leaves behind: one versioned, self-contained value per trial."""

from dataclasses import dataclass
from html import escape
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from paperlib.schema.images import Source
from paperlib.schema.measurement import TrainingEngine
from paperlib.schema.trial import Trial, again

SCHEMA = 2  # 1: trials also had meters; what they say of costs is in cost records now


class Frozen(BaseModel):
    """Base of all parts of a record: immutable, no unknown fields."""

    # A diverged training has losses that are no numbers, which plain JSON cannot hold.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Scores(Frozen):
    """Quality on one split, all in [0, 1] but the loss; averages over classes are unweighted (macro)."""

    loss: float
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    precision: float
    recall: float
    auc: float | None = None
    class_recall: tuple[float | None, ...] | None = None


class Epoch(Frozen):
    """One epoch: scores of the training pass itself (weights moving, dropout on) and of validation.

    removed: units (weights or filters) that its masks removed; pruned: validation right after new masks and before
    the training under them, for methods that prune in rounds.
    """

    epoch: int
    train: Scores
    val: Scores
    time_s: float
    swapped: int = 0
    removed: int = 0
    pruned: Scores | None = None


class LayerSparsity(Frozen):
    """Counted sparsity of one layer, in units (single weights or whole filters)."""

    name: str
    unit: Literal["weight", "filter"]
    shape: tuple[int, ...]
    units: int
    removed: int
    nominal: float
    in_scope: bool

    @property
    def achieved(self) -> float:
        return self.removed / self.units


class Data(Frozen):
    """The images a trial saw. `source` is the provenance word."""

    name: str
    source: Source
    note: str
    content_hash: str
    shape: tuple[int, int, int]
    classes: int
    train: int
    val: int
    test: int
    train_majority: float | None = Field(None, description="share of the largest class in train")
    train_entropy: float | None = Field(None, description="entropy of the class shares of train, in nats")
    test_majority: float | None = Field(None, description="test accuracy of always answering train's largest class")


class Network(Frozen):
    """Counted sizes of the trained network.

    weights: elements of all linear and convolution weight tensors; zeros: how many of them are removed;
    prunable: weights in the layers of the trial's scope. sparsity = zeros / weights (whole network).
    """

    parameters: int
    weights: int
    prunable: int
    zeros: int

    @property
    def sparsity(self) -> float:
        return self.zeros / self.weights

    @property
    def scope_sparsity(self) -> float:
        return self.zeros / self.prunable if self.prunable else 0.0


class Environment(Frozen):
    """Where it ran; times and energies compare only within one environment."""

    python: str
    torch: str
    paperlib: str
    platform: str
    cpu: str
    cores: int
    threads: int
    device: str
    gpu: str | None = None


class ResourceAllocation(Frozen):
    """What the trial had for itself alone, by a lock, while it ran; waited_s: until it was free."""

    device: str
    cores: tuple[int, ...]
    waited_s: float


class Compute(Frozen):
    """Number format and memory layout of training. step_s: seconds of a step of each candidate, if measured."""

    choice: str
    step_s: dict[str, float] = {}


@dataclass(frozen=True)
class Costs:
    """Counts of one (model, masks); bytes are those of the tensors, FLOPs are per image."""

    parameters: int
    nonzeros: int
    dense_bytes: int  # what masks store: every weight
    csr_bytes: int  # linear layers as CSR (values, int32 columns and row starts), the rest dense
    compact_bytes: int  # filters and neurons cut out, the rest dense
    int8_bytes: int  # dense, one byte a weight of convolutions and linear layers
    dense_inference_flops: int
    dense_training_flops: int
    inference_flops: int  # cut and without the zeros that remain
    training_flops: int


class Record(Frozen):
    """Everything one trial found. `status` is failed when training diverged; `reason` then says how."""

    schema_version: int = SCHEMA
    id: str
    trial: Trial
    command: str
    status: Literal["done", "failed"]
    reason: str | None = None
    data: Data
    network: Network | None = None
    layers: tuple[LayerSparsity, ...] = ()
    curve: tuple[Epoch, ...] = ()
    test: Scores | None = None
    predictions: str | None = Field(None, description="class of each test image, in order: base64 of zlib of uint8")
    train_s: float | None = Field(None, description="wall time of the epochs: a remark, no evidence of a cost")
    compute: Compute | None = None
    engine: TrainingEngine | None = Field(
        None, description="what trained it; none in older records and where nothing was trained"
    )
    compact_epochs: int | None = Field(None, description="how many epochs ran on the compact network")
    costs: Costs | None = None
    shared_training: str | None = Field(None, description="id of the dense trial whose training this one reuses")
    environment: Environment
    place: ResourceAllocation | None = Field(None, description="none in records from before there were locks")
    finished: str

    @model_validator(mode="before")
    @classmethod
    def _without_meters(cls, given: Any) -> Any:
        """A record of schema 1 keeps what was learnt."""
        if not isinstance(given, dict) or given.get("schema_version") != 1:
            return given
        kept = {name: value for name, value in given.items() if name not in {"training", "inference", "load_s"}}
        if isinstance(place := kept.get("place"), dict):
            kept["place"] = {name: value for name, value in place.items() if name != "others"}
        training = given.get("training")
        return kept | {"schema_version": SCHEMA, "train_s": training["time_s"] if training else None}

    @property
    def title(self) -> str:
        return f"Trial {self.id} ({self.status})"

    def summary(self) -> list[tuple[str, str]]:
        """Name and value of the main figures."""
        rows: list[tuple[str, str]] = []

        def add(name: str, value: str) -> None:
            rows.append((name, value))

        add(
            "images",
            f"{self.data.name}, {self.data.source}: {self.data.train:,} train, {self.data.test:,} test",
        )
        if self.data.source == "own":
            add("own images", self.data.note)
        if self.network is not None:
            net = self.network
            add("network", f"{net.parameters:,} parameters; {net.zeros:,} of {net.weights:,} weights removed")
            add("sparsity", f"{net.scope_sparsity:.2%} in scope, {net.sparsity:.2%} of the whole network")
        if self.reason:
            add("reason", self.reason)
        if self.test is not None:
            test = self.test
            add(
                "test accuracy",
                f"{test.accuracy:.2%} (balanced {test.balanced_accuracy:.2%}, macro F1 {test.macro_f1:.3f})",
            )
        if self.engine is not None:
            add("trained by", f"{self.engine}, {self.compute.choice if self.compute else 'fp32'}")
        if self.train_s is not None:
            shared = f" (shared with dense trial {self.shared_training})" if self.shared_training else ""
            add("training took", f"{self.train_s:.2f} s{shared}")
        add("again", again(self.command))
        return rows

    def _repr_html_(self) -> str:
        rows = (f'<tr><th scope="row">{escape(n)}</th><td>{escape(v)}</td></tr>' for n, v in self.summary())
        return f"<table><caption>{escape(self.title)}</caption>{''.join(rows)}</table>"
