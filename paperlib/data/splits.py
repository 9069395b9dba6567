"""How images are dealt out: a fixed stratified validation split, and the as-published random re-split."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from paperlib.data.imageset import ImageSet, Split

Index = NDArray[np.intp]
VALIDATION = 0.1  # of the training images, where a set has no validation split of its own


def holdout(groups: NDArray[np.int64], share: float, seed: int = 0) -> tuple[Index, Index]:
    """(kept, held) indices, both sorted: `share` of every group is held, rounded, at least 1 of 2 or more."""
    rng = np.random.default_rng(seed)
    held: list[Index] = []
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        n = min(max(1, round(share * len(members))), len(members) - 1)
        held.append(members[:n])
    chosen = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(groups)), chosen), chosen


def with_validation(train: Split, val: Split | None) -> tuple[Split, Split]:
    """Train and validation split; without an official one, 10 % of train, the same for every trial."""
    if val is not None:
        return train, val
    kept, held = holdout(train.labels, VALIDATION)
    return train.take(kept), train.take(held)


def resplit_train(images: ImageSet, seed: int) -> ImageSet:
    """Paper P's published code: a random 80/10/10 split of the official training images; test stays unused.

    Train and validation images are pooled, permuted with `seed` and cut; not stratified, as published.
    """
    pool = np.concatenate([images.train.images, images.val.images])
    labels = np.concatenate([images.train.labels, images.val.labels])
    order = np.random.default_rng(seed).permutation(len(labels))
    tenth = round(0.1 * len(order))
    both = Split(pool, labels)
    note = f"{images.provenance.note}; test drawn from train (80/10/10, seed {seed})"
    return replace(
        images,
        train=both.take(order[2 * tenth :]),
        val=both.take(order[:tenth]),
        test=both.take(order[tenth : 2 * tenth]),
        provenance=replace(images.provenance, note=note),
    )
