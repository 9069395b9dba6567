"""The sparse kernels against scipy.sparse and dense products, on other targets, and inside guarded memory."""

import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import scipy.sparse
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from paperlib.execution import sparse_kernel
from paperlib.execution.sparse import SparseLinear
from paperlib.execution.sparse_code import source
from paperlib.execution.sparse_tiles import Tiles
from tests.not_tested import TO_TEST

CLOSE = {torch.float32: {"rtol": 1e-4, "atol": 1e-4}, torch.float64: {"rtol": 1e-12, "atol": 1e-12}}
SIDES = st.sampled_from([1, 5, 16, 64, 128, 256])
drawn = settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
SHAPES = {
    "rows": st.integers(1, 150), "columns": st.integers(1, 300), "batch": st.integers(1, 260), "height": SIDES,
    "width": SIDES, "sparsity": st.sampled_from([0.0, 0.5, 0.8, 0.95, 1.0]), "seed": st.integers(0, 99),
    "dtype": st.sampled_from(list(CLOSE)), "threads": st.sampled_from([1, 2, 3]),
}  # fmt: skip


def matrix(rows: int, columns: int, sparsity: float, seed: int, dtype: torch.dtype) -> Tensor:
    """Random with zeros, some rows and columns without any weight."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator, dtype=dtype)
    weight[torch.rand(rows, columns, generator=generator) < sparsity] = 0
    if sparsity:
        weight[torch.rand(rows, generator=generator) < 0.2] = 0
        weight[:, torch.rand(columns, generator=generator) < 0.2] = 0
    return weight


@contextmanager
def on(threads: int) -> Iterator[None]:
    """So many threads for products of any size."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_kernel, "PARALLEL", 0)
        torch.set_num_threads(threads)
        yield
    torch.set_num_threads(before)


@drawn
@given(**SHAPES)
def test_products_and_gradients_are_those_of_scipy_and_of_dense(
    rows: int, columns: int, batch: int, height: int, width: int, sparsity: float, seed: int, dtype: torch.dtype,
    threads: int,
) -> None:  # fmt: skip
    weight = matrix(rows, columns, sparsity, seed, dtype)
    x, dy, bias = torch.randn(batch, columns).to(dtype), torch.randn(batch, rows).to(dtype), torch.randn(rows).to(dtype)
    tiles = Tiles(weight != 0, height, width)
    back, values = tiles.transposed(weight != 0), weight.flatten()[tiles.places()]
    lying_x, lying_dy = (sparse_kernel.lying(t, True) for t in (x, dy))
    with on(threads):
        y = sparse_kernel.multiply(tiles, values, bias, sparse_kernel.lying(x))[:, :batch]
        clipped = sparse_kernel.multiply(tiles, values, bias, lying_x, relu=True)[:, :batch]
        dx = sparse_kernel.multiply(back, values, values.new_zeros(columns), lying_dy)[:, :batch]
        gradient = sparse_kernel.gradient(tiles, lying_x, lying_dy)
    expected = torch.from_numpy(scipy.sparse.csr_array(weight.numpy()) @ x.T.numpy()) + bias[:, None]
    torch.testing.assert_close(y, expected, **CLOSE[dtype])
    torch.testing.assert_close(clipped, expected.relu(), **CLOSE[dtype])
    torch.testing.assert_close(dx, weight.T @ dy.T, **CLOSE[dtype])
    torch.testing.assert_close(gradient, (dy.T @ x).flatten()[tiles.places()], **CLOSE[dtype])


