"""The constant predictor: what a collapsed network amounts to, as several in F do (sections 4.1 and 4.2)."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Constant(nn.Module):
    """Answers the log frequencies of the training labels, whatever the image."""

    logits: Tensor

    def __init__(self, labels: NDArray[np.int64], classes: int) -> None:
        super().__init__()
        share = np.bincount(labels, minlength=classes) / len(labels)
        self.register_buffer("logits", torch.from_numpy(np.log(np.maximum(share, 1e-12))).float())

    def forward(self, pixels: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes), every row the same."""
        return self.logits.expand(len(pixels), -1)
