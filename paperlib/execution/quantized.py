"""int8 inference through onnxruntime's static quantisation (convolutions and linear layers alike)."""

import logging
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError

_NEEDED = ("onnx", "onnxscript", "onnxruntime")


def to_onnx(model: nn.Module, example: Tensor, path: Path) -> None:
    """Write `model` as ONNX with a free batch size; PaperlibError where the onnx packages are missing."""
    if lacking := [name for name in _NEEDED if find_spec(name) is None]:
        raise PaperlibError(f"int8 and ONNX need the packages {', '.join(lacking)}: install them with pip")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    batch = {0: torch.export.Dim("batch", min=1, max=65536)}
    two = example[:1].expand(2, *example.shape[1:])  # a batch of 1 would be taken as fixed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model.eval(), (two,), str(path), dynamo=True, dynamic_shapes=(batch,), verbose=False,
            external_data=False, input_names=["images"], output_names=["logits"],
        )  # fmt: skip


class OnnxModel:
    """Called like a network: (N, C, H, W) float tensor to (N, classes) float32 logits, on the CPU.

    threads: of onnxruntime; torch's number if None.
    """

    def __init__(self, file: Path | bytes, threads: int | None = None) -> None:
        import onnxruntime  # type: ignore[import-untyped]

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads or torch.get_num_threads()
        self.data = file if isinstance(file, bytes) else file.read_bytes()
        self.session = onnxruntime.InferenceSession(self.data, options, ["CPUExecutionProvider"])

    def __call__(self, images: Tensor) -> Tensor:
        (logits,) = self.session.run(None, {self.session.get_inputs()[0].name: images.float().numpy()})
        return torch.from_numpy(np.asarray(logits))


def int8(model: nn.Module, calibration: Tensor) -> OnnxModel:
    """`model` with int8 weights (per channel) and activations, ranges read off the `calibration` images.

    calibration: float (N, C, H, W). Raises PaperlibError where the onnx packages are missing. Source:
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html (static quantisation, QDQ).
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        to_onnx(model, calibration, source)
        from onnxruntime import quantization

        class Reader(quantization.CalibrationDataReader):
            def __init__(self) -> None:
                self.parts = iter(calibration.float().split(64))

            def get_next(self) -> dict[str, NDArray[np.float32]] | None:
                part = next(self.parts, None)
                return None if part is None else {"images": part.numpy()}

        root, level = logging.getLogger(), logging.getLogger().level
        root.setLevel(logging.ERROR)  # it advises a pre-processing step that dynamo export has done already
        try:
            quantization.quantize_static(str(source), str(target), Reader(), per_channel=True)
        finally:
            root.setLevel(level)
        return OnnxModel(target)
