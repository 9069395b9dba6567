"""Compact networks and compact training against masked ones: same outputs, same curves, same states."""

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.compact import is_worth_compacting, to_compact
from paperlib.execution.compact_training import CompactTraining
from paperlib.models.graph import followers
from paperlib.models.resnet import resnet18
from paperlib.models.torchvision_shim import torchvision
from paperlib.models.vgg import vgg16
from paperlib.pruners import layers_of
from paperlib.schema.trial import Trial

TRIAL = Trial(method="random")
BasicBlock = torchvision.models.resnet.BasicBlock


def small_residual() -> nn.Module:
    """A residual block with and one without a convolution in its shortcut, then a linear layer."""
    shortcut = nn.Sequential(nn.Conv2d(6, 8, 1, 2, bias=False), nn.BatchNorm2d(8))
    blocks = [BasicBlock(6, 6), BasicBlock(6, 8, 2, shortcut)]
    stem = [nn.Conv2d(1, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))


def small_vgg(*norm: nn.Module) -> nn.Module:
    """Two convolutions, with a batch norm behind the first if given, and two linear layers with dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 7, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(7, 6, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(24, 12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, 5),
    )  # fmt: skip


def small_mobile() -> nn.Module:
    """Depthwise convolutions that are squeezed and excited, then a dense block: products and concatenations."""
    parts = torchvision.ops.misc
    stem = parts.Conv2dNormActivation(1, 8, 3, activation_layer=nn.ReLU6)
    depthwise = parts.Conv2dNormActivation(8, 8, 3, groups=8, activation_layer=nn.Hardswish)
    squeezed = [depthwise, parts.SqueezeExcitation(8, 4), nn.Conv2d(8, 6, 1), nn.SiLU()]
    dense = [torchvision.models.densenet._DenseBlock(2, 6, 2, 4, 0), nn.BatchNorm2d(14), nn.ReLU()]
    return nn.Sequential(stem, *squeezed, *dense, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(14, 5))


MODELS: dict[str, Callable[[float], nn.Module]] = {
    "vgg16": lambda width: vgg16((28, 28, 1), 5, width),
    "vgg16-large": lambda width: vgg16((32, 72, 1), 5, width / 4),
    "vgg16-bn": lambda width: vgg16((28, 28, 1), 5, width, batch_norm=True),
    "resnet18": lambda width: resnet18((20, 20, 1), 5, width),
    "mlp": lambda width: nn.Sequential(
        nn.Flatten(), nn.Linear(64, 30), nn.ReLU(), nn.Dropout(0.3),
        nn.Linear(30, 20), nn.ReLU(), nn.Dropout(0.3), nn.Linear(20, 5),
    ),
    "small-vgg": lambda width: small_vgg(),
    "small-vgg-bn": lambda width: small_vgg(nn.BatchNorm2d(7)),
    "small-resnet": lambda width: small_residual(),
    "small-mobile": lambda width: small_mobile(),
}  # fmt: skip
SHAPES = {"vgg16": (1, 28, 28), "vgg16-large": (1, 32, 72), "vgg16-bn": (1, 28, 28), "resnet18": (1, 20, 20)}
TRAINED = ["mlp", "small-vgg", "small-vgg-bn", "small-resnet", "small-mobile"]
SHAPES |= dict.fromkeys(TRAINED, (1, 8, 8))


def random_masks(model: nn.Module, sparsity: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Random masks of every layer, at least one unit each; the output layer keeps single weights too."""
    masks = {}
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            shape = layer.weight.shape if isinstance(layer, nn.Linear) else layer.weight.shape[:1]
            mask = torch.rand(shape, generator=generator) >= sparsity
            mask.view(-1)[int(torch.randint(mask.numel(), (), generator=generator))] = True
            masks[name] = mask
    return masks


@torch.no_grad()
def apply(model: nn.Module, masks: dict[str, Tensor], optimizer: torch.optim.Optimizer | None = None) -> None:
    """Masking as paper F means it, written out independently of the package."""
    pairs = followers(model)
    for name, mask in masks.items():
        layer = model.get_submodule(name)
        if isinstance(layer, nn.Linear):
            todo = [(layer.weight, ~mask)]
        else:
            owners = [layer, *([model.get_submodule(pairs[name])] if pairs[name] else [])]
            todo = [(p, ~mask) for owner in owners for p in owner.parameters(recurse=False)]
            if len(owners) == 2:
                owners[1].running_mean[~mask] = 0
                owners[1].running_var[~mask] = 1
        for parameter, gone in todo:
            parameter[gone] = 0
            for value in (optimizer.state.get(parameter, {}) if optimizer else {}).values():
                if isinstance(value, Tensor) and value.dim():
                    value[gone] = 0


