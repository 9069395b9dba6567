"""Networks through onnxruntime and OpenVINO: beside the masked model, as files, their threads and their lack."""

from collections import Counter
from collections.abc import Callable

import onnx
import pytest
import torch
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.backends import engine_of, to_backend
from paperlib.execution.flops import count
from paperlib.execution.runtimes import OnnxModel, RuntimeModel, is_installed, to_onnx, to_runtime_compact
from paperlib.models.mlp import mlp_medium
from paperlib.models.resnet import resnet18
from paperlib.models.vgg import vgg16
from paperlib.schema.measurement import Timing
from tests.not_tested import TO_TEST
from tests.unit.execution.test_execution_backends import check_backend, pruned

openvino = pytest.mark.skipif(
    not is_installed("openvino"), reason=f"OpenVINO is not installed{TO_TEST}pip install openvino"
)
RUNTIMES = ["onnxruntime", pytest.param("openvino", marks=openvino)]


@pytest.mark.parametrize(("backend", "build"), [("int8", vgg16), ("compact+int8", resnet18)])
def test_int8_stays_near_the_masked_logits(backend: str, build: Callable[..., nn.Module]) -> None:
    check_backend(backend, build)


@pytest.mark.parametrize("kind", ["", "compact+"])
@pytest.mark.parametrize("build", [resnet18, mlp_medium])
@pytest.mark.parametrize("runtime", RUNTIMES)
def test_runtimes_give_the_masked_logits(runtime: str, build: Callable[..., nn.Module], kind: str) -> None:
    check_backend(kind + runtime, build)


@openvino
def test_bf16_through_openvino_or_one_line_where_the_cpu_has_none() -> None:
    if torch.cpu.get_capabilities().get("avx512_bf16"):
        check_backend("openvino+bf16", resnet18)
        check_backend("compact+openvino+bf16", resnet18)
    else:
        with pytest.raises(PaperlibError, match="no bfloat16"):
            check_backend("openvino+bf16", resnet18)


@openvino
def test_what_openvino_cannot_read_is_told_in_one_line() -> None:
    model, masks = pruned(vgg16((16, 16, 1), 4, 0.06))  # its last pooling is larger than its input
    with pytest.raises(PaperlibError, match=r"OpenVINO cannot read this network: .*MaxPool.*\Z"):
        to_backend(model, masks, "openvino", torch.randn(2, 1, 16, 16))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_runtime_names_its_version_and_takes_torchs_threads(runtime: str) -> None:
    model, masks = pruned(mlp_medium((8, 8, 1), 4, 0.02))
    network = to_backend(model, masks, runtime, torch.randn(2, 1, 8, 8))
    assert isinstance(network, RuntimeModel)
    assert network.threads == torch.get_num_threads()
    assert network.with_threads(3).threads == 3
    if isinstance(network, OnnxModel):
        assert network.with_threads(3).session.get_session_options().intra_op_num_threads == 3
        assert network.session.get_session_options().intra_op_num_threads == network.threads
    name, number = engine_of(network).split()
    assert name == runtime and number[0].isdigit()
    timing = {"variant": runtime, "batch_size": 1, "rounds": 3}
    seconds = dict.fromkeys(("median_s", "p95_s", "p99_s", "ratio", "ratio_low", "ratio_high"), 1.0)
    assert Timing.model_validate(timing | seconds | {"engine": engine_of(network)}).engine == f"{name} {number}"
    assert Timing.model_validate(timing | seconds | {"engine": "onnxruntime"}), "as older records have it"


def test_files_hold_no_batch_norm_and_plain_sums() -> None:
    model, masks = pruned(resnet18((16, 16, 1), 4, 0.1))
    for network in (model, to_runtime_compact(model, masks)):
        graph = onnx.load_from_string(to_onnx(network, torch.randn(1, 1, 16, 16))).graph
        kinds = Counter(node.op_type for node in graph.node if node.op_type != "Identity")
        assert kinds.keys() == {"Conv", "Relu", "Add", "GlobalAveragePool", "Flatten", "Gemm"}
        assert (kinds["Conv"], kinds["Add"]) == (20, 8)


def test_a_missing_runtime_is_told_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    model, masks = pruned(mlp_medium((8, 8, 1), 4, 0.02))
    monkeypatch.setattr("paperlib.execution.runtimes.is_installed", lambda name: name != "openvino")
    with pytest.raises(PaperlibError, match=r"\Anot installed: openvino; to get it: pip install openvino\Z"):
        to_backend(model, masks, "openvino", torch.randn(2, 1, 8, 8))


def test_onnx_round_trip_at_any_batch_size() -> None:
    model, _ = pruned(resnet18((16, 16, 1), 4, 0.06))
    network = OnnxModel(to_onnx(model, torch.randn(1, 1, 16, 16)))
    for size in (1, 2, 5):
        images = torch.randn(size, 1, 16, 16)
        with torch.inference_mode():
            torch.testing.assert_close(network(images), model.eval()(images), rtol=1e-4, atol=1e-5)


def test_int8_bytes_are_those_of_a_file() -> None:
    model, masks = pruned(vgg16((16, 16, 1), 4, 0.25))
    network = to_backend(model, {}, "int8", torch.randn(8, 1, 16, 16))
    assert isinstance(network, OnnxModel)
    # the file adds scales per channel and the graph itself, some 40 kB here
    assert len(network.data) == pytest.approx(count(model, masks, (16, 16, 1)).int8_bytes, rel=0.1)
