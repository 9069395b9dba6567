"""Whole-filter pruning of the real networks, paper F's grid, and its figures and tables from tiny trainings."""

import copy
from collections import Counter

import pytest
import torch
from torch import nn

from paperlib import studies
from paperlib.core.errors import PaperlibError
from paperlib.core.paths import Layout
from paperlib.data.registry import DATASETS
from paperlib.exhibits import (
    architecture,
)
from paperlib.models import build
from paperlib.pruners import METHODS, apply_masks, layers_of
from paperlib.schema.trial import make_trial
from paperlib.studies.profiles import F_DATASETS
from paperlib.trials import runner as run_module
from paperlib.trials.training import DeviceSplit, fit
from tests.conftest import served, tiny

CNN = {"width": 0.05, "epochs": 2, "batch_size": 16, "optimizer": "AdamW", "lr": 1e-3}


def images(n: int = 48, side: int = 16) -> DeviceSplit:
    pixels = torch.randint(0, 256, (n, 3, side, side), dtype=torch.uint8)
    return DeviceSplit(pixels, torch.arange(n) % 3)


@pytest.mark.parametrize("model", ["vgg16", "resnet18"])
@pytest.mark.parametrize("method", ["pre-training", "set"])
def test_a_removed_filter_emits_zero_after_steps_of_adam(model: str, method: str) -> None:
    torch.manual_seed(0)
    trial = make_trial(model=model, method=method, conv_sparsity=0.5, sparsity=0.8, **(CNN | {"width": 0.1}))
    network, data = build(model, (16, 16, 3), 3, trial.width), images()
    layers = layers_of(network, trial)
    masks = fit(trial, network, layers, data, data).masks
    apply_masks(layers, masks)
    seen: dict[str, torch.Tensor] = {}
    names = dict(network.named_modules())
    for layer in layers:
        # What leaves the filter is what leaves its batch norm, if it has one.
        last = layer.name if layer.norm is None else next(n for n, m in names.items() if m is layer.norm)
        names[last].register_forward_hook(
            lambda _m, _i, out, name=layer.name: seen.__setitem__(name, out.detach().clone())
        )
    assert sum(int((~masks[x.name]).sum()) for x in layers if x.unit == "filter") > 100
    for mode in (True, False):
        network.train(mode)
        network(torch.rand(8, 3, 16, 16))
        for layer in layers:
            if layer.unit == "filter":
                gone = ~masks[layer.name]
                assert not seen[layer.name][:, gone].any(), layer.name


