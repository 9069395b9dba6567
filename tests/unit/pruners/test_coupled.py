"""Whole channels of residual streams: who writes to which sum is found a second time, by networkx."""

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest
import torch
from torch import fx, nn

from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.execution.channels import Align, Join
from paperlib.execution.compact import to_compact
from paperlib.models.resnet import resnet18
from paperlib.models.torchvision_shim import torchvision
from paperlib.pruners import METHODS, Masks, Pruning, apply_masks, layers_of
from paperlib.schema.trial import Trial, make_trial
from paperlib.trials.runner import run
from tests.conftest import served, tiny

models = torchvision.models


def components(model: nn.Module) -> set[frozenset[str]]:
    """Convolutions that one sum, product or depthwise convolution ties together, as connected components of a graph."""
    traced, graph = fx.symbolic_trace(model), nx.Graph()

    def is_convolution(node: fx.Node) -> bool:
        return node.op == "call_module" and isinstance(traced.get_submodule(node.target), nn.Conv2d)

    def writers(node: fx.Node) -> set[str]:
        """Convolutions from which `node` is reached through no other one."""
        return (
            {node.target} if is_convolution(node) else {w for before in node.all_input_nodes for w in writers(before)}
        )

    for node in traced.graph.nodes:
        tied = writers(node) if node.op == "call_function" and node.target.__name__ in {"add", "iadd", "mul"} else set()
        if is_convolution(node):
            graph.add_node(node.target)
            if traced.get_submodule(node.target).groups > 1:
                tied = {node.target, *writers(node.args[0])}
        nx.add_path(graph, tied)
    return {frozenset(names) for names in nx.connected_components(graph)}


def small_resnet18() -> nn.Module:
    return resnet18((8, 8, 1), 3, 0.5)


@pytest.mark.parametrize(
    ("build", "largest"),
    [
        (small_resnet18, 3),
        (models.resnet50, 7),
        (models.mobilenet_v2, 4),
        (models.mobilenet_v3_small, 3),
        (models.squeezenet1_1, 1),
    ],
)
def test_streams_are_the_components_of_who_writes_to_which_sum(build: Callable[[], nn.Module], largest: int) -> None:
    with torch.device("meta"):
        model = build().eval()
    streams: dict[str, set[str]] = {}
    for layer in layers_of(model, Trial(method="random")):
        if layer.unit == "filter":
            streams.setdefault(layer.stream, set()).add(layer.name)
    assert set(map(frozenset, streams.values())) == components(model)
    assert max(map(len, streams.values())) == largest


def coupled_masks(model: nn.Module, trial: Trial) -> Masks:
    layers = layers_of(model, trial)
    method, pruning = METHODS[trial.method](), Pruning(trial, layers, torch.Generator())
    return method.final_masks(pruning, method.initial_masks(pruning))


@pytest.mark.parametrize("method", ["pre-training-coupled", "post-training-coupled"])
@pytest.mark.parametrize(("share", "round_to"), [(0.5, 1), (0.8, 1), (0.3, 8), (0.8, 16)])
def test_the_least_channels_of_each_component_go_together(method: str, share: float, round_to: int) -> None:
    torch.manual_seed(0)
    model = small_resnet18().double().eval()
    trial = make_trial(model="resnet18", method=method, conv_sparsity=share, sparsity=0.5, round_to=round_to)
    masks = coupled_masks(model, trial)
    for names in components(model):
        weights = [model.get_submodule(name).weight.detach().numpy() for name in names]
        scores = sum(np.abs(weight).sum((1, 2, 3)) for weight in weights)
        kept = len(scores) - round(share * len(scores))
        if round_to > 1:
            multiples = range(round_to, len(scores) + 1, round_to)
            kept = min(multiples, key=lambda multiple: abs(multiple - kept))
        expected = set(np.argsort(-scores)[:kept])
        assert all(set(masks[name].nonzero()[:, 0].tolist()) == expected for name in names)

    apply_masks(layers_of(model, trial), masks)
    small = to_compact(model, masks)
    images = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(small(images), model(images), rtol=1e-9, atol=1e-12)
    assert not any(isinstance(module, Join | Align) for module in small.modules())
    for name, mask in masks.items():
        if mask.dim() == 1:
            assert small.get_submodule(name).out_channels == mask.sum()


def test_coupled_trials_run_and_count(layout: Layout) -> None:
    fields = {
        "model": "resnet18", "width": 0.25, "conv_sparsity": 0.5, "sparsity": 0.5, "round_to": 8, "epochs": 1,
        "batch_size": 32,
    }  # fmt: skip
    with served(lambda wanted: tiny(size=8)):
        for method in ("pre-training-coupled", "post-training-coupled"):
            record = run(make_trial(**fields, method=method), layout)
            assert record.status == "done"
            removed = {layer.name: layer.removed for layer in record.layers if layer.unit == "filter"}
            assert removed["conv1"] == removed["layer1.1.conv2"] == 8 and removed["layer4.0.downsample.0"] == 64


def test_what_coupling_and_rounding_cannot_do_is_refused() -> None:
    with pytest.raises(PaperlibError, match="needs a conv_sparsity"):
        make_trial(method="random", sparsity=0.5, round_to=8)
    trial = make_trial(model="resnet18", method="pre-training-coupled", conv_sparsity=0.5, scope="erdos-renyi")
    with pytest.raises(PaperlibError, match="erdos-renyi"):
        coupled_masks(small_resnet18(), trial)
