"""VGG16 and ResNet18: sizes against arithmetic and against torchvision, forms, widths, and clear errors."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.models.graph import followers
from paperlib.models.resnet import resnet18
from paperlib.models.torchvision_shim import torchvision
from paperlib.models.vgg import vgg16

VGG_CONVS = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512]


def size(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def shapes(model: nn.Module) -> dict[str, torch.Size]:
    return {name: p.shape for name, p in model.state_dict().items()}


def vgg_by_hand(channels: int, head: list[int]) -> int:
    widths = [channels, *VGG_CONVS]
    convs = sum(9 * a * b + b for a, b in pairwise(widths))
    return convs + sum(a * b + b for a, b in pairwise(head))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [28, 32, 64, 224])
def test_vgg_parameters_match_arithmetic(channels: int, side: int) -> None:
    with torch.device("meta"):
        model = vgg16((side, side, channels), 10)
    head = [512, 512, 512, 10] if side <= 64 else [25088, 4096, 4096, 10]
    assert size(model) == vgg_by_hand(channels, head)


def test_known_totals() -> None:
    with torch.device("meta"):
        assert size(vgg16((224, 224, 3), 10)) == 134_301_514
        assert size(vgg16((224, 224, 3), 1000)) == 138_357_544
        assert size(resnet18((224, 224, 3), 1000)) == 11_689_512
        assert size(resnet18((32, 32, 3), 10)) == 11_173_962  # the count of CIFAR ResNet-18


def test_names_and_shapes_are_torchvisions() -> None:
    with torch.device("meta"):
        assert shapes(vgg16((224, 224, 3), 7)) == shapes(torchvision.models.vgg16(num_classes=7))
        bn = vgg16((224, 224, 3), 7, batch_norm=True)
        assert shapes(bn) == shapes(torchvision.models.vgg16_bn(num_classes=7))
        assert shapes(resnet18((224, 224, 3), 7)) == shapes(torchvision.models.resnet18(num_classes=7))


def test_resnet_computes_what_torchvision_computes() -> None:
    ours, theirs = resnet18((72, 72, 3), 5).eval().double(), torchvision.models.resnet18(num_classes=5).eval().double()
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 72, 72, dtype=torch.float64)
    torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize("builder", [vgg16, resnet18])
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (64, 48, 3), (72, 96, 1)])
def test_every_form_answers(builder, shape) -> None:  # type: ignore[no-untyped-def]
    model = builder(shape, 4, 0.05)
    assert model(torch.rand(3, shape[2], *shape[:2])).shape == (3, 4)


def test_width_scales_hidden_layers_only() -> None:
    model = resnet18((28, 28, 3), 6, 0.5)
    assert model.conv1.weight.shape == (32, 3, 3, 3)
    assert model.fc.weight.shape == (6, 256)


@pytest.mark.parametrize(("builder", "shape"), [(vgg16, (8, 8, 3)), (resnet18, (4, 28, 1)), (vgg16, (300, 20, 3))])
def test_too_small_images_get_one_clear_line(builder, shape) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(PaperlibError, match="at least") as caught:
        builder(shape, 10)
    assert "\n" not in str(caught.value)


def test_followers_pair_every_convolution() -> None:
    plain, normed = vgg16((32, 32, 3), 10, 0.05), vgg16((32, 32, 3), 10, 0.05, batch_norm=True)
    assert set(followers(plain).values()) == {None}
    assert len(followers(plain)) == 13
    pairs = followers(normed)
    assert all(name and int(name.split(".")[1]) == int(conv.split(".")[1]) + 1 for conv, name in pairs.items())
    residual = followers(resnet18((28, 28, 3), 10, 0.05))
    assert len(residual) == 20
    assert residual["conv1"] == "bn1"
    assert residual["layer2.0.conv2"] == "layer2.0.bn2"
    assert residual["layer3.0.downsample.0"] == "layer3.0.downsample.1"