@pytest.mark.parametrize("model", ["vgg16", "resnet18"])
@pytest.mark.parametrize("scenario", ["i", "ii", "iii"])
def test_small_dense_comes_within_one_percent(model: str, scenario: str) -> None:
    wanted = studies.SCENARIOS[scenario]
    trial = make_trial(model=model, method="small-dense", conv_sparsity=wanted.conv, sparsity=wanted.linear)

    def empty(width: float) -> nn.Module:
        with torch.device("meta"):
            return build(model, (28, 28, 3), 8, width)

    def count(network: nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    whole = empty(1.0)
    gone = sum(  # by hand: whole filters of convolutions, single weights of linear layers
        round(wanted.conv * m.weight.shape[0]) * m.weight[0].numel()
        if isinstance(m, nn.Conv2d)
        else round(wanted.linear * m.weight.numel())
        for m in whole.modules()
        if isinstance(m, nn.Conv2d | nn.Linear)
    )
    small = empty(METHODS["small-dense"]().width(trial, empty))
    assert count(small) == pytest.approx(count(whole) - gone, rel=0.01)


@pytest.mark.parametrize("profile", studies.PROFILES)
def test_the_grid_of_f_is_whole(profile: str) -> None:
    trials = studies.industrial(profile)
    assert len(set(trials)) == len(trials)
    for dataset, model, seed in {(t.dataset, t.model, t.seed) for t in trials}:
        here = [t for t in trials if (t.dataset, t.model, t.seed) == (dataset, model, seed)]
        arms = {(t.method, t.conv_sparsity, t.sparsity) for t in here}
        assert ("dense", 0, 0) in arms and ("random", 0, 0) in arms
        for method in studies.PROFILES[profile].industrial[model].methods:
            assert {(method, 0.8, 0.8), (method, 0.5, 0.8), (method, 0.0, 0.8)} <= arms
    assert {t.model for t in trials} == {"vgg16", "resnet18"}
    own = {"pre-training", "in-training", "post-training", "set", "majority"}
    beyond = set() if profile in {"quick", "station"} else {"random", "small-dense", "magnitude-gradual", "rigl"}
    assert own | beyond <= {t.method for t in trials}


def test_the_paper_profile_is_the_papers_budget() -> None:
    trials = studies.industrial("paper")
    assert {(t.epochs, t.batch_size, t.lr, t.width, t.resolution) for t in trials} == {(50, 64, 1e-4, 1.0, 224)}
    assert {t.dataset for t in trials} == {"bloodmnist", "industrial", "industrial-reduced", "visa"}
    assert {t.seed for t in trials} == {0, 1, 2} and all(t.real_images for t in trials)


def test_the_limit_of_f_is_trained_on_whole_networks_beside_dense() -> None:
    assert not studies.limit("smoke") and not studies.limit("quick")
    trials = studies.limit("laptop", seeds=3)
    assert [{**t.model_dump(), "resolution": 224, "real_images": True} for t in trials] == [
        t.model_dump() for t in studies.limit("paper")
    ]
    assert len(trials) == 2 * (3 * 2 * 2 + 1) and set(studies.limit("laptop")) < set(trials)
    assert set(studies.limit("laptop")) <= set(studies.study("03", "laptop"))
    assert {(t.width, t.epochs, t.lr, t.batch_size) for t in trials} == {(1.0, 10, 1e-4, 64)}
    pruned = {(t.method, t.conv_sparsity, t.sparsity) for t in trials if t.method != "dense"}
    assert pruned == {(m, share, 0.8) for m in ("pre-training", "set") for share in (0.9, 0.95)}
    assert [(t.model, t.seed) for t in trials if t.method == "dense"] == [("vgg16", 0), ("resnet18", 0)]


def test_vgg_prunes_both_kinds_and_the_published_arm_one() -> None:
    trials = studies.vgg("paper")
    plain = [t for t in trials if not t.quirks and t.sparsity]
    assert plain and all(t.conv_sparsity == t.sparsity for t in plain)
    published = [t for t in trials if t.quirks]
    assert published and not any(t.conv_sparsity for t in published)
    assert Counter(t.augment for t in trials if t.dataset != "cifar10").keys() == {False}
    # The published layer-wise arm reaches two 512 x 512 layers: 524,288 weights (P's published code).
    with torch.device("meta"):
        network = build("vgg16", (32, 32, 3), 10)
    layerwise = next(t for t in published if t.scope == "layerwise" and t.method == "set")
    assert sum(x.module.weight.numel() for x in layers_of(network, layerwise) if x.in_scope) == 524_288


def test_scenarios_of_ones_own_and_wrong_names() -> None:
    own = studies.industrial("smoke", scenarios=[(0.3, 0.9)], methods=["set"])
    assert {(t.conv_sparsity, t.sparsity) for t in own if t.method == "set"} == {(0.3, 0.9)}
    for arguments, said in (
        ({"scenarios": ["iv"]}, "unknown scenario 'iv'"),
        ({"models": ["vgg61"]}, "did you mean 'vgg16'"),
        ({"methods": []}, "methods is empty"),
    ):
        with pytest.raises(PaperlibError, match=said) as caught:
            studies.industrial("smoke", **arguments)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


def test_a_resolution_too_small_for_the_network_is_one_line(layout: Layout) -> None:
    small = served(lambda wanted: tiny(size=wanted.resolution or 6, channels=3))
    with small, pytest.raises(PaperlibError, match="at least 16 px") as caught:
        run_module.run(make_trial(model="vgg16", resolution=8), layout)
    assert "\n" not in str(caught.value)


def test_drawings_hold_every_layer_and_every_sum() -> None:
    with torch.device("meta"):
        vgg, resnet = build("vgg16", (224, 224, 3), 10), build("resnet18", (224, 224, 3), 10)
    drawn = Counter(b.kind for b in architecture.blocks(vgg, (224, 224, 3)))
    assert drawn["convolution"] == 13 and drawn["linear"] == 3
    blocks = architecture.blocks(resnet, (224, 224, 3))
    assert Counter(b.kind for b in blocks)["convolution"] == 20
    assert sum(b.shortcut for b in blocks) == 3 and sum(b.joins is not None for b in blocks) == 8
    shapes = {b.name: b.shape for b in blocks}
    assert shapes["conv1"] == (64, 112, 112) and shapes["layer4.1.conv2"] == (512, 7, 7) and shapes["fc"] == (10,)


def test_every_set_of_f_is_registered() -> None:
    assert {d.partition("-")[0] for d in F_DATASETS} <= set(DATASETS)


def test_copies_of_a_network_draw_alike() -> None:
    network = build("resnet18", (28, 28, 1), 3, 0.1)
    before = copy.deepcopy(network.state_dict())
    architecture.blocks(copy.deepcopy(network), (28, 28, 1))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
