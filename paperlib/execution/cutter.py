"""The walk along a network's traced graph that cuts it.

Every value carries which of its channels still exist, and the constants that the others amount to; each layer keeps
only the rows that its mask keeps and the columns that still arrive. A residual sum keeps the union of the channels of
its branches, a product those that neither factor makes zero. What has no rule here gets its input filled up to all
channels, constants included: that saves nothing there, and is exact whatever follows.
"""

import operator
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx, nn

from paperlib.core.errors import PaperlibError
from paperlib.execution.channels import Align, ChannelState, Join, KeptDropout, ParameterSlice, resized
from paperlib.models.graph import ARITHMETIC, ELEMENTWISE, NORMS, POOLS, PRODUCTS, SUMS, operation


class Cutter:
    """`run` gives the cut network of a traced one; `slices` then says which part of each layer it kept."""

    def __init__(self, traced: fx.GraphModule, masks: dict[str, Tensor], training: bool) -> None:
        self.traced, self.graph, self.masks, self.training = traced, traced.graph, masks, training
        self.modules = dict(traced.named_modules())
        self.uses = Counter(node.target for node in self.graph.nodes if node.op == "call_module")
        self.new: dict[str, nn.Module] = {}
        self.slices: dict[str, ParameterSlice] = {}
        self.channels: dict[fx.Node, ChannelState | None] = {}  # None: unknown, and all of them are there
        self.outputs_read = self._outputs_read()

    def run(self) -> fx.GraphModule:
        for node in list(self.graph.nodes):
            self.channels[node] = self._follow(node)
        return fx.GraphModule(self.new, self.graph)

    def _outputs_read(self) -> dict[str, Tensor]:
        """Per linear layer that feeds another one: which outputs, bool (out_features,), the other one reads."""
        outputs_read: dict[str, Tensor] = {}
        for node in reversed(self.graph.nodes):
            layer, reader = self._module(node), node
            while isinstance(layer, nn.Linear) and len(reader.users) == 1:
                reader = next(iter(reader.users))
                if operation(reader, self.modules) not in ELEMENTWISE | {"dropout"} or len(reader.all_input_nodes) > 1:
                    break
            after = self._module(reader)
            if reader is node or not isinstance(after, nn.Linear) or self.uses[node.target] > 1:
                continue
            mask = self.masks.get(reader.target, torch.ones_like(after.weight, dtype=torch.bool))
            if reader.target in outputs_read:
                mask = mask & outputs_read[reader.target][:, None]
            columns = outputs_read[node.target] = mask.any(0)
            columns[0] |= not columns.any()
        return outputs_read

    def _module(self, node: fx.Node) -> nn.Module | None:
        return self.modules[str(node.target)] if node.op == "call_module" else None

    def _follow(self, node: fx.Node) -> ChannelState | None:
        """Puts the operation of `node` into the cut network: what is left of its channels."""
        name, layer = str(node.target), self._module(node)
        if layer is not None and self.uses[name] == 1 and node.args:
            if isinstance(layer, nn.Conv2d) and layer.groups in {1, layer.in_channels}:
                return (self._convolution if layer.groups == 1 else self._depthwise)(node, name, layer)
            if isinstance(layer, nn.Linear):
                return self._linear(node, name, layer)
            if isinstance(layer, NORMS) and (layer.affine or layer.track_running_stats):
                return self._norm(node, name, layer)
        if node.op in {"get_attr", "call_module"}:
            self.new[name] = deepcopy(operator.attrgetter(name)(self.traced))
        return self._operation(node, layer)

    def _operation(self, node: fx.Node, layer: nn.Module | None) -> ChannelState | None:
        """What is left after an operation without parameters; all channels where it has no rule."""
        kind = operation(node, self.modules)
        if kind == "dropout" and layer is None and _argument(node, 2, "training", True):
            raise PaperlibError(
                f"compact cannot follow {node.name!r}: functional dropout, traced in training mode, would stay on in "
                "evaluation; use nn.Dropout or masked execution"
            )
        if _is_batch_size(node) or (_is_shape(node) and all(map(_is_batch_size, node.users))):
            return None
        values = [value for value in node.all_input_nodes if not _is_batch_size(value)]
        states = [x for x in map(self.channels.get, values) if x is not None]
        followed = None
        if len(states) == len(values) > 0:
            one = len(states) == 1
            followed = self._one(node, kind, states[0], layer) if one else self._several(node, kind, states)
        if followed is None:
            for value in values:
                if (x := self.channels[value]) is not None:
                    self._align(node, x, torch.ones_like(x.kept), value)
        return followed

    def _align(self, node: fx.Node, x: ChannelState, kept: Tensor, value: fx.Node | None = None) -> ChannelState:
        """Lets `node` read other channels of its input (or of `value`), whose channels are `x`."""
        if torch.equal(kept, x.kept):
            return x
        value = value or node.all_input_nodes[0]
        name = f"align_{node.name}_{value.name}"
        self.new[name] = Align(x, kept)
        with self.graph.inserting_before(node):
            node.replace_input_with(value, self.graph.create_node("call_module", name, (value,)))
        return x.keeping(kept)

    def _one(self, node: fx.Node, kind: str, x: ChannelState, layer: nn.Module | None) -> ChannelState | None:
        """An operation on one value; None where it has no rule."""
        if kind in ELEMENTWISE | ARITHMETIC and len(node.all_input_nodes) == 1:
            return x.mapped(lambda constant: _evaluate(node, layer, constant))
        if kind == "stochasticdepth" or (kind in POOLS and x.rank == 4 and not _returns_indices(node, kind, layer)):
            mixes_in_zeros = kind in {"stochasticdepth", "avgpool2d"}
            return self._align(node, x, x.needed if mixes_in_zeros else x.kept)
        if kind != "dropout":
            return _reshaped(node, kind, x, layer)
        if self.training:
            x = self._align(node, x, x.needed)
            if not x.kept.all() and layer is not None:
                node.target = f"{node.name}_kept"
                self.new[node.target] = KeptDropout(layer.p, x)  # type: ignore[arg-type]
        return x

    def _several(self, node: fx.Node, kind: str, states: list[ChannelState]) -> ChannelState | None:
        """A sum, product or concatenation; None where it has no rule."""
        first = states[0]
        if kind in {"cat", "concat", "concatenate"}:
            axis, values = _argument(node, 1, "dim", 0), _argument(node, 0, "tensors", ())
            alike = all((x.axis, x.rank, x.flattened) == (1, first.rank, False) for x in states)
            if not alike or first.rank is None or axis % first.rank != 1 or len(values) != len(states):
                return None
            return replace(
                first, kept=torch.cat([x.kept for x in states]), constant=torch.cat([x.constant for x in states])
            )
        if kind not in SUMS | PRODUCTS or node.kwargs or not first.is_like(states[1]):
            return None
        a, b, values = *states, list(node.all_input_nodes)
        if kind in SUMS:
            kept, constant = a.kept | b.kept, a.constant + b.constant
            if not (a.constant[kept].any() or b.constant[kept].any() or first.axis != 1 or first.flattened):
                if not (torch.equal(a.kept, kept) and torch.equal(b.kept, kept)):
                    places = [x.kept[kept].nonzero()[:, 0] for x in states]
                    node.op, node.target = "call_module", f"join_{node.name}"
                    self.new[node.target] = Join(places[0], places[1], int(kept.sum()))
                return replace(a, constant=constant).keeping(kept)
        else:
            kept, constant = a.needed & b.needed & (a.kept | b.kept), a.constant * b.constant
            kept[0] |= not kept.any()
        for value, x in zip(values, states, strict=True):
            self._align(node, x, kept, value)
        return replace(a, constant=constant).keeping(kept)

    def _arriving(self, node: fx.Node, features: int, like: Tensor, axis: int, rank: int | None) -> ChannelState:
        """One channel for each input feature of a layer that reads them on `axis`; filled up where they do not fit."""
        x = self.channels.get(node.args[0])  # type: ignore[arg-type]
        if x is not None:
            fits = x.rank == 4 if rank == 4 else x.rank == 2 or (x.axis == axis == -1)
            if fits and (len(x.kept) == features or (x.flattened and features % len(x.kept) == 0)):
                return x.spread(features)
            self._align(node, x, torch.ones_like(x.kept))
        return ChannelState.whole(features, like, axis, rank)

    def _install(self, name: str, layer: nn.Module, part: ParameterSlice, bias: Tensor | None = None) -> None:
        """The part of a layer in its place; `bias` (full length) replaces the layer's own."""
        tensors = layer.state_dict(keep_vars=True) | ({} if bias is None else {"bias": bias})
        self.new[name] = resized(layer, {key: part.take(tensor) for key, tensor in tensors.items()})
        self.slices[name] = part

    def _mask(self, name: str, weight: Tensor) -> Tensor:
        full = torch.ones(len(weight), dtype=torch.bool, device=weight.device)
        return self.masks.get(name, full)

    def _convolution(self, node: fx.Node, name: str, layer: nn.Conv2d) -> ChannelState:
        weight, mask, bias = layer.weight.detach(), self._mask(name, layer.weight), None
        x = self._arriving(node, layer.in_channels, weight, 1, 4)
        if self.training or _pads_zeros(layer):
            x = self._align(node, x, x.needed)
        if x.constant.any():
            bias = weight.sum((2, 3)) @ x.constant + (0 if layer.bias is None else layer.bias.detach())
        self._install(name, layer, ParameterSlice(_index(mask), _index(x.kept)), bias)
        return ChannelState(mask, weight.new_zeros(len(mask)))

    def _depthwise(self, node: fx.Node, name: str, layer: nn.Conv2d) -> ChannelState:
        weight, each = layer.weight.detach(), layer.out_channels // layer.groups
        x = self._arriving(node, layer.in_channels, weight, 1, 4)
        kept = self._mask(name, weight).view(-1, each).any(1)
        if not self.training:
            kept &= x.needed if _pads_zeros(layer) else x.kept
        kept[0] |= not kept.any()
        x = self._align(node, x, kept)
        rows = kept.repeat_interleave(each)
        constant = weight.sum((1, 2, 3)) * x.constant.repeat_interleave(each)
        constant += 0 if layer.bias is None else layer.bias.detach()
        self._install(name, layer, ParameterSlice(_index(rows)))
        return ChannelState(rows, constant.masked_fill(rows, 0))

    def _norm(self, node: fx.Node, name: str, layer: nn.BatchNorm1d | nn.BatchNorm2d) -> ChannelState:
        tensors = layer.state_dict()
        like, source = next(iter(tensors.values())), node.all_input_nodes[0]
        x = self._arriving(node, layer.num_features, like, 1, 4 if isinstance(layer, nn.BatchNorm2d) else None)
        if self.training:  # shifts train on, but for those that go with the filters of a convolution
            alone = layer.affine and len(source.users) == 1 and isinstance(self._module(source), nn.Conv2d)
            mask = self.masks.get(str(source.target)) if alone else None
            x = self._align(node, x, torch.ones_like(x.kept) if mask is None else x.kept | mask)
        mean, scale = tensors.get("running_mean", x.constant), tensors.get("running_var", 1 - layer.eps)
        constant = (x.constant - mean) / (scale + layer.eps) ** 0.5
        constant = constant * tensors.get("weight", 1) + tensors.get("bias", 0)
        self._install(name, layer, ParameterSlice(_index(x.kept)))
        return replace(x, constant=constant.masked_fill(x.kept, 0))

    def _linear(self, node: fx.Node, name: str, layer: nn.Linear) -> ChannelState:
        weight, bias = layer.weight.detach(), None if layer.bias is None else layer.bias.detach()
        x = self._arriving(node, layer.in_features, weight, -1, None)
        mask = self.masks.get(name, torch.ones((), dtype=torch.bool)).expand_as(weight)
        if self.training:
            x = self._align(node, x, x.needed)
        if x.constant.any():
            from_constants = (weight * mask) @ x.constant
            bias = from_constants if bias is None else from_constants + bias
        keep = read = self.outputs_read.get(name, self._mask("", weight))
        if name in self.outputs_read and not self.training:
            keep = read & mask[:, x.kept].any(1)
            keep[read.nonzero()[0]] |= not keep.any()
        self._install(name, layer, ParameterSlice(_index(keep), _index(x.kept)), bias)
        if name in self.masks:
            self.new[name].weight.data.mul_(self.slices[name].take(mask))  # type: ignore[operator]
        constant = weight.new_zeros(len(weight)) if bias is None else bias * (read & ~keep)
        return ChannelState(keep, constant, 1 if x.rank == 2 else -1, x.rank)


