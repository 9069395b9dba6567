"""Compact on networks that nobody here wrote: exact, or refused in one line; never wrong, never torch's traceback."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from paperlib.core.errors import PaperlibError
from paperlib.execution.compact import is_worth_compacting, to_compact
from paperlib.models.graph import followers
from paperlib.models.torchvision_shim import torchvision

models = torchvision.models
MobileV3 = partial(models.mobilenetv3.InvertedResidualConfig, dilation=1, width_mult=0.5)
Efficient, ConvNext = models.efficientnet.MBConvConfig, models.convnext.CNBlockConfig
Bottleneck = models.resnet.Bottleneck


def vgg(plan: str, batch_norm: bool) -> nn.Module:
    """torchvision's VGG at a sixteenth of its width."""
    narrow = [step if step == "M" else int(step) // 16 for step in models.vgg.cfgs[plan]]
    with torch.device("meta"):  # its own head has 120 million weights
        network = models.VGG(nn.Identity(), init_weights=False)
    network.features = models.vgg.make_layers(narrow, batch_norm)
    hidden = [nn.Linear(32 * 49, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 16), nn.ReLU(True), nn.Dropout()]
    network.classifier = nn.Sequential(*hidden, nn.Linear(16, 5))
    return network


def alexnet() -> nn.Module:
    """torchvision's AlexNet with 16 hidden units."""
    with torch.device("meta"):  # its own head has 55 million weights
        network = models.alexnet(num_classes=5)
    network.features.to_empty(device="cpu")  # `masked` gives all of them a value
    for place, layer in {1: nn.Linear(9216, 16), 4: nn.Linear(16, 16), 6: nn.Linear(16, 5)}.items():
        network.classifier[place] = layer
    return network


# Each family of torchvision's list as torchvision builds it, few and narrow blocks where it can be told so.
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "alexnet": alexnet,
    "convnext_tiny": lambda: models.ConvNeXt([ConvNext(8, 16, 1), ConvNext(16, None, 2)], 0.5, num_classes=5),
    "densenet121": lambda: models.DenseNet(8, (2, 3, 2), 16, num_classes=5),
    "efficientnet_b0": lambda: models.EfficientNet(
        [Efficient(1, 3, 1, 16, 8, 1, 0.5, 1), Efficient(6, 5, 2, 8, 16, 2, 0.5, 1)], 0.2, 0.5, 5
    ),
    "googlenet": lambda: models.googlenet(num_classes=5, aux_logits=False, init_weights=False),
    "inception_v3": lambda: models.inception_v3(num_classes=5, aux_logits=False, init_weights=False),
    "mnasnet": lambda: models.MNASNet(0.25, num_classes=5),
    "mobilenet_v2": lambda: models.MobileNetV2(5, 0.25),
    "mobilenet_v3": lambda: models.MobileNetV3(
        [MobileV3(16, 3, 32, 16, True, "RE", 2), MobileV3(16, 5, 48, 16, True, "HS", 1)], 32, 5
    ),
    "regnet_x": lambda: models.RegNet(models.regnet.BlockParams([1, 2], [16, 24], [8, 8], [1.0, 1.0], [2, 2]), 5),
    "regnet_y": lambda: models.RegNet(
        models.regnet.BlockParams([1, 2], [16, 24], [8, 8], [1.0, 1.0], [2, 2], se_ratio=0.25), 5
    ),
    "resnet50": lambda: models.ResNet(Bottleneck, [1, 2, 1, 1], 5, width_per_group=8),
    "resnext50": lambda: models.ResNet(Bottleneck, [1, 1, 1, 1], 5, groups=4, width_per_group=8),
    "shufflenet": lambda: models.ShuffleNetV2([2, 2, 2], [8, 16, 32, 64, 64], 5),
    "squeezenet1_1": lambda: models.squeezenet1_1(num_classes=30),
    "swin": lambda: models.SwinTransformer([4, 4], 16, [2, 2], [2, 4], [4, 4], num_classes=5),
    "vgg16_bn": lambda: vgg("D", True),
    "vgg19": lambda: vgg("E", False),
    "vit": lambda: models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=5),
    "wide_resnet50_2": lambda: models.ResNet(Bottleneck, [1, 1, 1, 2], 5, width_per_group=16),
}
SIDES = {"alexnet": 64, "inception_v3": 75, "squeezenet1_1": 40}
LITTLE_TO_CUT = {"convnext_tiny", "swin", "vit"}  # most of their weights are in linear layers, which keep theirs here


