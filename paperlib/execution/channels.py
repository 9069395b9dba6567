"""Which channels of a value and which part of a layer a cut network keeps; modules that bring such values together."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from paperlib.models.graph import NORMS


@dataclass(frozen=True, eq=False)
class ChannelState:
    """Channels of one value of a network.

    kept: bool (full,), those that are computed. constant: float (full,), what each of the others is everywhere, 0 for
    the kept. axis: of the channels, 1 or -1. rank: how many axes the value has, None if unknown. flattened: whether a
    channel may be a block of features.
    """

    kept: Tensor
    constant: Tensor
    axis: int = 1
    rank: int | None = 4
    flattened: bool = False

    @classmethod
    def whole(cls, full: int, like: Tensor, axis: int, rank: int | None) -> "ChannelState":
        """All of `full` channels; constants of the dtype and on the device of `like`."""
        kept = torch.ones(full, dtype=torch.bool, device=like.device)
        return cls(kept, like.detach().new_zeros(full), axis, rank)

    @property
    def needed(self) -> Tensor:
        """Bool (full,): the channels that are not zero throughout."""
        return self.kept | (self.constant != 0)

    def mapped(self, function: Callable[[Tensor], Tensor]) -> "ChannelState":
        """After an elementwise operation."""
        return replace(self, constant=function(self.constant.clone()).masked_fill(self.kept, 0))

    def keeping(self, kept: Tensor) -> "ChannelState":
        """With other channels kept."""
        return replace(self, kept=kept, constant=self.constant.masked_fill(kept, 0))

    def spread(self, features: int) -> "ChannelState":
        """With one channel for each of `features` features."""
        block = features // len(self.kept)
        kept, constant = (t.repeat_interleave(block) for t in (self.kept, self.constant))
        return replace(self, kept=kept, constant=constant, flattened=False)

    def is_like(self, other: "ChannelState") -> bool:
        """Whether both describe values whose channels correspond, one by one."""
        a, b = ((len(x.kept), x.axis, x.rank, x.flattened) for x in (self, other))
        return a == b and (self.rank is not None or self.axis == -1)


@dataclass(frozen=True)
class ParameterSlice:
    """Which rows and columns (int64 indices) of a full layer its compact form holds; None is all of them."""

    rows: Tensor | None = None
    cols: Tensor | None = None

    def take(self, full: Tensor) -> Tensor:
        """The compact part of a full parameter, statistic or optimizer state (a copy)."""
        part = full.detach()
        if part.dim() and self.rows is not None:
            part = part.index_select(0, self.rows)
        if part.dim() > 1 and self.cols is not None:
            part = part.index_select(1, self.cols)
        channels_last = full.dim() == 4 and not full.is_contiguous()  # index_select forgets it
        return part.clone(memory_format=torch.channels_last if channels_last else torch.preserve_format)

    def put(self, full: Tensor, part: Tensor | float | bool) -> None:
        """Write a compact part back to its place in the full tensor."""
        with torch.no_grad():
            rows = slice(None) if self.rows is None else self.rows
            if full.dim() < 2 or self.cols is None:
                full[rows if full.dim() else ...] = part
            elif isinstance(rows, slice):
                full[:, self.cols] = part
            else:
                full[rows[:, None], self.cols] = part


class Join(nn.Module):
    """The sum of two values (N, channels, …) whose channels sit at `a` and `b` among `total` channels.

    index_add measured fastest of five ways to add (gathers and a 0/1 convolution took 1.1 to 7 times as long).
    """

    narrow: Tensor
    wide: Tensor

    def __init__(self, a: Tensor, b: Tensor, total: int) -> None:
        super().__init__()
        self.total = total
        self.swap = len(a) == total  # the wider branch is copied, the narrower one added to it
        for name, index in zip(("narrow", "wide"), (b, a) if self.swap else (a, b), strict=True):
            self.register_buffer(name, index)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        narrow, wide = (b, a) if self.swap else (a, b)
        if len(self.wide) == self.total:
            return wide.index_add(1, self.narrow, narrow)
        both = wide.new_zeros(wide.shape[0], self.total, *wide.shape[2:])
        return both.index_add_(1, self.wide, wide).index_add_(1, self.narrow, narrow)


class Align(nn.Module):
    """The channels `to`, bool (full,), of a value with the channels `x`: some are left out, constants filled in."""

    source: Tensor
    place: Tensor
    constant: Tensor

    def __init__(self, x: ChannelState, to: Tensor) -> None:
        super().__init__()
        self.axis, self.held = x.axis, int(x.kept.sum())
        self.register_buffer("source", to[x.kept].nonzero()[:, 0], persistent=False)
        self.register_buffer("place", x.kept[to].nonzero()[:, 0], persistent=False)
        self.register_buffer("constant", x.constant[to], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        axis, total = self.axis % x.dim(), len(self.constant)
        blocks = x.unflatten(axis, (self.held, -1)).index_select(axis, self.source)
        if len(self.place) < total:
            filled = self.constant.to(x.dtype).view(total, *(1,) * (blocks.dim() - axis - 1))
            filled = filled.expand(*blocks.shape[:axis], total, *blocks.shape[axis + 1 :])
            blocks = filled.index_copy(axis, self.place, blocks)
        return blocks.flatten(axis, axis + 1)


class KeptDropout(nn.Module):
    """Dropout that draws for all channels of the full network and uses the kept ones: same random numbers."""

    kept: Tensor

    def __init__(self, p: float, channels: ChannelState) -> None:
        super().__init__()
        self.p, self.axis, self.full = p, channels.axis, len(channels.kept)
        self.register_buffer("kept", channels.kept.nonzero()[:, 0], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        axis = self.axis % x.dim()
        block = x.shape[axis] // len(self.kept)
        ones = x.new_ones(*x.shape[:axis], self.full * block, *x.shape[axis + 1 :])
        drawn = nn.functional.dropout(ones, self.p).unflatten(axis, (self.full, block))
        return x * drawn.index_select(axis, self.kept).flatten(axis, axis + 1)


def resized(layer: nn.Module, part: dict[str, Tensor]) -> nn.Module:
    """A layer like `layer` that holds exactly the tensors `part` (its state by name)."""
    size = list(part["weight" if "weight" in part else "running_mean"].shape)
    small: nn.Module
    if isinstance(layer, nn.Linear):
        small = nn.Linear(size[1], size[0], bias="bias" in part, device="meta")
    elif isinstance(layer, nn.Conv2d):
        groups = 1 if layer.groups == 1 else size[0] * layer.groups // layer.out_channels
        small = nn.Conv2d(
            size[1] * groups, size[0], layer.kernel_size, layer.stride,  # type: ignore[arg-type]
            layer.padding, layer.dilation, groups, "bias" in part, layer.padding_mode, "meta",  # type: ignore[arg-type]
        )  # fmt: skip
    else:
        assert isinstance(layer, NORMS)
        stats = layer.track_running_stats
        small = type(layer)(size[0], layer.eps, layer.momentum, layer.affine, stats, "meta")
    small.load_state_dict(part, assign=True)
    for name, parameter in layer.named_parameters():
        getattr(small, name).requires_grad_(parameter.requires_grad)
    return small
