"""Sparse matrix times dense matrix and its gradient, with the batch in vector registers, compiled by LLVM.

The activations lie as (features, batch). For each row of a tile, the batch's columns stay in registers while the
row's weights stream through: one broadcast and one fused multiply-add per register and weight, its operand from the
first-level cache, where the tile's activations stay. No C compiler is needed; one source, in LLVM's own vectors of
any length, serves every CPU. Where llvmlite is not installed torch's CSR product takes over (`sparse.py`).
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from importlib.util import find_spec
from itertools import pairwise

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from paperlib.execution.sparse_code import CHUNK, source
from paperlib.execution.sparse_tiles import Tiles

WIDTHS = (64, 32, 16, 8, 4, 1)
"""Columns of the batch that are computed at once; a batch is cut into these."""
ELEMENTS = {torch.float32: "float", torch.float64: "double"}
PARALLEL = 2_000_000  # multiply-adds; below, waking a second thread takes longer than it saves

_owners: list[object] = []  # what keeps the machine code alive


def available() -> bool:
    """Whether kernels can be compiled here: llvmlite is installed."""
    return find_spec("llvmlite") is not None


def _host() -> tuple[str, str]:
    """Name and features of this CPU, as LLVM calls them."""
    from llvmlite import binding

    return binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()


@lru_cache(maxsize=1)
def _jit() -> object:
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    cpu, features = _host()
    triple = binding.Target.from_default_triple()
    return binding.create_lljit_compiler(triple.create_target_machine(cpu=cpu, features=features, opt=3, jit=True))


@cache
def _kernel(dtype: torch.dtype, width: int, indexed: bool) -> Callable[..., None]:
    from llvmlite import binding

    element = ELEMENTS[dtype]
    name = f"paperlib_{element}_{width}_{indexed}"
    library = (
        binding.JITLibraryBuilder().add_ir(source(name, element, width, indexed)).export_symbol(name).link(_jit(), name)
    )
    _owners.append(library)
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    signature = [*[pointer] * 6, integer, pointer, pointer, *[integer] * 5]
    return ctypes.CFUNCTYPE(None, *signature)(library[name])


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "paperlib-sparse")


def stride(batch: int) -> int:
    """Elements from one feature's activations to the next: padded to widths, and apart in the cache's sets."""
    if batch <= CHUNK:
        return next(w for w in reversed(WIDTHS) if w >= batch)
    chunks = -(-batch // CHUNK)
    return CHUNK * (chunks if chunks <= 4 else chunks | 1)


def tile_width(batch: int) -> int:
    """Columns of a tile for this batch: what lies in the first-level cache against how often rows are begun."""
    return round(1024 / min(WIDTHS[0], stride(batch)) ** 0.5)


def lying(x: Tensor, padded_by_zeros: bool = False) -> Tensor:
    """(N, F) as (F, stride(N)), contiguous; without a copy where it lies so already, as a product does.

    What lies behind a row's N columns is of no matter to a product; a gradient needs zeros, and N of 16 at least.
    """
    n, features = x.shape
    padded = stride(max(n, CHUNK) if padded_by_zeros else n)
    if n == padded:
        return x.T.contiguous()
    room = x.untyped_storage().nbytes() // x.element_size() - x.storage_offset()
    if not padded_by_zeros and x.stride() == (1, padded) and features * padded <= room:
        return x.as_strided((features, padded), (padded, 1))
    out = x.new_zeros(features, padded)
    out[:, :n] = x.T
    return out


def _run(tiles: Tiles, work: int, call: Callable[[int, int], None]) -> None:
    """`call` with ranges of tiles, whole rows of them, on as many threads as `work` multiply-adds deserve."""
    blocks = len(tiles.segments) // tiles.across
    threads = min(blocks, torch.get_num_threads()) if work >= PARALLEL else 1
    cuts = [blocks * i // threads * tiles.across for i in range(threads + 1)]
    others = [_pool().submit(call, a, b) for a, b in pairwise(cuts[1:])]
    call(cuts[0], cuts[1])
    for other in others:
        other.result()


def multiply(tiles: Tiles, values: Tensor, bias: Tensor, x: Tensor, relu: bool = False) -> Tensor:
    """The matrix (M, K) of these values times x (K, S) plus bias (M,), negative results at zero with `relu`: (M, S).

    x as `lying` gives it, values and bias contiguous and of its type, float32 or float64, all on the CPU.
    """
    rows, n = tiles.shape[0], x.shape[1]
    y, indexed = x.new_empty(rows, n), len(tiles.index) > 0
    if isinstance(x, FakeTensor):  # whoever only counts memory
        return y
    pattern = [t.data_ptr() for t in (tiles.segments, tiles.rows, tiles.offsets, tiles.index, values)]
    at_x, at_bias, at_y, size = x.data_ptr(), bias.data_ptr(), y.data_ptr(), x.element_size()

    parts, done = list[tuple[Callable[..., None], int]](), 0
    for width in WIDTHS:
        while n - done >= width:
            parts.append((_kernel(x.dtype, width, indexed), done))
            done += width

    def part(first: int, last: int) -> None:
        for kernel, done in parts:
            kernel(*pattern, at_x + size * done, n, at_bias, at_y + size * done, n, 0, 2 * relu, first, last)

    _run(tiles, len(tiles.offsets) * n, part)
    return y


def gradient(tiles: Tiles, x: Tensor, dy: Tensor) -> Tensor:
    """The gradient (values,) of `multiply`, from x (K, S) and the gradient dy (M, S) of its result, S from 16 on."""
    gradients = x.new_empty(len(tiles.offsets))
    if isinstance(x, FakeTensor):
        return gradients
    pattern = [t.data_ptr() for t in (tiles.segments, tiles.rows, tiles.offsets, tiles.index, gradients)]
    kernel, n = _kernel(x.dtype, 0, False), x.shape[1]

    def part(first: int, last: int) -> None:
        kernel(*pattern, x.data_ptr(), n, 0, dy.data_ptr(), n, n, 0, first, last)

    _run(tiles, len(gradients) * n, part)
    return gradients
