"""Masks, criteria, allocation and methods against torch.nn.utils.prune, networkx, brute force and properties."""

import copy

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune

from paperlib.core.errors import PaperlibError
from paperlib.models import build
from paperlib.models.mlp import build_mlp
from paperlib.pruners import METHODS, MaskEnforcer, Pruning, apply_masks, layers_of
from paperlib.pruners.allocation import erdos_renyi, uniform
from paperlib.pruners.criteria import weakest_active
from paperlib.schema.trial import Trial, make_trial

SHAPE = (6, 6, 1)


def pruning_of(model: nn.Module, **fields: object) -> Pruning:
    trial = make_trial(**({"method": "random"} | fields))
    return Pruning(trial, layers_of(model, trial), torch.Generator().manual_seed(3))


def linears(model: nn.Module) -> list[nn.Linear]:
    return [m for m in model.modules() if isinstance(m, nn.Linear)]


@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.8, 0.95])
def test_uniform_l1_equals_torch_prune(sparsity: float) -> None:
    model = build("mlp-small", SHAPE, 10)
    masks = METHODS["pre-training"]().initial_masks(pruning_of(model, sparsity=sparsity))
    for (name, module), reference in zip(
        [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear)],
        linears(copy.deepcopy(model)),
        strict=True,
    ):
        prune.l1_unstructured(reference, "weight", amount=sparsity)
        assert torch.equal(masks[name], reference.weight_mask.bool()), name
        assert module.weight.shape == masks[name].shape


@pytest.mark.parametrize("sparsity", [0.3, 0.5, 0.8])
def test_global_threshold_equals_torch_global_unstructured(sparsity: float) -> None:
    model = build("mlp-small", SHAPE, 10)
    masks = METHODS["pre-training"]().initial_masks(pruning_of(model, sparsity=sparsity, scope="global-threshold"))
    reference = copy.deepcopy(model)
    prune.global_unstructured([(m, "weight") for m in linears(reference)], prune.L1Unstructured, amount=sparsity)
    for mask, module in zip(masks.values(), linears(reference), strict=True):
        assert torch.equal(mask, module.weight_mask.bool())


def test_layerwise_leaves_first_and_last_dense() -> None:
    model = build("mlp-small", (28, 28, 1), 10)
    pruning = pruning_of(model, sparsity=0.5, scope="layerwise")
    masks = METHODS["random"]().initial_masks(pruning)
    assert [tuple(m.shape) for m in masks.values()] == [(16, 16)]
    # In P's published code: 128 of 12,960 weights at "50 %", 0.99 % of the network.
    assert sum(int((~m).sum()) for m in masks.values()) == 128
    assert sum(m.weight.numel() for m in linears(model)) == 12_960


def test_layerwise_matched_reaches_the_total_of_global() -> None:
    model = build_mlp(36, (40, 50, 60), 5)
    totals = {}
    for scope in ("global", "layerwise-matched"):
        masks = METHODS["random"]().initial_masks(pruning_of(model, sparsity=0.4, scope=scope))
        totals[scope] = sum(int((~m).sum()) for m in masks.values())
    assert totals["global"] == pytest.approx(totals["layerwise-matched"], abs=2)


def test_layerwise_matched_says_when_it_is_impossible() -> None:
    with pytest.raises(PaperlibError, match=r"cannot reach 0\.5.*256 of 12,960"):
        pruning_of(build("mlp-small", (28, 28, 1), 10), sparsity=0.5, scope="layerwise-matched")


@given(
    widths=st.lists(st.integers(2, 60), min_size=2, max_size=5),
    sparsity=st.floats(0, 0.9),
)
@settings(max_examples=60, deadline=None)
def test_erdos_renyi_formula_and_exact_total(widths: list[int], sparsity: float) -> None:
    model = nn.Sequential(*[nn.Linear(a, b) for a, b in zip(widths, widths[1:], strict=False)])
    trial = Trial(method="set", sparsity=sparsity)
    layers = layers_of(model, trial)
    try:
        counts = erdos_renyi(layers)
    except PaperlibError:
        assert sparsity > 0.5  # only tiny layers at high sparsity can run empty
        return
    kept = {layer.name: layer.units - counts[layer.name] for layer in layers}
    assert sum(counts.values()) == sum(round(sparsity * layer.units) for layer in layers)
    free = [layer for layer in layers if kept[layer.name] < layer.units]
    # The defining property: density / ((n_in + n_out) / (n_in n_out)) is the same wherever density is below 1.
    epsilons = [(kept[x.name] / x.units) / (sum(x.module.weight.shape) / x.units) for x in free if kept[x.name] >= 8]
    slack = max((1.5 / min(kept[x.name] for x in free if kept[x.name] >= 8)) if epsilons else 0, 0.01)
    assert not epsilons or max(epsilons) <= min(epsilons) * (1 + 2 * slack)


