"""Augmentation of whole batches where they lie: a random crop of the reflected image and a horizontal flip."""

import torch
from torch import Tensor

SHIFT = 1 / 8  # largest shift as a share of the side: 4 of 32 px, the usual crop of CIFAR-10


def crop_and_flip(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Every image (N, C, H, W) of any type shifted by up to an eighth, edges reflected, every other one mirrored.

    `generator` lies on the device of `pixels`; nothing leaves that device.
    """
    n, channels, height, width = pixels.shape
    device = pixels.device
    rows, cols = (_shifted(n, side, generator) for side in (height, width))
    flip = torch.rand((n, 1), generator=generator, device=device) < 0.5
    cols = torch.where(flip, cols.flip(1), cols)
    image = torch.arange(n, device=device).view(n, 1, 1, 1)
    channel = torch.arange(channels, device=device).view(1, channels, 1, 1)
    return pixels[image, channel, rows.view(n, 1, height, 1), cols.view(n, 1, 1, width)]


def _shifted(n: int, side: int, generator: torch.Generator) -> Tensor:
    """(n, side) source indices of a random shift; beyond an edge the image is mirrored at it."""
    reach = max(1, round(SHIFT * side))
    shift = torch.randint(-reach, reach + 1, (n, 1), generator=generator, device=generator.device)
    index = (shift + torch.arange(side, device=generator.device)).abs()
    return side - 1 - (side - 1 - index).abs()