def make(kind: str, width: float, sparsity: float, seed: int) -> tuple[nn.Module, dict[str, Tensor]]:
    torch.manual_seed(seed)
    model = MODELS[kind](width).double()
    for layer in model.modules():  # biases and statistics that would show a wrongly cut constant
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and layer.bias is not None:
            nn.init.normal_(layer.bias, std=0.3)
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.3)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    masks = random_masks(model, sparsity, torch.Generator().manual_seed(seed))
    apply(model, masks)
    return model, masks


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("kind", ["mlp", "resnet18", "vgg16", "vgg16-bn", "vgg16-large"])
def test_compact_gives_the_same_outputs(kind: str, sparsity: float, train: bool) -> None:
    model, masks = make(kind, 0.07, sparsity, seed=round(10 * sparsity))
    small = to_compact(model.train(train), masks, training=train)
    images = torch.randn(3, *SHAPES[kind], dtype=torch.float64)
    torch.manual_seed(7)
    expected = model(images)
    torch.manual_seed(7)
    torch.testing.assert_close(small(images), expected, rtol=1e-8, atol=1e-9)
    # nothing that a filter mask removes is still stored
    for name, mask in masks.items():
        layer = small.get_submodule(name)
        assert not isinstance(layer, nn.Conv2d) or layer.out_channels == int(mask.sum())


@pytest.mark.parametrize("kind", ["resnet18", "vgg16"])
def test_a_compact_network_searches_for_no_layer_and_sees_one_that_is_replaced(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, masks = make(kind, 0.07, 0.5, seed=0)
    small = to_compact(model.eval(), masks)
    searched, search = list[str](), nn.Module.__getattr__

    def counted(module: nn.Module, name: str) -> object:
        searched.extend([name] if name in module.__dict__["_modules"] else [])
        return search(module, name)

    monkeypatch.setattr(nn.Module, "__getattr__", counted)
    images = torch.randn(2, *SHAPES[kind], dtype=torch.float64)
    expected = model(images)
    before = len(searched)
    torch.testing.assert_close(small(images), expected, rtol=1e-8, atol=1e-9)
    assert len(searched) == before, "nn.Module finds its children the slow way"
    copy = deepcopy(small)
    last = [name for name, layer in copy.named_modules() if isinstance(layer, nn.Linear)][-1]
    copy.set_submodule(last, nn.Identity())
    assert copy(images).shape[1] != 5 and small(images).shape[1] == 5


def test_compact_shares_nothing_with_its_model() -> None:
    model, masks = make("mlp", 1, 0.5, 0)
    small = to_compact(model.eval(), masks)
    small.train()
    assert not any(m.training for m in model.modules())
    for mine in small.parameters():
        assert all(mine.data_ptr() != theirs.data_ptr() for theirs in model.parameters())


def test_neurons_without_inputs_or_outputs_go_and_their_constants_stay() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    masks = {"1": torch.ones(3, 4, dtype=torch.bool), "3": torch.ones(2, 3, dtype=torch.bool)}
    masks["1"][0] = False  # neuron 0: a constant
    masks["3"][:, 2] = False  # neuron 2: read by nobody
    with torch.no_grad():
        model[1].bias[0] = 0.7
    apply(model, masks)
    small = to_compact(model, masks)
    assert small.get_submodule("1").weight.shape == (1, 4)
    torch.testing.assert_close(small.get_submodule("3").bias, model[3].bias + 0.7 * model[3].weight[:, 0])
    images = torch.randn(9, 1, 2, 2)
    torch.testing.assert_close(small(images), model(images))


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.05),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.005, momentum=0.9, weight_decay=0.05),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.005, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3, weight_decay=0.01),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3, weight_decay=0.05),
}


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int, shape: tuple[int, ...],
          after: Callable[[], object] = lambda: None) -> list[float]:  # fmt: skip
    """A few steps on fixed random images; the losses."""
    generator, losses = torch.Generator().manual_seed(3), []
    torch.manual_seed(11)
    dtype = next(model.parameters()).dtype
    for _ in range(steps):
        images = torch.randn(6, *shape, generator=generator, dtype=torch.float64).to(dtype)
        loss = nn.functional.cross_entropy(model(images), torch.randint(5, (6,), generator=generator))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        after()
        losses.append(loss.item())
    return losses


Parts = dict[str, Tensor]


def trained(kind: str, name: str, dtype: torch.dtype, compacted: bool) -> tuple[list[float], Parts]:
    """Losses, weights and optimizer state after two mask periods of 5 steps: the second starts with a filled state."""
    model, masks = make(kind, 0.05, 0.5, 1)
    model = model.to(dtype)
    optimizer, losses = OPTIMIZERS[name](model.parameters()), list[float]()
    for period in range(2):
        if period:  # other masks: regrown units start at zero, as apply() left them
            masks = random_masks(model, 0.6, torch.Generator().manual_seed(5))
            apply(model, masks, optimizer)
        if compacted:
            engine = CompactTraining(model, layers_of(model, TRIAL), masks, optimizer)
            losses += train(engine.model, engine.optimizer, 5, SHAPES[kind])
            engine.scatter_back()
        else:
            losses += train(model, optimizer, 5, SHAPES[kind], lambda m=masks: apply(model, m, optimizer))
        for layer in layers_of(model, TRIAL):
            for parameter in layer.tensors():
                removed = layer.broadcast_mask(masks[layer.name], parameter) == 0
                tensors = [v for v in optimizer.state[parameter].values() if isinstance(v, Tensor) and v.dim()]
                assert not any(t.detach()[removed].any() for t in [parameter, *tensors]), layer.name
    parts = {name: value.double() for name, value in model.state_dict().items()}
    for parameter_name, parameter in model.named_parameters():
        for key, value in optimizer.state[parameter].items():
            if isinstance(value, Tensor):
                parts[f"{parameter_name} {key}"] = value.detach().double()
    return losses, parts


