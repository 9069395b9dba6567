"""Where the weights of a pruned linear layer are: in tiles whose activations stay in the first-level cache.

A tile is a block of rows times a block of columns of the matrix. Within it a weight's column takes 16 bits, and rows
stand by their number of weights, the longest first: loops of like length cost no mispredicted branch.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class Tiles(nn.Module):
    """The pattern of a matrix (M, K), without its values.

    segments: int64 (tiles, 6), row of tiles after row of tiles: the first column; the first and the last + 1 in
    `rows`; the first weight; the first value; 1 where the tile begins its rows + 2 where it ends them. rows: int32
    (rows of tiles, 2), the row of the matrix and how many weights it has in the tile (empty ones only where rows begin
    or end). offsets: int16 (weights,), to be read as unsigned, the column less the tile's first one. index: int16
    (weights,), the same, the weight's place among the values of its tile; empty where values come in order.
    """

    segments: Tensor
    rows: Tensor
    offsets: Tensor
    index: Tensor

    def __init__(self, kept: Tensor, height: int, width: int) -> None:
        """kept: bool (M, K); height, width: rows and columns of a tile, width at most 65,536."""
        super().__init__()
        self.shape, self.height, self.width = tuple(kept.shape), height, width
        m, k = self.shape
        self.across = across = -(-k // width)
        padded = np.zeros((m, across * width), bool)
        padded[:, :k] = kept.cpu().numpy()
        parts = padded.reshape(-1, width)  # a part is what a row of the matrix has in one tile, moved as a whole
        counts = np.count_nonzero(parts, axis=1)
        row, block = np.divmod(np.arange(m * across), across)
        tile = row // height * across + block
        order = np.argsort((tile * (width + 1) + width - counts) * m + row)  # by tile, the longest first, by row
        offsets = (np.flatnonzero(parts[order]) % width).astype(np.uint16)
        order = order[(counts[order] > 0) | (block[order] == 0) | (block[order] == across - 1)]
        tiles = np.arange(-(-m // height) * across)
        weights = np.bincount(tile, counts, len(tiles)).astype(np.int64)
        first = np.cumsum(weights) - weights
        block = tiles % across
        bounds = (np.searchsorted(tile[order], tiles, side) for side in ("left", "right"))
        edges = (block == 0) + 2 * (block == across - 1)
        self.register_buffer("segments", torch.from_numpy(np.stack([block * width, *bounds, first, first, edges], 1)))
        self.register_buffer("rows", torch.from_numpy(np.stack([row[order], counts[order]], 1).astype(np.int32)))
        self.register_buffer("offsets", torch.from_numpy(offsets.view(np.int16)))
        self.register_buffer("index", torch.empty(0, dtype=torch.int16))

    @property
    def arrays(self) -> tuple[Tensor, ...]:
        """segments, rows, offsets and index, without the microseconds that torch takes to look each of them up."""
        return tuple(self._buffers.values())  # type: ignore[arg-type]

    def places(self) -> Tensor:
        """Where the weights, in their order here, stand in the flattened matrix: int64 (weights,)."""
        return torch.from_numpy(self._flattened(self.shape[1], 1))

    def _flattened(self, down: int, right: int) -> NDArray[np.int64]:
        """`down` times its row plus `right` times its column, for each weight."""
        segments, rows = self.segments.numpy(), self.rows.numpy()
        corner = right * np.repeat(segments[:, 0], segments[:, 2] - segments[:, 1]) + down * rows[:, 0].astype(np.int64)
        return np.repeat(corner, rows[:, 1]) + right * self.offsets.numpy().view(np.uint16).astype(np.int64)

    def transposed(self, kept: Tensor) -> "Tiles":
        """The pattern of the transposed matrix, with the index of each weight in the values of this one.

        kept: as this pattern was made of; height times width must be at most 65,536.
        """
        other = Tiles(kept.T, self.width, self.height)
        place = np.empty(kept.numel(), np.int32)
        place[self._flattened(1, self.shape[0])] = np.arange(len(self.offsets))
        weights = np.diff(other.segments[:, 3].numpy(), append=len(other.offsets))
        other.segments[:, 4] = self.segments[:, 4].view(-1, self.across).T.flatten()
        index = place[other.places().numpy()] - np.repeat(other.segments[:, 4].numpy(), weights)
        other.index = torch.from_numpy(index.astype(np.uint16).view(np.int16))
        return other
