"""Networks through onnxruntime: int8 beside the masked model, the export and its size."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from paperlib.execution.backends import to_backend
from paperlib.execution.flops import count
from paperlib.execution.quantized import OnnxModel, to_onnx
from paperlib.models.resnet import resnet18
from paperlib.models.vgg import vgg16
from tests.unit.execution.test_execution_backends import check_backend, pruned


@pytest.mark.parametrize(("backend", "build"), [("int8", vgg16), ("compact+int8", resnet18)])
def test_int8_stays_near_the_masked_logits(backend: str, build: Callable[..., nn.Module]) -> None:
    check_backend(backend, build)


def test_onnx_export_round_trip(tmp_path: Path) -> None:
    model, _ = pruned(resnet18((16, 16, 1), 4, 0.06))
    to_onnx(model, torch.randn(1, 1, 16, 16), tmp_path / "model.onnx")
    images = torch.randn(5, 1, 16, 16)
    with torch.inference_mode():
        logits = OnnxModel(tmp_path / "model.onnx")(images)
        torch.testing.assert_close(logits, model.eval()(images), rtol=1e-4, atol=1e-5)


def test_int8_bytes_are_those_of_a_file() -> None:
    model, masks = pruned(vgg16((16, 16, 1), 4, 0.25))
    network = to_backend(model, {}, "int8", torch.randn(8, 1, 16, 16))
    assert isinstance(network, OnnxModel)
    # the file adds scales per channel and the graph itself, some 40 kB here
    assert len(network.data) == pytest.approx(count(model, masks, (16, 16, 1)).int8_bytes, rel=0.1)
