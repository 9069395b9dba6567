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
from itertools import count, pairwise

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from paperlib.execution.sparse_code import CHUNK, source
from paperlib.execution.sparse_tiles import Tiles
from paperlib.execution.transposition import BLOCK, transpose

WIDTHS = (64, 32, 16, 8, 4, 1)
"""Columns of the batch that are computed at once; a batch is cut into these."""
ELEMENTS = {torch.float32: "float", torch.float64: "double"}
POINTER, INTEGER = ctypes.c_void_p, ctypes.c_int64
PARALLEL = 2_000_000  # multiply-adds; below, waking a second thread takes longer than it saves

_owners: list[object] = []  # what keeps the machine code alive
_numbers = count()


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


def _compiled(make: Callable[[str], str], *signature: type) -> Callable[..., None]:
    from llvmlite import binding

    name = f"paperlib_{next(_numbers)}"  # two threads may compile the same at once
    text = make(name)
    library = binding.JITLibraryBuilder().add_ir(text).export_symbol(name).link(_jit(), name)
    _owners.append(library)
    return ctypes.CFUNCTYPE(None, *signature)(library[name])


def _gathers() -> bool:
    """Whether to load 16 activations at once: measured faster on Intel with AVX-512; not tried on AMD."""
    cpu, features = _host()
    return "+avx512bw" in features.split(",") and not cpu.startswith("znver")


@cache
def _kernel(dtype: torch.dtype, width: int, indexed: bool, gathers: bool = False) -> Callable[..., None]:
    signature = [*[POINTER] * 6, INTEGER, POINTER, POINTER, *[INTEGER] * 5]
    return _compiled(lambda name: source(name, ELEMENTS[dtype], width, indexed, gathers), *signature)


@cache
def _kernels(dtype: torch.dtype, batch: int, indexed: bool) -> list[tuple[Callable[..., None], int]]:
    """The kernels for so many columns of the batch, and the byte at which each begins."""
    if batch == 1 and not indexed and _gathers():
        return [(_kernel(dtype, 1, False, True), 0)]
    kernels, done = list[tuple[Callable[..., None], int]](), 0
    for width in WIDTHS:
        while batch - done >= width:
            kernels.append((_kernel(dtype, width, indexed), done * dtype.itemsize))
            done += width
    return kernels


@cache
def _transpose(dtype: torch.dtype) -> Callable[..., None]:
    return _compiled(lambda name: transpose(name, ELEMENTS[dtype]), POINTER, INTEGER, POINTER, *[INTEGER] * 3)


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "paperlib-sparse")


@cache
def stride(batch: int) -> int:
    """Elements from one feature's activations to the next: padded to widths, and apart in the cache's sets."""
    if batch <= CHUNK:
        return next(w for w in reversed(WIDTHS) if w >= batch)
    chunks = -(-batch // CHUNK)
    return CHUNK * (chunks if chunks <= 4 else chunks | 1)


def tile_width(batch: int, density: float) -> int:
    """Columns of a tile: what lies in the first-level cache against how often rows are begun, as measured."""
    return round((1024 if density > 0.15 else 1536) / min(WIDTHS[0], stride(batch)) ** 0.5)


def _is_ours(x: Tensor) -> bool:
    """Whether the kernels can read it: not on a GPU, nor in another number format."""
    return x.is_cpu and x.dtype in ELEMENTS


def lying(x: Tensor, padded_by_zeros: bool = False) -> Tensor:
    """(N, F) as (F, stride(N)), contiguous; without a copy where it lies so already, as a product does.

    What lies behind a row's N columns is of no matter to a product; a gradient needs zeros, and N of 16 at least.
    """
    n, features = x.shape
    padded = stride(max(n, CHUNK) if padded_by_zeros else n)
    if n == padded:
        if x.stride(1) != 1 or n % BLOCK or features % BLOCK or not n or not _is_ours(x) or isinstance(x, FakeTensor):
            return x.T.contiguous()
        out = x.new_empty(features, n)
        _transpose(x.dtype)(x.data_ptr(), x.stride(0), out.data_ptr(), n, n, features)
        return out
    room = x.untyped_storage().nbytes() // x.element_size() - x.storage_offset()
    if not padded_by_zeros and x.stride() == (1, padded) and features * padded <= room:
        return x.as_strided((features, padded), (padded, 1))
    out = x.new_zeros(features, padded)
    out[:, :n] = x.T
    return out


def _run(tiles: Tiles, work: int, call: Callable[[int, int], None]) -> None:
    """`call` with ranges of tiles, whole rows of them, on as many threads as `work` multiply-adds deserve."""
    blocks = -(-tiles.shape[0] // tiles.height)
    if work < PARALLEL:
        call(0, blocks * tiles.across)
        return
    threads = min(blocks, torch.get_num_threads())
    cuts = [blocks * i // threads * tiles.across for i in range(threads + 1)]
    others = [_pool().submit(call, a, b) for a, b in pairwise(cuts[1:])]
    call(cuts[0], cuts[1])
    for other in others:
        other.result()


def multiply(tiles: Tiles, values: Tensor, bias: Tensor, x: Tensor, relu: bool = False) -> Tensor:
    """The matrix (M, K) of these values times x (K, S) plus bias (M,), negative results at zero with `relu`: (M, S).

    x as `lying` gives it, values and bias contiguous and of its type, float32 or float64, all on the CPU. Raises
    RuntimeError for another number of features, type or device.
    """
    (rows, columns), (features, n) = tiles.shape, x.shape
    if features != columns or x.dtype != values.dtype or not _is_ours(x):
        raise RuntimeError(f"a sparse layer of {columns} features and {values.dtype} got {features} and {x.dtype}")
    y = x.new_empty(rows, n)
    if isinstance(x, FakeTensor):  # whoever only counts memory
        return y
    *arrays, index = tiles.arrays
    pattern = [t.data_ptr() for t in (*arrays, index, values)]
    at_x, at_bias, at_y = x.data_ptr(), bias.data_ptr(), y.data_ptr()
    kernels = _kernels(x.dtype, n, index.shape[0] > 0)  # a tensor's len() takes a microsecond

    def part(first: int, last: int) -> None:
        for kernel, at in kernels:
            kernel(*pattern, at_x + at, n, at_bias, at_y + at, n, 0, 2 * relu, first, last)

    _run(tiles, values.shape[0] * n, part)
    return y


def gradient(tiles: Tiles, x: Tensor, dy: Tensor) -> Tensor:
    """The gradient (values,) of `multiply`, from x (K, S) and the gradient dy (M, S) of its result, S from 16 on."""
    arrays = tiles.arrays
    gradients = x.new_empty(len(arrays[2]))
    if isinstance(x, FakeTensor):
        return gradients
    pattern = [t.data_ptr() for t in (*arrays, gradients)]
    kernel, n = _kernel(x.dtype, 0, False), x.shape[1]

    def part(first: int, last: int) -> None:
        kernel(*pattern, x.data_ptr(), n, 0, dy.data_ptr(), n, n, 0, first, last)

    _run(tiles, len(gradients) * n, part)
    return gradients
