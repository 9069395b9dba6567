"""int8 inference through onnxruntime's static quantisation (convolutions and linear layers alike)."""

import logging
import tempfile
from pathlib import Path

from torch import Tensor, nn

from paperlib.execution.runtimes import FloatArray, OnnxModel, require, to_onnx


def int8(model: nn.Module, calibration: Tensor) -> OnnxModel:
    """`model` with int8 weights (per channel) and activations, ranges read off the `calibration` images.

    calibration: float (N, C, H, W). Raises PaperlibError where the onnx packages are missing. Source:
    https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html (static quantisation, QDQ).
    """
    require("onnx", "onnxruntime")
    from onnx import load_from_string
    from onnxruntime import quantization  # type: ignore[import-untyped]

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.parts = iter(calibration.float().split(64))

        def get_next(self) -> dict[str, FloatArray] | None:
            part = next(self.parts, None)
            return None if part is None else {"images": part.numpy()}

    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.ERROR)  # it advises a pre-processing step that the export has done already
    source = load_from_string(to_onnx(model, calibration))
    with tempfile.TemporaryDirectory() as folder:
        try:
            quantization.quantize_static(source, f"{folder}/int8.onnx", Reader(), per_channel=True)
        finally:
            root.setLevel(level)
        return OnnxModel(Path(folder) / "int8.onnx")
