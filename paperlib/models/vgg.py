"""VGG16 (Simonyan & Zisserman, https://arxiv.org/abs/1409.1556), as torchvision builds it and in a small-image form.

Images above 64 px get torchvision's network (10 classes: 134.3 M parameters; the 138 M of paper F §3.2.1
belong to the 1000-class head). Images up to 64 px get the head of paper P, 512-512-512-classes on a 1 x 1
feature map. Parameter names are torchvision's, so its weights load by name.
"""

from collections import OrderedDict

from torch import nn

from paperlib.core.errors import PaperlibError
from paperlib.models.mlp import scaled
from paperlib.models.torchvision_shim import torchvision

SMALL_IMAGE = 64  # the largest side, in pixels, that gets a small-image form


def is_small(model: str, shape: tuple[int, int, int], least_small: int) -> bool:
    """Whether images of `shape` (height, width, channels) get the small-image form of `model`.

    Raises PaperlibError where the shorter side is below `least_small` (below 32 px in the large form).
    """
    height, width, channels = shape
    small = max(height, width) <= SMALL_IMAGE
    least = least_small if small else 32
    if min(height, width) < least or channels < 1:
        raise PaperlibError(
            f"{model} cannot take {height} x {width} px images with {channels} channels: "
            f"both sides must be at least {least} px; choose a larger image size or an MLP"
        )
    return small


def vgg16(shape: tuple[int, int, int], classes: int, width: float = 1.0, batch_norm: bool = False) -> nn.Module:
    """VGG16 for (N, channels, height, width) input, giving (N, classes) logits; `shape` is (h, w, channels).

    `width` scales every hidden layer. Raises PaperlibError for images that are too small (below 16 px).
    """
    small = is_small("vgg16", shape, least_small=16)
    plan = [step if step == "M" else scaled(int(step), width) for step in torchvision.models.vgg.cfgs["D"]]
    features = torchvision.models.vgg.make_layers(plan, batch_norm)
    features[0] = nn.Conv2d(shape[2], int(plan[0]), 3, padding=1)
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        elif isinstance(layer, nn.MaxPool2d):
            layer.ceil_mode = small  # 28 px: 14, 7, 4, 2, 1 instead of a pool over nothing
    last, side = int(plan[-2]), 1 if small else 7
    hidden = scaled(512 if small else 4096, width)
    head = nn.Sequential(
        nn.Linear(last * side * side, hidden), nn.ReLU(True), nn.Dropout(0.5),
        nn.Linear(hidden, hidden), nn.ReLU(True), nn.Dropout(0.5),
        nn.Linear(hidden, classes),
    )  # fmt: skip
    if not small:  # torchvision's own start; the small head keeps torch's default, as paper P's code does
        for layer in head:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, 0, 0.01)
                nn.init.zeros_(layer.bias)
    parts = {"features": features, "avgpool": nn.AdaptiveAvgPool2d(side), "flatten": nn.Flatten()}
    return nn.Sequential(OrderedDict({**parts, "classifier": head}))
