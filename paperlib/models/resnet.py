"""ResNet18 (https://arxiv.org/abs/1512.03385) from torchvision's basic blocks, at 224 px and in a small-image form.

Images up to 64 px get a 3 x 3 stem without stride and no max-pool, as is usual for CIFAR and in MedMNIST's
own 28 px benchmark. Parameter names are torchvision's, so its weights load by name.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import nn

from paperlib.models.mlp import scaled
from paperlib.models.torchvision_shim import torchvision
from paperlib.models.vgg import is_small


def _residual_stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    block = torchvision.models.resnet.BasicBlock
    shortcut = None
    if stride != 1:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return nn.Sequential(block(inputs, outputs, stride, shortcut), block(outputs, outputs))


def _plain_stage(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    convolutions = ((inputs, stride), *((outputs, 1),) * 3)
    layers = [
        (nn.Conv2d(channels, outputs, 3, step, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
        for channels, step in convolutions
    ]
    return nn.Sequential(*(module for layer in layers for module in layer))


def resnet18_plain(shape: tuple[int, int, int], classes: int, width: float = 1.0) -> nn.Module:
    """ResNet18 without its shortcuts (and their 1 x 1 convolutions): what these cost and save (paper F, claim C35)."""
    return resnet18(shape, classes, width, _plain_stage)


def resnet18(
    shape: tuple[int, int, int],
    classes: int,
    width: float = 1.0,
    stage: Callable[[int, int, int], nn.Module] = _residual_stage,
) -> nn.Module:
    """ResNet18 for (N, channels, height, width) input, giving (N, classes) logits; `shape` is h, w, channels.

    `width` scales every stage. Raises PaperlibError for images that are too small (below 8 px).
    """
    small = is_small("resnet18", shape, least_small=8)
    a, b, c, d = (scaled(n, width) for n in (64, 128, 256, 512))
    kernel, stride, padding = (3, 1, 1) if small else (7, 2, 3)
    model = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(shape[2], a, kernel, stride, padding, bias=False),
            bn1=nn.BatchNorm2d(a),
            relu=nn.ReLU(inplace=True),
            maxpool=nn.Identity() if small else nn.MaxPool2d(3, 2, 1),
            layer1=stage(a, a, 1),
            layer2=stage(a, b, 2),
            layer3=stage(b, c, 2),
            layer4=stage(c, d, 2),
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(d, classes),
        )
    )
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return model