def masked(build: Callable[[], nn.Module], sparsity: float) -> tuple[nn.Module, dict[str, Tensor]]:
    """The network in float64 with random filters of every convolution gone; no bias or statistic is 0 or 1 by habit."""
    torch.manual_seed(0)
    network = build().double().eval()
    masks, norms = {}, followers(network)
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d) and layer.bias is not None:
            nn.init.normal_(layer.bias, std=0.2)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            layer.weight.data /= (1 - sparsity) ** 0.5
        if isinstance(layer, nn.Conv2d) and name in norms:
            masks[name] = torch.rand(layer.out_channels) >= sparsity
            masks[name][torch.randint(layer.out_channels, ())] = True
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.5, 2)
        if isinstance(layer, nn.BatchNorm2d) and layer.affine:
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    with torch.no_grad():
        for name, mask in masks.items():
            for owner in [name, *([norms[name]] if norms[name] else [])]:
                for parameter in network.get_submodule(str(owner)).parameters(recurse=False):
                    parameter[~mask] = 0
    return network, masks


def assert_same(network: nn.Module, small: nn.Module, images: Tensor) -> None:
    """Equal to 1e-9 of what tells the answers for these images apart."""
    with torch.no_grad():
        torch.manual_seed(1)
        expected = network(images)
        torch.manual_seed(1)
        answers = small(images)
    spread = expected.std(0).max()
    assert spread > 1e-7 * expected.abs().max()
    assert (answers - expected).abs().max() <= 1e-9 * spread


@pytest.mark.parametrize("sparsity", [0.2, 0.6])
@pytest.mark.parametrize("name", NETWORKS)
def test_torchvisions_networks_are_cut_exactly(name: str, sparsity: float) -> None:
    network, masks = masked(NETWORKS[name], sparsity)
    images = torch.randn(3, 3, SIDES.get(name, 32), SIDES.get(name, 32), dtype=torch.float64)
    small = to_compact(network, masks)
    assert_same(network, small, images)
    assert name in LITTLE_TO_CUT or is_worth_compacting(small, network)
    training = to_compact(network.train(), masks, training=True)
    assert_same(network, training, images)


