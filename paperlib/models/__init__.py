"""Networks by name. A model takes normalised images (N, C, H, W) and returns raw logits (N, classes)."""

from paperlib.models.registry import MODELS, Builder, build

__all__ = ["MODELS", "Builder", "build"]
