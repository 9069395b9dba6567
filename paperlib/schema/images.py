"""Which images a trial takes, and what identifies them."""

from typing import Literal, NamedTuple

Source = Literal["official", "rebuilt", "subset", "stand-in", "own"]
# What a label beside files may say; `own` are the images of a user's folder.
FILE_SOURCES: tuple[Source, ...] = ("official", "rebuilt", "subset", "stand-in")
TEST_SHARE = 0.2  # of each class, where own images have no test folder


class Selection(NamedTuple):
    """Which images a trial takes.

    name: a data set, or `folder:PATH`; resolution: pixels a side, None for the set's own.
    resplit_seed: seed of P's published split of the training images, None for the set's own test images.
    train, test: upper limits, None for all; test_share: of a folder without one of its own for testing.
    """

    name: str
    resolution: int | None = None
    resplit_seed: int | None = None
    train: int | None = None
    test: int | None = None
    test_share: float = TEST_SHARE


class Content(NamedTuple):
    """What identifies the images of a selection: their provenance word and the hash over their pixels and labels.

    files: a key of the files that they are read from (names, sizes, times), under which they stay in memory.
    """

    source: Source
    hash: str
    files: str
