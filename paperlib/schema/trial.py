"""What one run is: a frozen, validated value, and the id under which its record is kept."""

import hashlib
import json
import os
import shlex
from collections.abc import Mapping
from typing import Any, Literal, Self, TypedDict, TypeVar, Unpack, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from paperlib.core.errors import PaperlibError
from paperlib.core.registry import unknown
from paperlib.schema.images import TEST_SHARE, Selection

Scope = Literal["global", "layerwise", "global-threshold", "layerwise-matched", "erdos-renyi", "random-ratios"]
Quirk = Literal[
    "double-softmax", "uniform-er", "swap-first", "stale-regrowth", "test-from-train", "keeps-last-only"
]  # fmt: skip
Execution = Literal["compact", "masked"]
Schedule = Literal["constant", "cosine"]
Compute = Literal["fp32", "fp32-channels-last", "bf16", "bf16-channels-last", "auto"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
M = TypeVar("M", bound=BaseModel)


class Trial(BaseModel):
    """One training (or pruning) run; the options of `paperlib run` are its fields.

    The id hashes the fields that are not at their defaults, so no field is ever renamed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str = Field("mnist", description="mnist, fashionmnist, …, or folder:PATH")
    model: str = Field("mlp-small", description="mlp-small, mlp-medium, …")
    width: float = Field(1.0, gt=0, le=4, description="Factor on hidden widths.")
    method: str = Field("dense", description="dense, pre-training, in-training, post-training, set, …")
    scope: Scope = Field("global", description="global, layerwise, global-threshold, erdos-renyi, …")
    sparsity: float = Field(0.0, description="Share of linear weights of the scope removed, in [0, 1).")
    conv_sparsity: float = Field(0.0, description="Share of filters removed, in [0, 1) (paper F).")
    round_to: int = Field(1, ge=1, description="Filters kept in each layer: a multiple, as 8 or 16.")
    threshold: float = Field(0.0, ge=0, description="Method threshold removes the weights below it.")
    draw: int = Field(0, ge=0, description="Which random layer ratios scope random-ratios takes.")
    swap: float = Field(
        0.2, gt=0, lt=1, description="Share of active units that in-training, set and rigl swap per epoch boundary."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of weights, masks and order.")
    epochs: int = Field(10, ge=1, description="Passes over the training images.")
    batch_size: int = Field(64, ge=1, description="Images per step.")
    optimizer: str = Field("SGD", description="Any torch optimiser by name.")
    lr: float = Field(0.05, gt=0, description="Learning rate.")
    options: dict[str, float | bool] = Field({}, description="Optimiser option, such as momentum=0.9.")
    schedule: Schedule = Field("constant", description="Of the learning rate: constant, or cosine down to zero.")
    augment: bool = Field(False, description="Random crop and flip of training images.")
    compute: Compute = Field("fp32", description="fp32, bf16, each also -channels-last, or auto: the fastest here.")
    resolution: int | None = Field(None, description="Image side in pixels; the set's own if left out.")
    train_images: int | None = Field(None, ge=1, description="At most so many training images.")
    test_images: int | None = Field(None, ge=1, description="At most so many test images.")
    test_share: float = Field(
        TEST_SHARE, gt=0, lt=1, description="Of each class of folder:PATH, where it has no folder test."
    )
    execution: Execution = Field(
        "compact", description="compact (the same to rounding, where it pays), or masked as in the papers."
    )
    real_images: bool = Field(False, description="Refuse drawn stand-ins.")
    quirks: tuple[Quirk, ...] = Field((), description="What P's published code does differently; may be repeated.")

    @field_validator("dataset")
    @classmethod
    def _one_name_per_folder(cls, name: str) -> str:
        kind, colon, path = name.partition(":")
        return f"{kind}{colon}{os.path.normpath(path)}" if kind == "folder" and path else name

    @model_validator(mode="after")
    def _sane(self) -> Self:
        if self.dataset == "folder:":
            raise ValueError("data set folder: takes a path, folder:PATH")
        for name in ("sparsity", "conv_sparsity"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} must lie in [0, 1), not {value}")
        if self.method in {"dense", "majority"} and (self.sparsity or self.conv_sparsity or self.scope != "global"):
            raise ValueError(f"method {self.method!r} removes nothing: it takes no sparsity and no scope")
        if (self.method == "threshold") != bool(self.threshold) or (self.threshold and self.sparsity):
            raise ValueError("method 'threshold' takes a threshold above 0 and no sparsity; no other method takes one")
        if self.round_to > 1 and not self.conv_sparsity:
            raise ValueError("round_to counts filters: it needs a conv_sparsity above 0")
        if self.test_share != TEST_SHARE and not self.dataset.startswith("folder:"):
            raise ValueError("only a data set `folder:PATH` takes a test_share")
        if self.draw and self.scope != "random-ratios":
            raise ValueError("only scope 'random-ratios' takes a draw")
        if tuple(sorted(set(self.quirks))) != self.quirks:
            raise ValueError("quirks must be sorted and without repetition")
        return self

    def chosen(self) -> dict[str, Any]:
        """The fields that differ from their defaults, in JSON form."""
        return self.model_dump(mode="json", exclude_defaults=True)

    @property
    def id(self) -> str:
        """16 hex digits over the non-default fields: a new option with a default renames nothing."""
        text = json.dumps(self.chosen(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def selection(self) -> Selection:
        """The images that this trial takes."""
        resplit_seed = self.seed if "test-from-train" in self.quirks else None
        return Selection(
            self.dataset, self.resolution, resplit_seed, self.train_images, self.test_images, self.test_share
        )

    @property
    def protocol(self) -> Literal["corrected", "as-published"]:
        return "as-published" if self.quirks else "corrected"

    def command(self, results: str) -> str:
        """The exact shell command that runs this trial, or finds its record; `again` makes it run anew."""
        words = ["paperlib", "run", "--results", results]
        for name, value in self.chosen().items():
            if isinstance(value, dict):
                words += [word for k, v in sorted(value.items()) for word in (flag(name), f"{k}={v}")]
            elif isinstance(value, list):
                words += [word for v in value for word in (flag(name), v)]
            else:
                words += [flag(name)] if value is True else [flag(name), str(value)]
        return shlex.join(words)


def flag(field: str) -> str:
    """The option of `paperlib run` for a field; one that takes several values is given once for each."""
    return "--" + {"options": "option", "quirks": "quirk"}.get(field, field).replace("_", "-")


def again(command: str) -> str:
    """The command of a record, so that it runs the trial though its record is there."""
    return command.replace("paperlib run ", "paperlib run --fresh ", 1)


class Fields(TypedDict, total=False):
    """The fields of a Trial as they are given, before they are checked."""

    dataset: str
    model: str
    width: float
    method: str
    scope: str
    sparsity: float
    conv_sparsity: float
    round_to: int
    threshold: float
    draw: int
    swap: float
    seed: int
    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    options: dict[str, float | bool]
    schedule: str
    augment: bool
    compute: str
    resolution: int | None
    train_images: int | None
    test_images: int | None
    test_share: float
    execution: str
    real_images: bool
    quirks: tuple[str, ...]


def make_trial(given: Fields | None = None, /, **more: Unpack[Fields]) -> Trial:
    """A Trial of the fields `given` and `more`, with validation errors turned into one clear line (PaperlibError)."""
    fields = {**(given or {}), **more}
    words = {"scope": Scope, "schedule": Schedule, "compute": Compute, "execution": Execution}
    for name, kind in words.items():
        if (word := fields.get(name)) is not None and word not in get_args(kind):
            raise unknown(name, str(word), list(get_args(kind)))
    return validated(Trial, fields, "trial")


def validated(kind: type[M], fields: Mapping[str, Any], name: str) -> M:
    """A value of this kind, called `name` in messages; PaperlibError in one clear line for fields that are wrong."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(p) for p in first["loc"])
        if first["type"] == "extra_forbidden":
            raise unknown(f"{name} field", field, list(kind.model_fields)) from None
        said = first["msg"].removeprefix("Value error, ")
        raise PaperlibError(f"{field}: {said} (given: {first['input']!r})" if field else said) from None