def test_erdos_renyi_density_matches_a_networkx_random_bipartite_graph() -> None:
    model = build_mlp(200, (100, 50), 20)
    pruning = pruning_of(model, method="set", sparsity=0.9)
    masks = METHODS["set"]().initial_masks(pruning)
    for layer in pruning.targets:
        n_out, n_in = layer.module.weight.shape
        mask = masks[layer.name]
        density = mask.float().mean().item()
        graph = nx.algorithms.bipartite.random_graph(n_in, n_out, density, seed=1)
        # A Bernoulli graph of that density has as many edges within four standard deviations.
        assert abs(graph.number_of_edges() - int(mask.sum())) < 4 * np.sqrt(n_in * n_out * density * (1 - density)) + 1
        degrees = np.bincount(torch.nonzero(mask)[:, 1], minlength=n_in)
        assert degrees.var() == pytest.approx(n_out * density * (1 - density), rel=0.5)


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    sparsity=st.sampled_from([0.0, 0.2, 0.5, 0.8, 0.999]),
    method=st.sampled_from(["random", "pre-training", "in-training"]),
)
@settings(max_examples=80, deadline=None)
def test_exact_counts_or_a_clear_error(shape: tuple[int, int], sparsity: float, method: str) -> None:
    model = nn.Sequential(nn.Linear(shape[1], shape[0]))
    pruning = pruning_of(model, method=method, sparsity=sparsity)
    expected = round(sparsity * shape[0] * shape[1])
    if expected >= shape[0] * shape[1]:
        with pytest.raises(PaperlibError, match="leaves layer '0' empty"):
            METHODS[method]().initial_masks(pruning)
        return
    masks = METHODS[method]().initial_masks(pruning)
    assert int((~masks["0"]).sum()) == expected
    after = METHODS[method]().update_masks(pruning, masks, 1)
    assert int((~after["0"]).sum()) == expected, "a boundary never changes the count"


def test_swap_drops_the_weakest_of_each_sign() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(30, 20))
    pruning = pruning_of(model, method="in-training", sparsity=0.5)
    mask = METHODS["in-training"]().initial_masks(pruning)["0"]
    layer = pruning.layers[0]
    dropped = set(weakest_active(layer, mask, 60).tolist())
    weight = layer.module.weight.detach().flatten().tolist()
    active = [i for i in range(600) if mask.flatten()[i]]
    positive = sorted((i for i in active if weight[i] >= 0), key=lambda i: weight[i])[:30]
    negative = sorted((i for i in active if weight[i] < 0), key=lambda i: -weight[i])[:30]
    assert dropped == set(positive) | set(negative)


def test_swap_takes_the_other_sign_when_one_runs_out() -> None:
    model = nn.Sequential(nn.Linear(10, 10))
    with torch.no_grad():
        model[0].weight.abs_()
        model[0].weight[0, :2] = -1.0
    layer = layers_of(model, Trial(method="random", sparsity=0.5))[0]
    index = weakest_active(layer, torch.ones(10, 10, dtype=torch.bool), 20)
    assert len(set(index.tolist())) == 20
    assert {0, 1} <= set(index.tolist())


def test_set_swaps_between_epochs_only() -> None:
    model = build("mlp-small", SHAPE, 5)
    for quirks, same in (((), True), (("swap-first",), False)):
        pruning = pruning_of(model, method="set", sparsity=0.5, quirks=quirks)
        masks = METHODS["set"]().initial_masks(pruning)
        first = METHODS["set"]().update_masks(pruning, masks, 0)
        assert all(torch.equal(first[n], masks[n]) for n in masks) == same