@pytest.mark.parametrize("relu", [False, True])
def test_what_is_no_number_goes_where_weights_read_it(relu: bool) -> None:
    weight, x = matrix(40, 300, 0.8, 0, torch.float32), torch.randn(20, 300)
    a, b, c, d, *_ = weight.any(0).nonzero().flatten().tolist()
    x[0, a], x[1, b], x[2, c], x[2, d], weight[4, a] = torch.nan, torch.inf, -torch.inf, torch.inf, torch.inf
    layer = nn.Linear(300, 40)
    layer.weight.data = weight
    sparse = SparseLinear(layer)
    sparse.relu = relu
    product = torch.from_numpy((scipy.sparse.csr_array(weight.numpy()) @ x.T.numpy()).T) + layer.bias.detach()
    expected = product.relu() if relu else product
    assert expected.isnan().any() and expected.isinf().any() and expected.isfinite().any()
    torch.testing.assert_close(sparse(x), expected, equal_nan=True, rtol=1e-4, atol=1e-4)
    full = SparseLinear(dense := nn.Linear(300, 40))
    torch.testing.assert_close(full(x), dense(x).detach(), equal_nan=True, rtol=1e-4, atol=1e-4)


def test_inputs_may_lie_in_any_way() -> None:
    layer = nn.Linear(40, 30)
    layer.weight.data = matrix(30, 40, 0.8, 0, torch.float32)
    sparse, wide = SparseLinear(layer), torch.randn(200, 160)
    views = wide[:64, ::4], wide.T[:64, :40], wide.T[:112, :40], wide[:1, :40].expand(64, -1), wide[5:, :40]
    for x in (*views, wide[:0, :40]):
        torch.testing.assert_close(sparse(x), layer(x), rtol=1e-4, atol=1e-5)
    for wrong in (wide[:, :39], wide[:, :40].double()):
        with pytest.raises(RuntimeError, match="40 features and torch.float32 got"):
            sparse(wrong)
    chain, more = nn.Sequential(sparse, nn.ReLU(), SparseLinear(second := nn.Linear(30, 7))), wide[:100, :40]
    torch.testing.assert_close(chain(more), second(layer(more).relu()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cpu", ["haswell", "x86-64"])
@pytest.mark.skipif(
    platform.machine() not in {"x86_64", "AMD64"}, reason=f"kernels for x86 run on x86 alone{TO_TEST}use such a machine"
)
def test_one_source_serves_other_cpus(cpu: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget() -> None:
        for cached in (sparse_kernel._jit, sparse_kernel._kernel, sparse_kernel._kernels, sparse_kernel._transpose):
            cached.cache_clear()

    monkeypatch.setattr(sparse_kernel, "_host", lambda: (cpu, ""))
    forget()
    for batch in (1, 3, 7, 16, 40, 64, 130):
        weight = matrix(50, 152, 0.8, batch, torch.float32)
        x, dy, tiles = torch.randn(batch, 152), torch.randn(batch, 50), Tiles(weight != 0, 32, 64)
        values, zeros = weight.flatten()[tiles.places()], torch.zeros(50)
        y = sparse_kernel.multiply(tiles, values, zeros, sparse_kernel.lying(x))[:, :batch]
        torch.testing.assert_close(y, weight @ x.T, **CLOSE[torch.float32])
        gradient = sparse_kernel.gradient(tiles, *(sparse_kernel.lying(t, True) for t in (x, dy)))
        torch.testing.assert_close(gradient, (dy.T @ x).flatten()[tiles.places()], **CLOSE[torch.float32])
    forget()


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_one_image_by_gathered_activations(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, sparsity in ((1, 0.0), (15, 0.5), (300, 0.0), (300, 0.8), (300, 1.0), (5000, 0.9)):
        weight = matrix(90, columns, sparsity, 0, dtype)
        x, bias, tiles = torch.randn(1, columns).to(dtype), torch.randn(90).to(dtype), Tiles(weight != 0, 32, 2000)
        results = []
        for gathers in (True, False):
            monkeypatch.setattr(sparse_kernel, "_gathers", lambda gathers=gathers: gathers)
            sparse_kernel._kernels.cache_clear()
            values = weight.flatten()[tiles.places()]
            results.append(sparse_kernel.multiply(tiles, values, bias, sparse_kernel.lying(x), relu=True))
        torch.testing.assert_close(results[0][:, 0], (weight @ x[0] + bias).relu(), **CLOSE[dtype])
        torch.testing.assert_close(*results, **CLOSE[dtype])
    sparse_kernel._kernels.cache_clear()


def test_activations_are_gathered_where_that_is_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = {
        ("emeraldrapids", "+avx2,+avx512bw"): True,
        ("znver4", "+avx2,+avx512bw"): False,
        ("haswell", "+avx2"): False,
    }
    for host, expected in hosts.items():
        monkeypatch.setattr(sparse_kernel, "_host", lambda host=host: host)
        assert sparse_kernel._gathers() == expected


def test_one_source_is_code_for_arm() -> None:
    from llvmlite import binding

    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    machine = binding.Target.from_triple("arm64-apple-macosx").create_target_machine(cpu="apple-m1", opt=3)
    kernels = [(width, False) for width in (*sparse_kernel.WIDTHS, 0)]
    for width, gathers in (*kernels, (1, True)):
        text = machine.emit_assembly(binding.parse_assembly(source("kernel", "float", width, False, gathers)))
        assert "fmla" in text or "fmadd" in text


GUARDED = """
import ctypes, mmap, torch
from paperlib.execution import sparse_kernel
from paperlib.execution.sparse_tiles import Tiles

page, libc, keep = mmap.PAGESIZE, ctypes.CDLL(None), []

def guarded(like, at_end):
    '''Like a tensor, but flush against the end or the start of its pages, forbidden ones around them.'''
    size = like.numel() * like.element_size()
    pages = -(-size // page) * page
    keep.append(area := mmap.mmap(-1, pages + 2 * page))
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for forbidden in (start, start + page + pages):
        assert libc.mprotect(ctypes.c_void_p(forbidden), ctypes.c_size_t(page), 0) == 0
    if not size:
        return like
    at = start + page + (pages - size if at_end else 0)
    buffer = (ctypes.c_char * size).from_address(at)
    return torch.frombuffer(buffer, dtype=like.dtype).view(like.shape)

ordinary = torch.Tensor.new_empty
for at_end, gathers in ((True, True), (False, True), (True, False), (False, False)):
    torch.Tensor.new_empty = lambda self, *shape, end=at_end: guarded(ordinary(self, *shape), end)
    sparse_kernel._gathers = lambda: gathers
    sparse_kernel._kernels.cache_clear()
    for case in range(60):
        torch.manual_seed(case)
        m, k, n = (int(torch.randint(1, 90, ())) for _ in range(3))
        n = n if case % 4 else 1
        kept = torch.rand(m, k) < (0.05, 0.3, 1.0)[case % 3]
        tiles = Tiles(kept, 32, 32)
        back = tiles.transposed(kept)
        for pattern in (tiles, back):
            for name, tensor in list(pattern.named_buffers()):
                pattern._buffers[name] = guarded(tensor, at_end).copy_(tensor)
        def put(tensor):
            return guarded(tensor, at_end).copy_(tensor)
        values, bias, none = put(torch.randn(int(kept.sum()))), put(torch.randn(m)), put(torch.zeros(k))
        for clean in (False, True):
            x, dy = (put(sparse_kernel.lying(torch.randn(n, f), clean)) for f in (k, m))
            sparse_kernel.multiply(tiles, values, bias, x, relu=True)
            sparse_kernel.multiply(back, values, none, dy)
        sparse_kernel.gradient(tiles, x, dy)
print("inside", flush=True)  # the crash below loses what is buffered
try:
    ctypes.c_char.from_address(ctypes.addressof(ctypes.c_char.from_buffer(keep[0]))).value
    print("unguarded")
finally:
    pass
"""


def test_nothing_outside_the_arrays_is_read_or_written() -> None:
    done = subprocess.run([sys.executable, "-c", GUARDED], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["inside"] and done.returncode < 0, done.stderr  # the last line touches a guard
