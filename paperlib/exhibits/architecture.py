"""A network drawn from its own modules: what is computed, in which order and on which shapes."""

from dataclasses import dataclass, replace
from math import log2

import torch
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, Rectangle
from torch import nn
from torch.fx.passes.shape_prop import ShapeProp

from paperlib.exhibits.style import COLOURS
from paperlib.models.graph import trace

KINDS = {nn.Conv2d: "convolution", nn.Linear: "linear", nn.MaxPool2d: "pooling", nn.AdaptiveAvgPool2d: "pooling"}
FILL = {"convolution": COLOURS["pre-training"], "linear": COLOURS["set"], "pooling": COLOURS["random"]}


@dataclass(frozen=True)
class Block:
    """One drawn operation. shape: (channels, height, width) or (features,) that come out; depth: place in the chain;
    shortcut: a convolution beside the chain; joins: depth of the block whose output is added after this one."""

    name: str
    kind: str
    shape: tuple[int, ...]
    depth: int
    shortcut: bool = False
    joins: int | None = None


def blocks(model: nn.Module, shape: tuple[int, int, int]) -> list[Block]:
    """Convolutions, poolings, linear layers and residual sums of `model` for (height, width, channels) images.

    Read from the traced graph, whose shapes come from a pass without memory (device `meta`).
    """
    height, width, channels = shape
    traced = trace(model.to("meta"))
    ShapeProp(traced).propagate(torch.empty(1, channels, height, width, device="meta"))
    modules = dict(traced.named_modules())
    drawn: list[Block] = []
    last: dict[torch.fx.Node, int] = {}  # node -> depth of the drawn block that it continues
    for node in traced.graph.nodes:
        before = [last[a] for a in node.args if isinstance(a, torch.fx.Node) and a in last]
        last[node] = max(before, default=-1)
        kind = KINDS.get(type(modules[node.target])) if node.op == "call_module" else None
        out = tuple(node.meta["tensor_meta"].shape[1:]) if "tensor_meta" in node.meta else ()
        if kind:
            shortcut = "downsample" in str(node.target)
            depth = last[node] + (0 if shortcut else 1)
            drawn.append(Block(str(node.target), kind, out, depth, shortcut))
            last[node] = depth
        elif len(before) == 2 and drawn:  # a residual sum
            end = max(i for i, b in enumerate(drawn) if b.depth == last[node] and not b.shortcut)
            drawn[end] = replace(drawn[end], joins=min(before))
    return drawn


def draw(axes: Axes, model: nn.Module, shape: tuple[int, int, int]) -> None:
    """Boxes from left to right: height is the side of the feature map, width its channels (both on log scales)."""
    drawn = blocks(model, shape)
    x, right, labelled = 0.0, {-1: 0.0}, ""
    for block in drawn:
        if block.shortcut:
            continue
        side = block.shape[1] if len(block.shape) == 3 else 1
        width, height = 0.12 * (1 + log2(block.shape[0])) / 2, 0.5 + log2(side)
        axes.add_patch(Rectangle((x, -height / 2), width, height, facecolor=FILL[block.kind], edgecolor="white"))
        label = "×".join(map(str, block.shape[:2]))
        if label != labelled:
            axes.text(x + width / 2, height / 2 + 0.15, label, rotation=90, ha="center", va="bottom", fontsize=7)
        labelled = label
        if block.joins is not None:
            projected = any(b.shortcut and b.depth == block.joins for b in drawn)
            arc = FancyArrowPatch(
                (right[block.joins], -height / 2), (x + width, -height / 2), arrowstyle="-|>", mutation_scale=6,
                connectionstyle="arc3,rad=0.45", linestyle="-" if projected else ":", color=COLOURS["dense"],
            )  # fmt: skip
            axes.add_patch(arc)
        x += width + 0.12
        right[block.depth] = x - 0.06
    top = 0.5 + log2(max(shape[:2]))
    axes.set_xlim(-0.2, x + 0.1)
    axes.set_ylim(-top / 2 - 1.6, top / 2 + 2.2)
    axes.axis("off")