def test_uniform_er_quirk_ignores_the_layer_shapes() -> None:
    model = build_mlp(400, (100, 100), 100)
    pruning = pruning_of(model, method="set", sparsity=0.8, quirks=("uniform-er",))
    masks = METHODS["set"]().initial_masks(pruning)
    assert all(0.18 < m.float().mean().item() < 0.22 for m in masks.values())
    true = erdos_renyi(pruning.layers)
    share = [1 - true[x.name] / x.units for x in pruning.layers]
    assert share[1] > 1.5 * share[0], "true ER keeps more of the small layers"


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam"])
def test_the_removed_stay_removed_in_weights_and_state(kind: str) -> None:
    torch.manual_seed(1)
    model = build("mlp-small", SHAPE, 5)
    options = {"momentum": 0.9, "weight_decay": 0.01} if kind == "SGD" else {}
    optimizer = getattr(torch.optim, kind)(model.parameters(), lr=0.05, **options)
    x, y = torch.randn(32, 1, 6, 6), torch.randint(5, (32,))

    def step() -> None:
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(3):
        step()  # so that moments exist before the mask does
    pruning = pruning_of(model, sparsity=0.7)
    masks = METHODS["random"]().initial_masks(pruning)
    enforcer = MaskEnforcer(pruning.layers, optimizer)
    enforcer.set(masks)
    for _ in range(5):
        step()
        enforcer.after_step()
    for layer in pruning.layers:
        gone = ~masks[layer.name]
        assert not layer.module.weight[gone].any()
        assert layer.module.weight[~gone].all()
        for name, state in optimizer.state[layer.module.weight].items():
            if isinstance(state, torch.Tensor) and state.shape == gone.shape:
                assert not state[gone].any(), name


def test_an_optimizer_that_masks_cannot_follow_is_refused() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    optimizer = torch.optim.Adafactor(model.parameters())
    model(torch.randn(2, 8)).sum().backward()
    optimizer.step()
    trial = Trial(method="random", sparsity=0.5)
    layers = layers_of(model, trial)
    enforcer = MaskEnforcer(layers, optimizer)
    with pytest.raises(PaperlibError, match="Adafactor.*row_var"):
        enforcer.set({"0": torch.ones(8, 8, dtype=torch.bool)})


def test_regrown_weights_start_at_zero_or_at_their_stale_value() -> None:
    for stale in (False, True):
        model = nn.Sequential(nn.Linear(6, 6))
        before = model[0].weight.detach().clone()
        layers = layers_of(model, Trial(method="random", sparsity=0.5))
        enforcer = MaskEnforcer(layers, torch.optim.SGD(model.parameters(), lr=1.0), stale=stale)
        first = torch.ones(6, 6, dtype=torch.bool)
        first[0] = False
        enforcer.set({"0": first})
        assert not model[0].weight[0].any()
        second = torch.ones(6, 6, dtype=torch.bool)
        second[0, 3:] = False
        second[1] = False
        enforcer.set({"0": second})
        expected = before[0, :3] if stale else torch.zeros(3)
        assert torch.equal(model[0].weight[0, :3], expected)
        assert not model[0].weight[0, 3:].any()
        enforcer.set({"0": torch.ones(6, 6, dtype=torch.bool)})
        assert torch.equal(model[0].weight, before if stale else model[0].weight)
        assert stale or not model[0].weight[1].any()


def test_filters_lose_bias_and_batch_norm_too() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 16, 4))
    trial = Trial(method="pre-training", sparsity=0.5, conv_sparsity=0.5)
    layers = layers_of(model, trial)
    masks = METHODS["pre-training"]().initial_masks(Pruning(trial, layers, torch.Generator()))
    reference = copy.deepcopy(model[0])
    prune.ln_structured(reference, "weight", amount=0.5, n=1, dim=0)
    assert torch.equal(masks["0"], reference.weight_mask.flatten(1).any(1))
    with torch.no_grad():
        model[1].running_mean += 1
        model[1].bias += 1
    apply_masks(layers, masks)
    for mode in (True, False):
        out = model.train(mode)[:2](torch.randn(4, 3, 6, 6))
        assert not out[:, ~masks["0"]].any()
        assert out[:, masks["0"]].any()


def test_uniform_ignores_what_is_out_of_scope() -> None:
    model = build("mlp-small", SHAPE, 5)
    layers = layers_of(model, Trial(method="random", sparsity=0.5, scope="layerwise"))
    assert list(uniform(layers)) == [layers[1].name]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"conv_sparsity": 0.5}, "conv_sparsity needs convolutions"),
        ({"sparsity": 1.0}, r"\[0, 1\)"),
        ({"sparsity": -0.1}, r"\[0, 1\)"),
        ({"scope": "layerwize"}, "did you mean 'layerwise'"),
    ],
)
def test_bad_input_gets_one_clear_line(fields: dict[str, object], message: str) -> None:
    with pytest.raises(PaperlibError, match=message) as caught:
        pruning_of(build("mlp-small", SHAPE, 5), **fields)
    assert "\n" not in str(caught.value)


def test_unknown_method_names_the_nearest() -> None:
    with pytest.raises(PaperlibError, match="did you mean 'pre-training'"):
        METHODS["pretraining"]