def _index(kept: Tensor) -> Tensor | None:
    return None if kept.all() else kept.nonzero()[:, 0]


def _argument(node: fx.Node, position: int, name: str, default: object) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def _evaluate(node: fx.Node, layer: nn.Module | None, constant: Tensor) -> Tensor:
    """An elementwise operation on the constants that stand for its only input."""
    if layer is not None:
        return layer(constant)
    args, kwargs = fx.node.map_arg(node.args, lambda _: constant), fx.node.map_arg(node.kwargs, lambda _: constant)
    function: Any = getattr(Tensor, str(node.target)) if node.op == "call_method" else node.target
    return function(*args, **kwargs)


def _returns_indices(node: fx.Node, kind: str, layer: nn.Module | None) -> bool:
    flag = _argument(node, 6 if kind == "maxpool2d" else 2, "return_indices", False)
    return "max" in kind and bool(getattr(layer, "return_indices", flag))


def _reshaped(node: fx.Node, kind: str, x: ChannelState, layer: nn.Module | None) -> ChannelState | None:
    """Features in place of maps, by flattening or by their mean; None for other operations."""
    if x.axis != 1 or x.rank is None:
        return None
    if kind == "mean" and (axes := _argument(node, 1, "dim", None)):
        axes = {axis % x.rank for axis in (axes if isinstance(axes, tuple | list) else [axes])}
        rank = x.rank if _argument(node, 2, "keepdim", False) else x.rank - len(axes)
        return replace(x, rank=rank) if min(axes) > 1 else None
    flat: object = False
    if kind == "flatten":
        start, end = (layer.start_dim, layer.end_dim) if isinstance(layer, nn.Flatten) else (0, -1)
        start, end = _argument(node, 1, "start_dim", start), _argument(node, 2, "end_dim", end)
        flat = start % x.rank == 1 and end % x.rank == x.rank - 1
    elif kind in {"view", "reshape"}:
        size = node.args[1] if len(node.args) == 2 else node.args[1:]
        flat = isinstance(size, tuple | list) and len(size) == 2 and _is_batch_size(size[0]) and size[1] == -1
    return replace(x, rank=2, flattened=x.flattened or x.rank > 2) if flat else None


def _pads_zeros(layer: nn.Conv2d) -> bool:
    padding = (layer.padding,) if isinstance(layer.padding, str) else layer.padding
    return layer.padding_mode == "zeros" and any(p not in {0, "valid"} for p in padding)


def _is_shape(node: fx.Node) -> bool:
    return (node.target == "size" and len(node.args) == 1) or (node.target is getattr and node.args[1] == "shape")


def _is_batch_size(node: object) -> bool:
    """Whether a node is `x.size(0)` or `x.shape[0]`."""
    if not isinstance(node, fx.Node):
        return False
    whole = node.target is operator.getitem and node.args[1] == 0 and _is_shape(node.args[0])  # type: ignore[arg-type]
    return whole or (node.target == "size" and node.args[1:] == (0,))
