"""What one run is: a frozen, validated value, and the id under which its record is kept."""

import hashlib
import json
import os
import shlex
from typing import Any, Literal, Self, TypedDict, Unpack, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from paperlib.core.errors import PaperlibError
from paperlib.core.registry import unknown
from paperlib.data.imageset import TEST_SHARE, Selection

Scope = Literal["global", "layerwise", "global-threshold", "layerwise-matched", "erdos-renyi", "random-ratios"]
Quirk = Literal[
    "double-softmax", "uniform-er", "swap-first", "stale-regrowth", "test-from-train", "keeps-last-only"
]  # fmt: skip
Execution = Literal["compact", "masked"]
Schedule = Literal["constant", "cosine"]
Compute = Literal["fp32", "fp32-channels-last", "bf16", "bf16-channels-last", "auto"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Trial(BaseModel):
    """One training (or pruning) run.

    sparsity: share of weights removed in the linear layers of the scope, in [0, 1).
    conv_sparsity: share of filters removed in convolutions, in [0, 1) (paper F).
    threshold: method `threshold` removes the weights whose absolute value lies below it.
    draw: which random layer ratios scope `random-ratios` takes; the total stays the same.
    swap: share of active units that in-training, set and rigl exchange at each epoch boundary.
    width: factor on the hidden widths, for small budgets.
    resolution: height and width in pixels, None for the set's own.
    train_images, test_images: upper limits, None for all.
    test_share: of each class of a `folder:PATH` that is held out for testing, where it has no folder `test`.
    execution: train on the compact network between mask changes, where that pays and the optimiser allows it (the
        same results, to rounding), or always on the full one with masks, as both papers do.
    real_images: refuse to run on drawn stand-ins (profile `paper`).
    options: further keyword arguments of the torch optimiser, e.g. {"momentum": 0.9}.
    schedule: of the learning rate; `cosine` falls to zero over all steps.
    augment: random crop and horizontal flip of training images (never of others).
    compute: number format and memory layout of training; `auto` measures which is fastest here.
    quirks: what the authors' code does differently, one sensitivity arm each (P's published code);
        none is the `corrected` protocol.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    dataset: str = "mnist"
    model: str = "mlp-small"
    width: float = Field(1.0, gt=0, le=4)
    method: str = "dense"
    scope: Scope = "global"
    sparsity: float = 0.0
    conv_sparsity: float = 0.0
    threshold: float = Field(0.0, ge=0)
    draw: int = Field(0, ge=0)
    swap: float = Field(0.2, gt=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**31)
    epochs: int = Field(10, ge=1)
    batch_size: int = Field(64, ge=1)
    optimizer: str = "SGD"
    lr: float = Field(0.05, gt=0)
    options: dict[str, float | bool] = {}
    schedule: Schedule = "constant"
    augment: bool = False
    compute: Compute = "fp32"
    resolution: int | None = None
    train_images: int | None = Field(None, ge=1)
    test_images: int | None = Field(None, ge=1)
    test_share: float = Field(TEST_SHARE, gt=0, lt=1)
    execution: Execution = "compact"
    real_images: bool = False
    quirks: tuple[Quirk, ...] = ()

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
            flag = "--" + name.replace("_", "-")
            if name == "options":
                words += [w for k, v in sorted(value.items()) for w in ("--option", f"{k}={v}")]
            elif name == "quirks":
                words += [w for q in value for w in ("--quirk", q)]
            elif value is True:
                words.append(flag)
            else:
                words += [flag, str(value)]
        return shlex.join(words)


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
    try:
        return Trial.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(p) for p in first["loc"])
        if first["type"] == "extra_forbidden":
            raise unknown("trial field", field, list(Trial.model_fields)) from None
        said = first["msg"].removeprefix("Value error, ")
        raise PaperlibError(f"{field}: {said} (given: {first['input']!r})" if field else said) from None
