"""Networks by name. A model takes normalised images (N, C, H, W) and returns raw logits (N, classes)."""

from paperlib.models import mlp as _mlp  # noqa: F401 - each of these registers its models
from paperlib.models import resnet as _resnet  # noqa: F401
from paperlib.models import vgg as _vgg  # noqa: F401
from paperlib.models.registry import MODELS, Builder, build

__all__ = ["MODELS", "Builder", "build"]
