"""Networks through onnxruntime and OpenVINO: one ONNX file that either reads, with batch norms folded into it."""

import io
import warnings
from abc import ABC, abstractmethod
from copy import copy
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.compact import check_masks, to_compact
from paperlib.models.graph import streams

FloatArray = NDArray[np.float32]


def is_installed(package: str) -> bool:
    return find_spec(package) is not None


def require(*packages: str) -> None:
    """PaperlibError that says how to get those of the `packages` that are not installed."""
    if lacking := [name for name in packages if not is_installed(name)]:
        raise PaperlibError(f"not installed: {', '.join(lacking)}; to get it: pip install {' '.join(lacking)}")


def to_onnx(model: nn.Module, example: Tensor) -> bytes:
    """`model` in eval mode as ONNX: `images` (batch, C, H, W) to `logits` (batch, classes), any batch size.

    PaperlibError where onnx is missing. Traced by torch's older exporter: the newer one writes the same operations and
    takes thirty times as long (3.7 against 0.12 s of CPU time for ResNet18).
    """
    require("onnx")
    file, batch = io.BytesIO(), {0: "batch"}
    two = example[:1].expand(2, *example.shape[1:])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (two,), file, dynamo=False, dynamic_axes={"images": batch, "logits": batch},  # type: ignore[arg-type]
            input_names=["images"], output_names=["logits"],
        )  # fmt: skip
    return file.getvalue()


def to_runtime_compact(model: nn.Module, masks: dict[str, Tensor]) -> nn.Module:
    """As `to_compact`, but all that writes to one residual stream keeps the same channels, some of them zero.

    Sums are then plain ones, which runtimes can fuse; joins of unequal branches would be scatters and transpositions.
    """
    check_masks(model, masks)
    shared, stream = dict[str, Tensor](), streams(model)
    for name, first in stream.items():
        every = torch.ones(len(model.get_parameter(f"{name}.weight")), dtype=torch.bool)
        shared[first] = masks.get(name, every) | shared.get(first, ~every)
    return to_compact(model, {name: shared[stream[name]] if name in stream else m for name, m in masks.items()})


class RuntimeModel(ABC):
    """A network that a runtime computes: float (N, C, H, W) to float32 logits (N, classes), on the CPU.

    file: ONNX, as a path or bytes; kept as `data`. threads: of the runtime; torch's number if None.
    """

    package: ClassVar[str]

    def __init__(self, file: Path | bytes, threads: int | None = None) -> None:
        require(self.package)
        self.data = file if isinstance(file, bytes) else file.read_bytes()
        self.threads = threads or torch.get_num_threads()
        self._load()

    @property
    def engine(self) -> str:
        """The runtime with its version."""
        return f"{self.package} {version(self.package)}"

    def with_threads(self, threads: int) -> Self:
        """The same network, loaded anew for so many threads."""
        other = copy(self)
        other.threads = threads
        other._load()
        return other

    def __call__(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self._run(images.float().numpy()))

    @abstractmethod
    def _load(self) -> None: ...

    @abstractmethod
    def _run(self, images: FloatArray) -> FloatArray: ...


class OnnxModel(RuntimeModel):
    """Through onnxruntime."""

    package = "onnxruntime"

    def _load(self) -> None:
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = self.threads
        # Its threads would spin on after a run, into the time of whatever is measured next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(self.data, options, ["CPUExecutionProvider"])

    def _run(self, images: FloatArray) -> FloatArray:
        return np.asarray(self.session.run(None, {"images": images})[0])


class OpenVinoModel(RuntimeModel):
    """Through OpenVINO, in float32, which it leaves unasked where the CPU has bfloat16; in that with `precision` bf16.

    options: further properties of its CPU device. PaperlibError for bf16 on a CPU without it.
    """

    package = "openvino"

    def __init__(
        self,
        file: Path | bytes,
        threads: int | None = None,
        precision: str = "f32",
        options: dict[str, Any] | None = None,
    ) -> None:
        self.options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"} | (options or {})
        super().__init__(file, threads)

    def _load(self) -> None:
        from openvino import Core

        core = Core()
        bf16 = self.options["INFERENCE_PRECISION_HINT"] == "bf16"
        if bf16 and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise PaperlibError("this CPU has no bfloat16 instructions for OpenVINO: use the backend openvino")
        options = {"INFERENCE_NUM_THREADS": self.threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False} | self.options
        try:
            self.compiled = core.compile_model(core.read_model(io.BytesIO(self.data)), "CPU", options)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise PaperlibError(f"OpenVINO cannot read this network: {reason}") from None

    def _run(self, images: FloatArray) -> FloatArray:
        return np.asarray(self.compiled(images)[0])
