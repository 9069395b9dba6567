"""Cutting removed filters and dead neurons out of a network, so that pruned work disappears.

The network is walked along its traced graph. Every value carries which of its channels still exist; each
layer keeps only the rows that its mask keeps and the columns that still arrive. A residual sum keeps the
union of the channels of its two branches: what neither branch computes is zero in both.
"""

import operator
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from paperlib.core.errors import PaperlibError
from paperlib.models.graph import NORMS, trace

ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.GELU, nn.SiLU, nn.Tanh)  # each maps 0 to 0
PASSING = (nn.Dropout, nn.Identity, nn.Flatten, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@dataclass(frozen=True)
class ChannelState:
    """Channels of a value: int64 indices still there, how many the full network has, values (full,) of the rest."""

    kept: Tensor
    full: int
    constant: Tensor


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


class KeptDropout(nn.Module):
    """Dropout that draws for all channels of the full network and uses the kept ones: same random numbers."""

    kept: Tensor

    def __init__(self, p: float, channels: ChannelState) -> None:
        super().__init__()
        self.p, self.full = p, channels.full
        self.register_buffer("kept", channels.kept, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.p:
            return x
        block = x.shape[1] // len(self.kept)
        drawn = nn.functional.dropout(x.new_ones(x.shape[0], self.full * block, *x.shape[2:]), self.p)
        return x * drawn.unflatten(1, (self.full, block))[:, self.kept].flatten(1, 2)


def check_masks(model: nn.Module, masks: dict[str, Tensor]) -> None:
    """PaperlibError for a mask of no known layer, of the wrong shape, or that removes a whole layer.

    masks: layer name -> bool, True = kept; (out, in) for linear layers, (out_channels,) for convolutions.
    """
    modules = dict(model.named_modules())
    for name, mask in masks.items():
        layer = modules.get(name)
        if not isinstance(layer, nn.Conv2d | nn.Linear):
            raise PaperlibError(f"mask for {name!r}: no convolution or linear layer of the model has this name")
        shape = layer.weight.shape if isinstance(layer, nn.Linear) else layer.weight.shape[:1]
        if mask.shape != shape:
            raise PaperlibError(f"mask of layer {name!r} has shape {tuple(mask.shape)}, not {tuple(shape)}")
        if not mask.any():
            raise PaperlibError(f"the mask of layer {name!r} removes the whole layer: keep at least one unit")


def to_compact(model: nn.Module, masks: dict[str, Tensor], training: bool = False) -> fx.GraphModule:
    """A smaller network with the same outputs (N, classes), to rounding; it shares no tensor with `model`.

    masks: as in `check_masks`; `model` must have them applied. Dtypes, devices and train/eval mode stay.
    For inference (default) neurons without inputs become constants in the next layer's bias. With
    `training`, whatever still receives a gradient stays, and dropout draws the full network's numbers, so
    that both networks train alike. Raises PaperlibError for bad masks and layers that it cannot follow.
    """
    return cut_out(model, masks, training)[0]


def cut_out(
    model: nn.Module, masks: dict[str, Tensor], training: bool
) -> tuple[fx.GraphModule, dict[str, ParameterSlice]]:
    """As `compact`, with the slice of each layer that holds parameters (same names in both networks)."""
    check_masks(model, masks)
    cutter = _Cutter(trace(model), masks, training)
    small = cutter.run()
    return small.train(model.training), cutter.slices


class _Cutter:
    def __init__(self, traced: fx.GraphModule, masks: dict[str, Tensor], training: bool) -> None:
        self.graph, self.masks, self.training = traced.graph, masks, training
        self.modules = dict(traced.named_modules())
        self.new: dict[str, nn.Module] = {}
        self.slices: dict[str, ParameterSlice] = {}
        self.channels: dict[fx.Node, ChannelState | None] = {}  # None: all channels are there
        self.outputs_read = self._outputs_read()

    def run(self) -> fx.GraphModule:
        for node in list(self.graph.nodes):
            arriving = [self.channels.get(a) for a in node.args if isinstance(a, fx.Node)]
            if node.op == "call_module":
                self.channels[node] = self._module(node, arriving[0])
            elif node.target in {operator.add, operator.iadd, torch.add} and any(arriving):
                self.channels[node] = self._sum(node)
            elif any(arriving) and node.op != "output" and node.target is not torch.flatten:
                raise self._unknown(str(node.target))
            else:
                self.channels[node] = arriving[0] if arriving else None
        return fx.GraphModule(self.new, self.graph)

    def _unknown(self, what: str) -> PaperlibError:
        return PaperlibError(f"compact cannot follow {what!r} after a pruned layer: use masked execution")

    def _outputs_read(self) -> dict[str, Tensor]:
        """Per linear layer that feeds another one: which outputs, bool (out_features,), the other one reads."""
        outputs_read: dict[str, Tensor] = {}
        for node in reversed(self.graph.nodes):
            layer = self.modules[node.target] if node.op == "call_module" else None
            if not isinstance(layer, nn.Linear):
                continue
            reader = node
            while len(reader.users) == 1:
                reader = next(iter(reader.users))
                after = self.modules[reader.target] if reader.op == "call_module" else None
                if not isinstance(after, (*ELEMENTWISE, nn.Dropout, nn.Identity)):
                    break
            if len(reader.users) != 1 or reader.op != "call_module" or not isinstance(after, nn.Linear):
                continue
            mask = self.masks.get(reader.target, torch.ones_like(after.weight, dtype=torch.bool))
            if reader.target in outputs_read:
                mask = mask & outputs_read[reader.target][:, None]
            columns = outputs_read[node.target] = mask.any(0)
            columns[0] |= not columns.any()
        return outputs_read

    def _module(self, node: fx.Node, arriving: ChannelState | None) -> ChannelState | None:
        name, layer = str(node.target), self.modules[str(node.target)]
        if isinstance(layer, nn.Conv2d):
            return self._convolution(name, layer, arriving)
        if isinstance(layer, nn.Linear):
            return self._linear(name, layer, arriving)
        if isinstance(layer, NORMS):
            self._install(name, layer, ParameterSlice(rows=arriving.kept if arriving else None))
            return arriving
        if arriving and isinstance(layer, ELEMENTWISE):
            self.new[name] = deepcopy(layer)
            return ChannelState(arriving.kept, arriving.full, layer(arriving.constant.clone()))
        if arriving and not isinstance(layer, PASSING):
            raise self._unknown(type(layer).__name__)
        if arriving and self.training and isinstance(layer, nn.Dropout):
            node.target = f"{name.replace('.', '_')}_{node.name}_kept"
            self.new[node.target] = KeptDropout(layer.p, arriving)
        else:
            self.new[name] = deepcopy(layer)
        return arriving

    def _install(self, name: str, layer: nn.Module, part: ParameterSlice, bias: Tensor | None = None) -> None:
        """The part of a layer in its place; `bias` (full length) replaces the layer's own."""
        if name in self.slices:
            raise PaperlibError(f"compact cannot cut layer {name!r}, which the model uses twice")
        tensors = layer.state_dict(keep_vars=True) | ({} if bias is None else {"bias": bias})
        self.new[name] = _resized(layer, {key: part.take(tensor) for key, tensor in tensors.items()})
        self.slices[name] = part

    def _convolution(self, name: str, layer: nn.Conv2d, arriving: ChannelState | None) -> ChannelState | None:
        mask = self.masks.get(name)
        if layer.groups != 1 and (arriving or mask is not None):
            raise self._unknown(f"{name} (a grouped convolution)")
        rows = None if mask is None or mask.all() else mask.nonzero()[:, 0]
        self._install(name, layer, ParameterSlice(rows, arriving.kept if arriving else None))
        full = layer.out_channels
        return None if rows is None else ChannelState(rows, full, layer.weight.new_zeros(full))

    def _linear(self, name: str, layer: nn.Linear, arriving: ChannelState | None) -> ChannelState | None:
        weight, cols = layer.weight.detach(), None
        bias = None if layer.bias is None else layer.bias.detach()
        mask = self.masks.get(name, torch.ones((), dtype=torch.bool)).expand_as(weight)
        if arriving:
            block = weight.shape[1] // arriving.full  # a flattened channel is a block of features
            cols = (arriving.kept[:, None] * block + torch.arange(block, device=weight.device)).flatten()
            if arriving.constant.any():
                from_constants = (weight * mask) @ arriving.constant.repeat_interleave(block)
                bias = from_constants if bias is None else from_constants + bias
        keep = read = self.outputs_read.get(name, torch.ones(len(weight), dtype=torch.bool, device=weight.device))
        if name in self.outputs_read and not self.training:
            keep = read & (mask if cols is None else mask[:, cols]).any(1)
            keep[read.nonzero()[0]] |= not keep.any()
        rows = None if keep.all() else keep.nonzero()[:, 0]
        self._install(name, layer, ParameterSlice(rows, cols), bias)
        if name in self.masks:
            self.new[name].weight.data.mul_(self.slices[name].take(mask))  # type: ignore[operator]
        if rows is None:
            return None
        constant = weight.new_zeros(len(weight)) if bias is None else bias * (read & ~keep)
        return ChannelState(rows, len(weight), constant)

    def _sum(self, node: fx.Node) -> ChannelState | None:
        """Replaces a sum of differently cut branches by a Join of their union."""
        left, right = (self.channels.get(a) for a in node.args[:2])  # type: ignore[arg-type]
        either = left or right
        assert either is not None
        if not isinstance(node.args[1], fx.Node) or any(c is not None and c.constant.any() for c in (left, right)):
            raise self._unknown("a sum of constants")
        everything = torch.arange(either.full, device=either.kept.device)
        branches = [channels.kept if channels else everything for channels in (left, right)]
        union = torch.cat(branches).unique()
        if not all(len(kept) == len(union) for kept in branches):
            name = f"join_{node.name}"
            a, b = (torch.searchsorted(union, kept) for kept in branches)
            self.new[name] = Join(a, b, len(union))
            node.op, node.target = "call_module", name
        return None if len(union) == either.full else ChannelState(union, either.full, either.constant)


def _resized(layer: nn.Module, part: dict[str, Tensor]) -> nn.Module:
    """A layer like `layer` that holds exactly the tensors `part` (its state by name)."""
    size = list(part["weight" if "weight" in part else "running_mean"].shape)
    small: nn.Module
    if isinstance(layer, nn.Linear):
        small = nn.Linear(size[1], size[0], bias="bias" in part, device="meta")
    elif isinstance(layer, nn.Conv2d):
        small = nn.Conv2d(
            size[1] * layer.groups, size[0], layer.kernel_size, layer.stride,  # type: ignore[arg-type]
            layer.padding, layer.dilation, layer.groups, "bias" in part, layer.padding_mode, "meta",  # type: ignore[arg-type]
        )  # fmt: skip
    else:
        assert isinstance(layer, NORMS)
        stats = layer.track_running_stats
        small = type(layer)(size[0], layer.eps, layer.momentum, layer.affine, stats, "meta")
    small.load_state_dict(part, assign=True)
    for name, parameter in layer.named_parameters():
        getattr(small, name).requires_grad_(parameter.requires_grad)
    return small


def is_worth_compacting(small: nn.Module, model: nn.Module) -> bool:
    """Whether the compact network `small` holds at most 90 % of `model`'s weights of convolutions and linear layers.

    Above that, cutting and joining cost as much as they save (single weights of linear layers hardly ever
    free a whole neuron).
    """

    def weights(network: nn.Module) -> int:
        return sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear))

    return weights(small) <= 0.9 * weights(model)