@pytest.mark.parametrize("kind", TRAINED)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_compact_training_equals_masked_training(kind: str, name: str) -> None:
    expected, weights = trained(kind, name, torch.float64, compacted=False)
    losses, compact_weights = trained(kind, name, torch.float64, compacted=True)
    assert losses == pytest.approx(expected, rel=1e-4)
    assert compact_weights.keys() == weights.keys()
    torch.testing.assert_close(compact_weights, weights, rtol=1e-4, atol=1e-9)


def distance(a: Parts, b: Parts, kind: str) -> float:
    """How far the weights of one training are from another's, without those that no loss depends on.

    Batch norm takes the mean of its inputs away, and with it the bias of the convolution before it: the gradient of
    such a bias is rounding alone, which Adam scales up to whole steps.
    """
    idle = {f"{conv}.bias" for conv, norm in followers(MODELS[kind](0.05)).items() if norm}
    names = {name for name, _ in MODELS[kind](0.05).named_parameters()} - idle
    return sum((a[name] - b[name]).square().sum().item() for name in names) ** 0.5


@pytest.mark.parametrize("kind", TRAINED)
@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_in_float32_compact_training_stays_close_to_masked_training(kind: str, name: str) -> None:
    """Rounding differs from processor to processor, and a ReLU that flips makes it jump: no digits are compared.

    Masked trainings whose first weights differ by 1e-6, ten float32 roundings, were seen to end up to 0.0004 of the
    distance apart that they went, and their losses up to 0.00002: the bounds are 25 and 500 times that.
    """
    start = {name: value.double() for name, value in make(kind, 0.05, 0.5, 1)[0].state_dict().items()}
    expected, weights = trained(kind, name, torch.float32, compacted=False)
    losses, compact_weights = trained(kind, name, torch.float32, compacted=True)
    assert losses == pytest.approx(expected, rel=1e-2)
    assert distance(compact_weights, weights, kind) <= 0.01 * distance(weights, start, kind)


def test_a_scheduler_on_the_full_optimizer_is_followed() -> None:
    model, masks = make("small-resnet", 1, 0.5, 2)
    same, _ = make("small-resnet", 1, 0.5, 2)
    optimizer, other = OPTIMIZERS["momentum"](model.parameters()), OPTIMIZERS["momentum"](same.parameters())
    engine = CompactTraining(same, layers_of(same, TRIAL), masks, other)
    decay = [torch.optim.lr_scheduler.ExponentialLR(o, 0.5) for o in (optimizer, other)]
    train(model, optimizer, 4, SHAPES["small-resnet"], lambda: (apply(model, masks, optimizer), decay[0].step()))
    train(engine.model, engine.optimizer, 4, SHAPES["small-resnet"], decay[1].step)
    engine.scatter_back()
    torch.testing.assert_close(dict(same.state_dict()), dict(model.state_dict()), rtol=1e-6, atol=1e-9)


def test_where_compacting_pays() -> None:
    model, masks = make("vgg16", 0.1, 0.5, 0)
    assert is_worth_compacting(to_compact(model, masks, training=True), model)
    linear_only = {n: m for n, m in masks.items() if n.startswith("classifier")}
    assert not is_worth_compacting(to_compact(model, linear_only, training=True), model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["features.0"].fill_(False), "removes the whole layer"),
        (lambda m: m.update({"features.0": torch.ones(99, dtype=torch.bool)}), "has shape"),
        (lambda m: m.update({"features.1": torch.ones(3, dtype=torch.bool)}), "no convolution or linear"),
    ],
)
def test_bad_masks_get_one_clear_line(change: Callable[[dict[str, Tensor]], object], message: str) -> None:
    model, masks = make("vgg16", 0.05, 0.5, 0)
    change(masks)
    with pytest.raises(PaperlibError, match=message):
        to_compact(model, masks)


def test_unknown_optimizers_and_options_are_refused() -> None:
    model, masks = make("vgg16", 0.05, 0.5, 0)
    with pytest.raises(PaperlibError, match="knows SGD, Adam and AdamW"):
        CompactTraining(model, layers_of(model, TRIAL), masks, torch.optim.RMSprop(model.parameters()))
    with pytest.raises(PaperlibError, match="amsgrad"):
        CompactTraining(model, layers_of(model, TRIAL), masks, torch.optim.Adam(model.parameters(), amsgrad=True))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.state[next(model.parameters())]["surprise"] = torch.zeros(3)
    with pytest.raises(PaperlibError, match="surprise"):
        CompactTraining(model, layers_of(model, TRIAL), masks, optimizer)