class Written(nn.Module):
    """Two convolutions that `forward` puts together with what else is given here."""

    def __init__(self, forward: Callable[["Written", Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 6, 1)
        self.scale = nn.Parameter(torch.randn(6, 1, 1))
        for name, layer in layers.items():
            self.add_module(name, layer)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def changed_in_place(net: Written, x: Tensor) -> Tensor:
    """What the sum reads of `x` was changed by the ReLU between."""
    x = net.norm(net.a(x))
    y = net.b(F.relu(x, inplace=True))
    return net.c(x + y)


def by_size(net: Written, x: Tensor) -> Tensor:
    x = net.a(x).sigmoid()
    return net.fc(x.view(x.size(0), -1))


def by_shape(net: Written, x: Tensor) -> Tensor:
    n, c, h, w = net.a(x).shape
    return net.fc(net.a(x).reshape(n, c * h * w))


WRITTEN: dict[str, tuple[Callable[[Written, Tensor], Tensor], dict[str, nn.Module]]] = {
    "activations": (
        lambda net, x: net.c((6 - F.hardswish(F.relu6(net.norm(net.a(x)))) * 2).clamp(min=-1)),
        {"norm": nn.BatchNorm2d(6), "c": nn.Conv2d(6, 4, 2)},
    ),
    "padded constants": (
        lambda net, x: net.c(F.avg_pool2d(net.a(x).sigmoid(), 3, 1, 1)), {"c": nn.Conv2d(6, 4, 3, padding="same")}
    ),
    "constants before padding": (lambda net, x: net.c(net.a(x).sigmoid()), {"c": nn.Conv2d(6, 4, 3, padding=1)}),
    "constants before depthwise padding": (
        lambda net, x: net.b(net.d(net.a(x).sigmoid())), {"d": nn.Conv2d(6, 6, 3, padding=1, groups=6)}
    ),
    "constants in a sum": (lambda net, x: net.c(net.a(x).sigmoid() + net.b(net.a(x))), {"c": nn.Conv2d(6, 4, 3)}),
    "constants in a product": (
        lambda net, x: net.c((net.a(x) + 1) * net.b(net.a(x)).sigmoid()), {"c": nn.Conv2d(6, 4, 3)}
    ),
    "one channel for all": (
        lambda net, x: net.c(net.b(net.a(x)) * net.one(x)), {"one": nn.Conv2d(3, 1, 1), "c": nn.Conv2d(6, 4, 3)}
    ),
    "depthwise, two for each": (
        lambda net, x: net.c(net.d(net.a(x))), {"d": nn.Conv2d(6, 12, 3, groups=6), "c": nn.Conv2d(12, 4, 1)}
    ),
    "mean": (
        lambda net, x: net.fc(net.norm(net.a(x)).mean((-2, -1))), {"norm": nn.BatchNorm2d(6), "fc": nn.Linear(6, 4)}
    ),
    "mean of channels": (lambda net, x: net.c(net.a(x).mean(1, keepdim=True)), {"c": nn.Conv2d(1, 4, 1)}),
    "mean of rows": (lambda net, x: net.fc(net.a(x).mean(3)), {"fc": nn.Linear(8, 4)}),
    "flattened maps": (
        lambda net, x: net.fc(net.norm(torch.flatten(net.b(net.a(x)), 1))),
        {"norm": nn.BatchNorm1d(384), "fc": nn.Linear(384, 4)},
    ),
    "linear on maps": (lambda net, x: net.fc(net.a(x)), {"fc": nn.Linear(8, 4)}),
    "flattened rows": (lambda net, x: net.fc(net.a(x).flatten(2)), {"fc": nn.Linear(64, 4)}),
    "by size": (by_size, {"fc": nn.Linear(384, 4)}),
    "by shape": (by_shape, {"fc": nn.Linear(384, 4)}),
    "softmax": (lambda net, x: net.c(net.a(x).softmax(1)), {"c": nn.Conv2d(6, 4, 3)}),
    "joined along a side": (lambda net, x: net.c(torch.cat([net.a(x), net.b(net.a(x))], 3)), {"c": nn.Conv2d(6, 4, 3)}),
    "joined with the image": (lambda net, x: net.c(torch.cat([net.a(x), x], dim=-3)), {"c": nn.Conv2d(9, 4, 3)}),
    "joined to be summed": (
        lambda net, x: net.c(torch.cat([net.e(x), net.f(x)], 1) + torch.cat([net.d(x), net.b(net.a(x))], 1)),
        {"d": nn.Conv2d(3, 3, 1), "e": nn.Conv2d(3, 6, 1), "f": nn.Conv2d(3, 3, 1), "c": nn.Conv2d(9, 4, 3)},
    ),
    "a parameter": (lambda net, x: net.b(net.scale * net.a(x)), {}),
    "a layer used twice": (lambda net, x: net.b(net.b(net.a(x)).relu()), {}),
    "PReLU": (lambda net, x: net.b(net.prelu(net.a(x))), {"prelu": nn.PReLU(6, 0.1)}),
    "a norm of two readers": (lambda net, x: net.b(net.norm(net.a(x)) + net.a(x)), {"norm": nn.BatchNorm2d(6)}),
    "a norm without parameters": (lambda net, x: net.b(net.norm(net.a(x))), {"norm": nn.BatchNorm2d(6, affine=False)}),
    "a norm without anything": (
        lambda net, x: net.b(net.norm(net.a(x))), {"norm": nn.BatchNorm2d(6, affine=False, track_running_stats=False)}
    ),
    "indices": (lambda net, x: net.b(F.max_pool2d(net.a(x), 2, return_indices=True)[0]), {}),
    "in place": (changed_in_place, {"norm": nn.BatchNorm2d(6), "c": nn.Conv2d(6, 4, 1)}),
    "perceptrons over the channels": (
        lambda net, x: net.fc2(net.drop(F.gelu(net.fc1(net.a(x).permute(0, 2, 3, 1))))),
        {"fc1": nn.Linear(6, 9), "drop": nn.Dropout(0.2), "fc2": nn.Linear(9, 4)},
    ),
}  # fmt: skip


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", WRITTEN)
def test_what_has_no_rule_is_filled_up(name: str, training: bool) -> None:
    forward, layers = WRITTEN[name]
    network, masks = masked(lambda: Written(forward, **layers), 0.5)
    for layer_name, layer in network.named_modules():
        if isinstance(layer, nn.Linear):
            masks[layer_name] = torch.rand_like(layer.weight) < 0.2  # some neurons go, too
            masks[layer_name][0, 0] = True
            layer.weight.data *= masks[layer_name]
    images = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    assert_same(network.train(training), to_compact(network, masks, training), images)


def read_through_a_view(net: Written, x: Tensor) -> Tensor:
    x = net.a(x)
    y = x.flatten(2)
    x.relu_()
    return net.b(x) + y.sum(2)[:, :, None, None]


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda net, x: net.b(net.a(x)) if x.sum() > 0 else x, "cannot trace Written .*control flow"),
        (lambda net, x: net.b(F.dropout(net.a(x), 0.5, net.training)), "cannot follow 'dropout': functional dropout"),
        (read_through_a_view, "cannot follow 'relu_': it changes in place"),
        (lambda net, x: net.b(net.a(x)[len(x) :]), "cannot trace Written"),
    ],
)
def test_what_cannot_be_followed_is_refused_in_one_line(
    forward: Callable[[Written, Tensor], Tensor], message: str
) -> None:
    network = Written(forward)
    with pytest.raises(PaperlibError, match=message) as refused:
        to_compact(network, {"a": torch.arange(6) > 2})
    assert "\n" not in str(refused.value)
