"""What a network answered on each test image, small enough for its record; and on which images networks differ."""

import base64
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Answers = NDArray[np.uint8]


def pack(logits: "Tensor") -> str | None:
    """The predicted class of each image, from logits (N, classes), as text; None above 256 classes."""
    if logits.shape[1] > 256:
        return None
    return base64.b64encode(zlib.compress(logits.max(1).indices.to("cpu").numpy().astype(np.uint8).tobytes())).decode()


def unpack(packed: str) -> Answers:
    """Predicted classes, shape (N,)."""
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), np.uint8)


def disagreement(a: Answers, b: Answers) -> float:
    """Share of images on which two networks answer differently."""
    return float((a != b).mean())


def modal(answers: Sequence[Answers]) -> Answers:
    """The most frequent answer on each image over networks (seeds); of equally frequent ones the lowest class."""
    votes = np.stack(answers)
    counts = np.stack([(votes == c).sum(0) for c in range(int(votes.max()) + 1)])
    return counts.argmax(0).astype(np.uint8)


def pruning_identified_exemplars(dense: Sequence[Answers], pruned: Sequence[Answers]) -> NDArray[np.intp]:
    """Indices of the pruning-identified exemplars: images whose modal answer differs between dense and pruned
    networks (Hooker et al. 2019, arXiv 1911.05248)."""
    return np.flatnonzero(modal(dense) != modal(pruned))
