"""Roofline of the sparse kernel on this machine, one thread: what its arithmetic and its caches would allow.

`python benchmarks/roofline.py [FILE]`, about a minute on a machine that does nothing else. It prints the measured
ceilings and what dense and sparse products of P's 1000 × 4000 layer reach, and draws them into FILE if given.
"""

import sys
from collections.abc import Callable
from timeit import repeat

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn

from paperlib.execution.sparse import SparseLinear
from paperlib.meters.cpu_power import cpu_name

SHAPE = (1000, 4000)
STREAMED = {"memory": 256 * 2**20, "third-level cache": 8 * 2**20}  # bytes


def seconds(run: Callable[[], object]) -> float:
    run()
    return min(repeat(run, number=1, repeat=40))


def peak() -> float:
    """FLOP/s of torch's matrix product, in arithmetic alone: all of it is reused."""
    a, b = torch.randn(1024, 1024), torch.randn(1024, 1024)
    return 2 * 1024**3 / seconds(lambda: a @ b)


def bandwidth(size: int) -> float:
    """Bytes a second that adding up an array of so many bytes reads."""
    array = torch.ones(size // 4)
    return size / seconds(array.sum)


def kernel_peak() -> float:
    """FLOP/s of the kernel where all weights are there and everything stays in the first-level cache."""
    layer, x = SparseLinear(nn.Linear(96, 2000)), torch.randn(96, 64).T
    return 2 * 64 * 96 * 2000 / seconds(lambda: layer(x))


@torch.inference_mode()
def reached(batch: int, sparsity: float) -> tuple[float, float]:
    """FLOP per byte of weights (with offsets where sparse), and FLOP/s of multiplications that are done."""
    layer, x = nn.Linear(SHAPE[1], SHAPE[0]), torch.randn(SHAPE[1], batch).T
    if sparsity:
        layer.weight.data[torch.rand(SHAPE) < sparsity] = 0
    flop = 2 * batch * int((layer.weight != 0).sum())
    network: nn.Module = SparseLinear(layer, batch) if sparsity else layer
    if not sparsity:
        x = x.contiguous()
    return 2 * batch / (6 if sparsity else 4), flop / seconds(lambda: network(x))


def main() -> None:
    torch.set_num_threads(1)
    flops, kernel = peak(), kernel_peak()
    speeds = {name: bandwidth(size) for name, size in STREAMED.items()}
    print(f"peak {flops / 1e9:.0f} GFLOP/s, kernel in the first-level cache {kernel / 1e9:.0f} GFLOP/s")
    print(", ".join(f"{name} {speed / 1e9:.0f} GB/s" for name, speed in speeds.items()))
    axes = plt.figure(figsize=(7, 4), layout="constrained").gca()
    x = np.geomspace(0.1, 100, 200)
    for (name, speed), style in zip(speeds.items(), ("--", "-"), strict=True):
        axes.plot(x, np.minimum(x * speed, flops) / 1e9, f"k{style}", lw=1, label=f"{name}, {speed / 1e9:.0f} GB/s")
    axes.axhline(kernel / 1e9, color="tab:blue", lw=1, ls=":", label="kernel, all in the first-level cache")
    for batch, marker in ((1, "o"), (64, "s")):
        for sparsity, colour in (
            (0.0, "tab:gray"),
            (0.5, "tab:green"),
            (0.8, "tab:blue"),
            (0.9, "tab:orange"),
            (0.95, "tab:red"),
        ):
            intensity, speed = reached(batch, sparsity)
            what = f"{sparsity:.0%} removed" if sparsity else "dense"
            print(f"batch {batch} {what}: {intensity:.2f} FLOP a byte, {speed / 1e9:.1f} GFLOP/s")
            axes.plot(intensity, speed / 1e9, marker, color=colour, label=what if batch == 64 else None)
    axes.set(xscale="log", yscale="log", xlabel="FLOP per byte of weights", ylabel="GFLOP/s of kept weights")
    axes.set_title(f"1000 × 4000, batch 1 (circles) and 64 (squares), one thread\n{cpu_name()}", fontsize=10)
    axes.legend(fontsize=8)
    if len(sys.argv) > 1:
        plt.savefig(sys.argv[1], dpi=110)


if __name__ == "__main__":
    main()
