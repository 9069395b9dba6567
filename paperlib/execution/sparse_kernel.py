"""Sparse matrix times dense matrix with the batch in vector registers, compiled by LLVM where llvmlite is installed.

For each row, `V` vectors of 16 columns of the batch stay in registers while the row's non-zero weights stream
through: one broadcast, V loads and V fused multiply-adds per weight. No C compiler is needed; without llvmlite
torch's own CSR product takes over (`sparse.py`).
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

LANES = 16
VECTORS = (4, 2, 1)
PARALLEL = 2_000_000  # multiply-adds; below, waking a second thread takes longer than it saves

_owners: list[object] = []  # what keeps the machine code alive


def _source(vectors: int) -> str:
    def each(line: str) -> str:
        return "\n".join(line.replace("?", str(i)).replace("#", str(LANES * i)) for i in range(vectors))

    return f"""
define void @rows{vectors}(ptr %starts, ptr %columns, ptr %values, ptr %x, ptr %bias, ptr %out,
                           i64 %n, i64 %first, i64 %last) {{
entry:
  %some = icmp slt i64 %first, %last
  br i1 %some, label %row, label %end
row:
  %r = phi i64 [ %first, %entry ], [ %r.next, %store ]
  %b.at = getelementptr float, ptr %bias, i64 %r
  %b = load float, ptr %b.at
  %b.one = insertelement <16 x float> poison, float %b, i64 0
  %b.all = shufflevector <16 x float> %b.one, <16 x float> poison, <16 x i32> zeroinitializer
  %s.at = getelementptr i32, ptr %starts, i64 %r
  %s.32 = load i32, ptr %s.at
  %e.at = getelementptr i32, ptr %s.at, i64 1
  %e.32 = load i32, ptr %e.at
  %s = sext i32 %s.32 to i64
  %e = sext i32 %e.32 to i64
  %any = icmp slt i64 %s, %e
  br i1 %any, label %term, label %store
term:
  %k = phi i64 [ %s, %row ], [ %k.next, %term ]
  {each("%a? = phi <16 x float> [ %b.all, %row ], [ %a?.next, %term ]")}
  %c.at = getelementptr i32, ptr %columns, i64 %k
  %c.32 = load i32, ptr %c.at
  %c = sext i32 %c.32 to i64
  %o = mul i64 %c, %n
  %x.at = getelementptr float, ptr %x, i64 %o
  %v.at = getelementptr float, ptr %values, i64 %k
  %v = load float, ptr %v.at
  %v.one = insertelement <16 x float> poison, float %v, i64 0
  %v.all = shufflevector <16 x float> %v.one, <16 x float> poison, <16 x i32> zeroinitializer
  {each("%x?.at = getelementptr float, ptr %x.at, i64 #")}
  {each("%x? = load <16 x float>, ptr %x?.at, align 4")}
  {each("%a?.next = call <16 x float> @llvm.fmuladd(<16 x float> %v.all, <16 x float> %x?, <16 x float> %a?)")}
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, %e
  br i1 %more, label %term, label %store
store:
  {each("%t? = phi <16 x float> [ %b.all, %row ], [ %a?.next, %term ]")}
  %q = mul i64 %r, %n
  %out.at = getelementptr float, ptr %out, i64 %q
  {each("%o?.at = getelementptr float, ptr %out.at, i64 #")}
  {each("store <16 x float> %t?, ptr %o?.at, align 4")}
  %r.next = add i64 %r, 1
  %rows.left = icmp slt i64 %r.next, %last
  br i1 %rows.left, label %row, label %end
end:
  ret void
}}
"""


@lru_cache(maxsize=1)
def compiled() -> dict[int, Callable[..., None]] | None:
    """The kernels for this CPU, by their number of vectors; None where llvmlite is not installed."""
    try:
        from llvmlite import binding
    except ImportError:
        return None
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    machine = binding.Target.from_default_triple().create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3, jit=True
    )
    jit = binding.create_lljit_compiler(machine)
    builder = binding.JITLibraryBuilder()
    for vectors in VECTORS:
        builder.add_ir(_source(vectors)).export_symbol(f"rows{vectors}")
    library: Any = builder.link(jit, "paperlib")
    _owners.extend((jit, library))
    signature = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 6, *[ctypes.c_int64] * 3)
    return {vectors: signature(library[f"rows{vectors}"]) for vectors in VECTORS}


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "paperlib-sparse")


def multiply(starts: Tensor, columns: Tensor, values: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """CSR matrix (M, K) times x (K, N) plus bias (M,): (M, N) float32, on the CPU.

    starts (M + 1,) and columns (non-zeros,) are int32, values float32, all contiguous. Raises RuntimeError
    where nothing is compiled (`compiled()` is None).
    """
    kernels = compiled()
    if kernels is None:
        raise RuntimeError("no llvmlite: use torch's own CSR product")
    rows, batch = len(bias), x.shape[1]
    n = -(-batch // LANES) * LANES
    x = torch.nn.functional.pad(x, (0, n - batch)) if n != batch else x.contiguous()
    out = torch.empty(rows, n)
    matrix = [t.data_ptr() for t in (starts, columns, values)]

    def part(first: int, last: int) -> None:
        done = 0
        for vectors in VECTORS:
            while n - done >= vectors * LANES:
                at = 4 * done  # bytes
                kernels[vectors](*matrix, x.data_ptr() + at, bias.data_ptr(), out.data_ptr() + at, n, first, last)
                done += vectors * LANES

    threads = torch.get_num_threads() if len(values) * n >= PARALLEL else 1
    cuts = [rows * i // threads for i in range(threads + 1)]
    others = [_pool().submit(part, a, b) for a, b in zip(cuts[1:-1], cuts[2:], strict=True)]
    part(cuts[0], cuts[1])
    for other in others:
        other.result()
    return out[:, :batch]
