"""What a data set is in memory: uint8 images in three splits, and where they came from."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from paperlib.core.errors import PaperlibError
from paperlib.schema.images import Source


@dataclass(frozen=True)
class Provenance:
    """Where images came from; `source` is the word that stands on every record, table and figure."""

    source: Source
    note: str
    origin: str


@dataclass(frozen=True, eq=False)
class Split:
    """Images (N, H, W, C) uint8, C being 1 or 3, and labels (N,) int64."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: NDArray[np.intp]) -> "Split":
        """The images at `index`, in that order."""
        return Split(self.images[index], self.labels[index])


Parts = dict[str, Split]  # "train", "test" and, where a set has its own, "val"


@dataclass(frozen=True, eq=False)
class ImageSet:
    """One data set: train, validation and test split, class names and provenance."""

    name: str
    train: Split
    val: Split
    test: Split
    classes: tuple[str, ...]
    provenance: Provenance

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of one image."""
        h, w, c = self.train.images.shape[1:]
        return h, w, c

    @cached_property
    def content_hash(self) -> str:
        """SHA-256 over pixels, labels and their shapes of all splits, shortened to 16 hex digits."""
        digest = hashlib.sha256()
        for split in (self.train, self.val, self.test):
            digest.update(repr(split.images.shape).encode())
            digest.update(np.ascontiguousarray(split.images).data)
            digest.update(np.ascontiguousarray(split.labels).data)
        return digest.hexdigest()[:16]

    def limited(self, train: int | None, test: int | None) -> "ImageSet":
        """At most `train` and `test` images, class balance kept, the choice fixed for all seeds.

        Validation shrinks with the train split (same share). Raises PaperlibError when a limit leaves
        fewer images than classes.
        """
        classes = len(self.classes)

        def subset(split: Split, n: int | None) -> Split:
            if n is None or n >= len(split):
                return split
            if n < classes:
                shortage = f"{n} of {self.name!r} for {classes} classes"
                raise PaperlibError(f"too few images: {shortage}; ask for at least one a class")
            return split.take(stratified_index(split.labels, n))

        share = 1.0 if train is None else min(1.0, train / len(self.train))
        val = subset(self.val, max(classes, round(share * len(self.val))))
        return replace(self, train=subset(self.train, train), val=val, test=subset(self.test, test))


def stratified_index(labels: NDArray[np.int64], n: int) -> NDArray[np.intp]:
    """`n` sorted indices in the class balance of `labels`, the choice always the same."""
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = labels[order]
    # Rank of each image within its own class, from 0 to 1; taking the lowest ranks keeps the balance.
    rank = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(shuffled == label)
        rank[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.sort(order[np.argsort(rank, kind="stable")[:n]])
