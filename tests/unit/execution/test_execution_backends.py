"""Backends agree with the masked model; costs agree with torch's counter and with real files."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from paperlib.core.errors import PaperlibError
from paperlib.execution import sparse_kernel
from paperlib.execution.backends import BACKENDS, to_backend
from paperlib.execution.flops import count, linear_zeros_share
from paperlib.execution.sparse import SparseChain, SparseLinear, gain_of, sparsify
from paperlib.models.mlp import build_mlp
from paperlib.models.resnet import resnet18
from paperlib.models.vgg import vgg16
from tests.simulated_meters import SimulatedTime


def pruned(model: nn.Module, sparsity: float = 0.5) -> tuple[nn.Module, dict[str, Tensor]]:
    """The model with random masks on its convolutions and linear layers, batch-norms found by their name."""
    torch.manual_seed(0)
    masks = {}
    with torch.no_grad():
        for name, layer in model.named_modules():
            if not isinstance(layer, nn.Conv2d | nn.Linear):
                continue
            shape = layer.weight.shape if isinstance(layer, nn.Linear) else layer.weight.shape[:1]
            mask = masks[name] = torch.rand(shape) >= sparsity
            mask.view(-1)[0] = True
            layer.weight[~mask] = 0
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                layer.bias[~mask] = 0
            norm = name.replace("conv", "bn").replace("downsample.0", "downsample.1")
            if norm != name:
                model.get_submodule(norm).weight[~mask] = 0
    return model, masks


def check_backend(backend: str, build: Callable[..., nn.Module]) -> None:
    """The backend's logits are those of the masked model, at another batch size too; the model keeps its mode."""
    model, masks = pruned(build((16, 16, 1), 4, 0.06))
    images = torch.randn(9, 1, 16, 16)
    with torch.inference_mode():
        expected = model.eval()(images)
        model.train()
        network = to_backend(model, masks, backend, images)
        logits = network(images)
        assert network(images[:1]).shape == (1, 4)
    assert model.training
    assert logits.dtype == torch.float32
    if BACKENDS[backend].exact:
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    else:
        assert (logits - expected).norm() <= 0.15 * expected.norm()


@pytest.mark.parametrize("backend", [name for name in BACKENDS if not re.search("int8|onnxruntime|openvino", name)])
@pytest.mark.parametrize("build", [vgg16, resnet18])
def test_every_backend_gives_the_masked_logits(backend: str, build: Callable[..., nn.Module]) -> None:
    check_backend(backend, build)


def test_an_unknown_backend_suggests_the_nearest() -> None:
    model, masks = pruned(vgg16((16, 16, 1), 4, 0.06))
    with pytest.raises(PaperlibError, match="did you mean 'compact'"):
        to_backend(model, masks, "compakt", torch.randn(2, 1, 16, 16))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_sparse_linear_is_the_linear_layer(bias: bool, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sparse_kernel.available(), "the locked environment holds llvmlite"
    if not compiled:
        monkeypatch.setattr(sparse_kernel, "available", lambda: False)
    layer = nn.Linear(40, 30, bias=bias)
    with torch.no_grad():
        layer.weight[torch.rand(30, 40) < 0.8] = 0
    x = torch.randn(7, 40)
    torch.testing.assert_close(SparseLinear(layer)(x), layer(x), rtol=1e-4, atol=1e-5)


def test_sparsify_measures_every_linear_layer_and_keeps_the_winner(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 4)).eval()
    measured = iter([(1.2, True), (1.1, False)])
    monkeypatch.setattr(
        "paperlib.execution.sparse.gain_of", lambda sparse, dense: (sparse(), dense(), next(measured))[2]
    )
    result, gains = sparsify(model, torch.randn(8, 1, 8, 8))
    assert gains == {"1": 1.2, "3": 1.1}
    assert [type(layer) for layer in result] == [nn.Flatten, SparseChain, nn.Linear]  # the ReLU is in the chain


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_sparse_layers_that_follow_each_other_run_as_one_chain(monkeypatch: pytest.MonkeyPatch, dropout: float) -> None:
    monkeypatch.setattr("paperlib.execution.sparse.gain_of", lambda *_: (2.0, True))
    model, _ = pruned(build_mlp(64, (32, 48), 4, dropout=dropout), 0.7)
    result, gains = sparsify(model.eval(), images := torch.randn(9, 1, 8, 8))
    assert [type(layer) for layer in result] == [nn.Flatten, SparseChain] and list(gains) == ["fc1", "fc2", "out"]
    for x in (images, images[:1], images.repeat(8, 1, 1, 1)):
        torch.testing.assert_close(result(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("sparse_s", "spread", "least", "most"), [(1.0, 0.3, 0, 0.04), (0.7, 0.1, 0.95, 1)])
def test_a_sparse_layer_must_win_beyond_the_noise_of_its_timing(
    sparse_s: float, spread: float, least: float, most: float
) -> None:
    # Equal layers win eight of nine rounds once in 51 times; 0.04 is three standard errors of 400 above that.
    rng, clock = np.random.default_rng(0), SimulatedTime()

    def takes(seconds: float) -> Callable[[], None]:
        return lambda: clock.advance(seconds * rng.lognormal(0, spread))

    found = [gain_of(takes(sparse_s), takes(1.0), clock) for _ in range(400)]
    assert least <= np.mean([wins for _, wins in found]) <= most
    assert np.median([gain for gain, _ in found]) == pytest.approx(1 / sparse_s, rel=0.05)


@pytest.mark.parametrize("build", [vgg16, resnet18])
def test_dense_flops_agree_with_torchs_counter(build: Callable[..., nn.Module]) -> None:
    model = build((20, 20, 3), 4, 0.06)
    costs = count(model, {}, (20, 20, 3))
    with FlopCounterMode(display=False) as forward:
        out = model.eval()(torch.zeros(1, 3, 20, 20))
    with FlopCounterMode(display=False) as backward:
        out.sum().backward()
    assert costs.dense_inference_flops == costs.inference_flops == forward.get_total_flops()
    assert costs.dense_training_flops == forward.get_total_flops() + backward.get_total_flops()


def test_counts_see_zeros() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[:, 0] = True  # every neuron keeps one weight of six
    with torch.no_grad():
        model[1].weight[~mask] = 0
    costs = count(model, {"1": mask}, (2, 3, 1))
    assert costs.parameters == 24 + 4 + 8 + 2
    assert costs.nonzeros == costs.parameters - 20
    assert costs.inference_flops == 2 * (4 + 8)
    assert costs.dense_inference_flops == 2 * (24 + 8)
    assert linear_zeros_share(model, (2, 3, 1)) == 20 / 32
    assert costs.training_flops == 3 * 2 * (4 + 8) - 2 * 4
    assert costs.csr_bytes == 8 * (4 + 8) + 4 * (5 + 3) + 4 * (4 + 2)
    assert costs.int8_bytes == 24 + 8 + 4 * 6


def test_compact_bytes_are_those_of_a_file() -> None:
    model, masks = pruned(vgg16((16, 16, 1), 4, 0.2))
    costs = count(model, masks, (16, 16, 1))
    file = len(save({k: v.contiguous() for k, v in model.state_dict().items()}))
    assert costs.dense_bytes == pytest.approx(file, rel=0.02)
    assert costs.compact_bytes < 0.6 * costs.dense_bytes
