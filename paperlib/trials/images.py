"""The images of a trial: loaded, described for its record, and as normalised batches on the device."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.stats
import torch
from torch import Tensor

from paperlib import data
from paperlib.core.errors import PaperlibError
from paperlib.data import Content, ImageSet
from paperlib.data.augmentation import crop_and_flip
from paperlib.data.imageset import Split
from paperlib.schema.record import Data
from paperlib.schema.trial import Trial

CHUNK_BYTES = 2 * 2**20  # small enough to stay in the cache until its batches are used
MEAN = STD = 0.5  # of every channel, of pixels in 0..1


def load_images(trial: Trial, content: Content | None = None) -> ImageSet:
    """The trial's images, with its split and limits. PaperlibError if it wants real ones and none are here.

    content: what `data.identify` said of them, if it was asked already.
    """
    images = data.select(trial.selection, content.files if content else None)
    if trial.real_images and images.provenance.source == "stand-in":
        cure = "`paperlib data fetch`, or point PAPERLIB_DATA at a folder that has it"
        raise PaperlibError(f"this trial takes real images only, and {trial.dataset} is a drawn stand-in here: {cure}")
    return images


def shape_of(trial: Trial) -> tuple[tuple[int, int, int], int]:
    """Shape (height, width, channels) and number of classes of a trial's images; only an own folder's are read."""
    if trial.dataset.startswith(data.FOLDER):
        images = load_images(trial)
        return images.shape, len(images.classes)
    info = data.parse_name(trial.dataset).info
    height, width, channels = info.shape
    return (trial.resolution or height, trial.resolution or width, channels), len(info.classes)


def data_provenance(images: ImageSet) -> Data:
    """The provenance part of a record, with what a constant predictor would reach."""
    train = np.bincount(images.train.labels, minlength=len(images.classes)) / len(images.train)
    return Data(
        name=images.name,
        source=images.provenance.source,
        note=images.provenance.note,
        content_hash=images.content_hash,
        shape=images.shape,
        classes=len(images.classes),
        train=len(images.train),
        val=len(images.val),
        test=len(images.test),
        train_majority=float(train.max()),
        train_entropy=float(scipy.stats.entropy(train)),
        test_majority=float((images.test.labels == train.argmax()).mean()),
    )


@dataclass(frozen=True, eq=False)
class DeviceSplit:
    """A split on the device: pixels uint8 (N, C, H, W), normalised chunk by chunk, and labels (N,)."""

    pixels: Tensor
    labels: Tensor

    @classmethod
    def of(cls, split: Split, device: str) -> "DeviceSplit":
        """Move a split to the device."""
        pixels = torch.from_numpy(split.images).permute(0, 3, 1, 2).contiguous()
        return cls(pixels.to(device), torch.from_numpy(split.labels).to(device))

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self, size: int, order: Tensor | None = None, augment: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Normalised batches, in `order`; gathered in chunks, since a gather per batch outweighs a small step.

        augment: the random source of crops and flips, on the images' device; None for none.
        """
        per_chunk = max(1, CHUNK_BYTES // (4 * self.pixels[0].numel()) // size) * size
        for start in range(0, len(self) if order is None else len(order), per_chunk):
            part = slice(start, start + per_chunk)
            if order is None:
                pixels, labels = self.pixels[part], self.labels[part]
            else:  # index_select copies whole rows, four times faster than pixels[order]
                pixels, labels = (t.index_select(0, order[part]) for t in (self.pixels, self.labels))
            if augment is not None:
                pixels = crop_and_flip(pixels, augment)
            yield from zip(normalise(pixels).split(size), labels.split(size), strict=True)


def normalise(pixels: Tensor) -> Tensor:
    """uint8 0..255 to float32 -1..1, as both papers do: (pixels / 255 - MEAN) / STD."""
    return torch.mul(pixels, 1 / (255 * STD)).sub_(MEAN / STD)
