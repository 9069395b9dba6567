"""Drawn stand-in images: same shape, class count and balance as a set that is not here.

Each class is a grating of its own direction and fineness under a soft window, at random phase, contrast and
brightness. The phase makes its mean image flat, so pixels alone tell the classes apart only through the
window's centre, which leans weakly towards a place of the class: a linear model gets some way, a
convolutional one nearly all the way.
"""

import numpy as np
from numpy.typing import NDArray

from paperlib.data.imageset import Split
from paperlib.data.registry import DatasetInfo

CHUNK = 256


def counts_for(resolution: int, channels: int) -> tuple[int, int]:
    """Images drawn for (train, test): 6,000 and 1,000, fewer where they would exceed about 100 MB."""
    train = min(6_000, 100_000_000 // (resolution * resolution * channels) * 6 // 7)
    return train, max(100, train // 6)


def draw(info: DatasetInfo, resolution: int, train: int, test: int) -> dict[str, Split]:
    """`train` and `test` images (N, resolution, resolution, C) uint8 of `info`'s classes; always the same."""
    return {"train": _split(info, resolution, train, 1), "test": _split(info, resolution, test, 2)}


def labels_for(info: DatasetInfo, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`n` shuffled labels in the set's class balance, every class present (n must be >= classes)."""
    weights = np.array(info.balance or [1] * len(info.classes), float)
    share = np.maximum(1, np.floor(weights / weights.sum() * n)).astype(np.int64)
    share[np.argmax(share)] += n - share.sum()
    return rng.permutation(np.repeat(np.arange(len(weights)), share))


def _split(info: DatasetInfo, resolution: int, n: int, seed: int) -> Split:
    rng = np.random.default_rng([seed, len(info.classes), resolution])
    labels = labels_for(info, n, rng)
    channels = info.shape[2]
    images = np.empty((n, resolution, resolution, channels), np.uint8)
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        images[part] = _gratings(labels[part], len(info.classes), resolution, channels, rng)
    return Split(images, labels)


def _gratings(
    labels: NDArray[np.int64], classes: int, size: int, channels: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    n = len(labels)
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    y, x = axis[None, :, None], axis[None, None, :]

    def each(values: NDArray[np.float64]) -> NDArray[np.float32]:
        return values.astype(np.float32).reshape(n, 1, 1)

    bands = max(1, round(np.sqrt(classes / 2)))
    directions = -(-classes // bands)
    spread = 0.25 / directions
    angle = each(np.pi * (labels % directions / directions + rng.uniform(-spread, spread, n)))
    cycles = each(2.2 + 1.8 * (labels // directions) + rng.uniform(-0.25, 0.25, n))
    phase = each(rng.uniform(0, 2 * np.pi, n))
    place = 2 * np.pi * labels / classes
    cx = each(0.18 * np.cos(place) + rng.normal(0, 0.28, n))
    cy = each(0.18 * np.sin(place) + rng.normal(0, 0.28, n))
    wave = np.cos(np.pi * cycles * (x * np.cos(angle) + y * np.sin(angle)) + phase)
    window = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * each(rng.uniform(0.35, 0.5, n)) ** 2))
    grey = each(rng.uniform(0.25, 0.45, n)) + window * (0.12 + each(rng.uniform(0.15, 0.4, n)) * wave)
    tint = rng.uniform(0.8, 1.2, (n, 1, 1, channels)).astype(np.float32)
    noise = rng.normal(0, 0.06, (n, size, size, 1)).astype(np.float32)
    return (np.clip(grey[..., None] * tint + noise, 0, 1) * 255).astype(np.uint8)
