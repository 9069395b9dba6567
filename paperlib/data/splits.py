"""How images are split: a fixed stratified validation split, and the as-published random re-split."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from paperlib.data.imageset import ImageSet, Split

Index = NDArray[np.intp]
VALIDATION = 0.1  # of the training images, where a set has no validation split of its own


def holdout(groups: NDArray[np.int64], share: float) -> tuple[Index, Index]:
    """Sorted indices of the rest and of those held out: `share` of every group, rounded, at least 1 of 2 or more."""
    rng = np.random.default_rng(0)
    chosen: list[Index] = []
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        chosen.append(members[: min(max(1, round(share * len(members))), len(members) - 1)])
    held_out = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(groups)), held_out), held_out


def with_validation(train: Split, val: Split | None) -> tuple[Split, Split]:
    """Train and validation split; without an official one, 10 % of train, the same for every trial."""
    if val is not None:
        return train, val
    rest, held_out = holdout(train.labels, VALIDATION)
    return train.take(rest), train.take(held_out)


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
