"""LLVM's text of the sparse kernels: one source, in vectors of any length that LLVM fits to the registers of a CPU."""

from string import Template

CHUNK = 16  # columns of the batch at a time in the gradient
GROUP = 8  # weights whose gradients are summed up together
UNROLLED, SUMS = 4, 8  # weights per turn of the product's loop, and vectors of CHUNK that add up at once
LANES = 16  # weights of a row at once where activations are gathered
SIZES = {"float": 4, "double": 8}

_LOOPS = Template("""
define void @$name(ptr %segments, ptr %rows, ptr %offsets, ptr %index, ptr %values, ptr %x, i64 %x.stride, ptr %bias,
                   ptr %y, i64 %y.stride, i64 %columns, i64 %relu, i64 %first, i64 %last) {
entry:
  br label %segment
segment:
  %s = phi i64 [ %first, %entry ], [ %s.next, %segment.end ]
  %s.at = getelementptr [6 x i64], ptr %segments, i64 %s
  $fields
  %xb.o = mul i64 %field0, %x.stride
  %xb = getelementptr $T, ptr %x, i64 %xb.o
  %tile = getelementptr $T, ptr %values, i64 %field4
  %begins.1 = and i64 %field5, 1
  %begins = icmp ne i64 %begins.1, 0
  %clips.2 = and i64 %field5, %relu
  %clips = icmp ne i64 %clips.2, 0
  %floor = select i1 %clips, $T 0.0, $T 0xFFF0000000000000
  %any = icmp slt i64 %field1, %field2
  br i1 %any, label %row, label %segment.end
row:
  %r = phi i64 [ %field1, %segment ], [ %r.next, %row.end ]
  %k = phi i64 [ %field3, %segment ], [ %k.end, %row.end ]
  %r.at = getelementptr [2 x i32], ptr %rows, i64 %r
  %row.32 = load i32, ptr %r.at
  %m = zext i32 %row.32 to i64
  %count.at = getelementptr i32, ptr %r.at, i64 1
  %count.32 = load i32, ptr %count.at
  %count = zext i32 %count.32 to i64
  %k.end = add i64 %k, %count
  %y.o = mul i64 %m, %y.stride
  %y.at = getelementptr $T, ptr %y, i64 %y.o
  $body
row.end:
  %r.next = add i64 %r, 1
  %rows.left = icmp slt i64 %r.next, %field2
  br i1 %rows.left, label %row, label %segment.end
segment.end:
  %s.next = add i64 %s, 1
  %segments.left = icmp slt i64 %s.next, %last
  br i1 %segments.left, label %segment, label %end
end:
  ret void
}
""")


def _weight(element: str, k: str, tag: str) -> str:
    """Code that finds the activations of weight `k`: their address is %x`tag`.at."""
    return f"""
  %o{tag}.at = getelementptr i16, ptr %offsets, i64 {k}
  %o{tag}.16 = load i16, ptr %o{tag}.at
  %o{tag}.64 = zext i16 %o{tag}.16 to i64
  %o{tag} = mul i64 %o{tag}.64, %x.stride
  %x{tag}.at = getelementptr {element}, ptr %xb, i64 %o{tag}"""


def _product(element: str, width: int, indexed: bool) -> str:
    """Body of the loops: a row of y, from its bias or what it is so far, plus its weights times their activations."""
    vector, size = f"<{width} x {element}>", SIZES[element]
    sums = range(min(UNROLLED, max(1, SUMS * CHUNK // width)))

    def splat(value: str) -> str:
        return f"""
  {value}.one = insertelement {vector} poison, {element} {value}, i64 0
  {value}.all = shufflevector {vector} {value}.one, {vector} poison, <{width} x i32> zeroinitializer"""

    def term(k: str, total: str, result: str, tag: str) -> str:
        place = f"""
  %i{tag}.at = getelementptr i16, ptr %index, i64 {k}
  %i{tag}.16 = load i16, ptr %i{tag}.at
  %i{tag} = zext i16 %i{tag}.16 to i64
  %v{tag}.at = getelementptr {element}, ptr %tile, i64 %i{tag}"""
        in_order = f"""
  %v{tag}.at = getelementptr {element}, ptr %values, i64 {k}"""
        return f"""{_weight(element, k, tag)}{place if indexed else in_order}
  %v{tag} = load {element}, ptr %v{tag}.at{splat(f"%v{tag}")}
  %x{tag} = load {vector}, ptr %x{tag}.at, align {size}
  {result} = call {vector} @llvm.fmuladd({vector} %v{tag}.all, {vector} %x{tag}, {vector} {total})"""

    many = []
    for u in range(UNROLLED):
        before = f"%t{u - len(sums)}" if u >= len(sums) else f"%s{u}"
        many.append(f"\n  %k{u} = add i64 %k.many, {u}" + term(f"%k{u}", before, f"%t{u}", str(u)))
    ends = [f"%t{UNROLLED - len(sums) + i}" for i in sums]
    phis = [
        f"""
  %s{i} = phi {vector} [ {"zeroinitializer" if i else "%start"}, %begin ], [ {ends[i]}, %many ]"""
        for i in sums
    ]
    added = [
        f"""
  %total{i} = fadd {vector} {f"%total{i - 1}" if i > 1 else ends[0]}, {ends[i]}"""
        for i in sums[1:]
    ]
    return f"""
  br i1 %begins, label %from.bias, label %from.y
from.bias:
  %b.at = getelementptr {element}, ptr %bias, i64 %m
  %b = load {element}, ptr %b.at{splat("%b")}
  br label %begin
from.y:
  %y.old = load {vector}, ptr %y.at, align {size}
  br label %begin
begin:
  %start = phi {vector} [ %b.all, %from.bias ], [ %y.old, %from.y ]
  %k.fit = sub i64 %k.end, {UNROLLED - 1}
  %is.many = icmp slt i64 %k, %k.fit
  br i1 %is.many, label %many, label %few
many:
  %k.many = phi i64 [ %k, %begin ], [ %k.many.next, %many ]{"".join(phis)}{"".join(many)}
  %k.many.next = add i64 %k.many, {UNROLLED}
  %many.left = icmp slt i64 %k.many.next, %k.fit
  br i1 %many.left, label %many, label %many.end
many.end:{"".join(added)}
  br label %few
few:
  %few.start = phi {vector} [ %start, %begin ], [ {f"%total{len(sums) - 1}" if added else ends[0]}, %many.end ]
  %k.few = phi i64 [ %k, %begin ], [ %k.many.next, %many.end ]
  %is.few = icmp slt i64 %k.few, %k.end
  br i1 %is.few, label %one, label %store
one:
  %so.far = phi {vector} [ %few.start, %few ], [ %t, %one ]
  %k.one = phi i64 [ %k.few, %few ], [ %k.one.next, %one ]{term("%k.one", "%so.far", "%t", "one")}
  %k.one.next = add i64 %k.one, 1
  %ones.left = icmp slt i64 %k.one.next, %k.end
  br i1 %ones.left, label %one, label %store
store:
  %sum = phi {vector} [ %few.start, %few ], [ %t, %one ]{splat("%floor")}
  %low = fcmp olt {vector} %sum, %floor.all
  %clipped = select <{width} x i1> %low, {vector} %floor.all, {vector} %sum
  store {vector} %clipped, ptr %y.at, align {size}
  br label %row.end"""


def _gathered(element: str) -> str:
    """Body of the loops for one image: LANES weights at once, each with the activation that it finds for itself."""
    vector, size, lanes = f"<{LANES} x {element}>", SIZES[element], f"<{LANES} x"
    kind, places = f"v{LANES}f{8 * size}", ", ".join(f"i64 {i}" for i in range(LANES))
    return f"""
  %b.at = getelementptr {element}, ptr %bias, i64 %m
  %from = select i1 %begins, ptr %b.at, ptr %y.at
  %start = load {element}, ptr %from
  %is.any = icmp slt i64 %k, %k.end
  br i1 %is.any, label %many, label %store
many:
  %k.many = phi i64 [ %k, %row ], [ %k.next, %many ]
  %sums = phi {vector} [ zeroinitializer, %row ], [ %sums.next, %many ]
  %left = sub i64 %k.end, %k.many
  %left.one = insertelement {lanes} i64> poison, i64 %left, i64 0
  %left.all = shufflevector {lanes} i64> %left.one, {lanes} i64> poison, {lanes} i32> zeroinitializer
  %is.there = icmp sgt {lanes} i64> %left.all, <{places}>
  %o.at = getelementptr i16, ptr %offsets, i64 %k.many
  %o = call {lanes} i16> @llvm.masked.load.v{LANES}i16.p0(ptr %o.at, i32 2, {lanes} i1> %is.there,
    {lanes} i16> zeroinitializer)
  %o.32 = zext {lanes} i16> %o to {lanes} i32>
  %v.at = getelementptr {element}, ptr %values, i64 %k.many
  %v = call {vector} @llvm.masked.load.{kind}.p0(ptr %v.at, i32 {size}, {lanes} i1> %is.there,
    {vector} zeroinitializer)
  %x.at = getelementptr {element}, ptr %xb, {lanes} i32> %o.32
  %x.of = call {vector} @llvm.masked.gather.{kind}.v{LANES}p0({lanes} ptr> %x.at, i32 {size}, {lanes} i1> %is.there,
    {vector} zeroinitializer)
  %sums.next = call {vector} @llvm.fmuladd({vector} %v, {vector} %x.of, {vector} %sums)
  %k.next = add i64 %k.many, {LANES}
  %any.left = icmp slt i64 %k.next, %k.end
  br i1 %any.left, label %many, label %many.end
many.end:
  %total = call reassoc {element} @llvm.vector.reduce.fadd({element} %start, {vector} %sums.next)
  br label %store
store:
  %sum = phi {element} [ %start, %row ], [ %total, %many.end ]
  %low = fcmp olt {element} %sum, %floor
  %clipped = select i1 %low, {element} %floor, {element} %sum
  store {element} %clipped, ptr %y.at
  br label %row.end"""


def _gradient(element: str) -> str:
    """Body of the loops: gradients of a row's weights, the sums over the batch of its y times their activations.

    GROUP weights at once, so that they share the loads of y and add up their lanes in a tree; the last group of a row
    goes back over weights that the one before has had.
    """
    vector, size = f"<{CHUNK} x {element}>", SIZES[element]

    def chunks(name: str, before: str, tags: list[str]) -> str:
        return "\n".join((
            f"{name}:",
            f"  %c.{name} = phi i64 [ 0, %{before} ], [ %c.{name}.next, %{name} ]",
            *(f"  %a{t} = phi {vector} [ zeroinitializer, %{before} ], [ %a{t}.next, %{name} ]" for t in tags),
            f"  %y.{name}.at = getelementptr {element}, ptr %y.at, i64 %c.{name}",
            f"  %y.{name} = load {vector}, ptr %y.{name}.at, align {size}",
            *(f"""  %c{t}.at = getelementptr {element}, ptr %x{t}.at, i64 %c.{name}
  %c{t} = load {vector}, ptr %c{t}.at, align {size}
  %a{t}.next = call {vector} @llvm.fmuladd({vector} %y.{name}, {vector} %c{t}, {vector} %a{t})""" for t in tags),
            f"  %c.{name}.next = add i64 %c.{name}, {CHUNK}",
            f"  %{name}.left = icmp slt i64 %c.{name}.next, %columns",
            f"  br i1 %{name}.left, label %{name}, label %{name}.end",
            f"{name}.end:",
        ))  # fmt: skip

    tags, tree = [str(i) for i in range(GROUP)], list[str]()

    def halves(a: str, b: str, lanes: int) -> str:
        """Code for a vector of both, each half as many lanes: runs of `lanes` added to the runs behind them."""
        name = f"%pair{len(tree)}"
        count = 2 * CHUNK if a != b else CHUNK
        parts = [[i for i in range(count) if i // lanes % 2 == side] for side in (0, 1)]
        masks = [f"<{count // 2} x i32> <{', '.join(f'i32 {i}' for i in part)}>" for part in parts]
        tree.append(f"""
  {name}.a = shufflevector {vector} {a}, {vector} {b}, {masks[0]}
  {name}.b = shufflevector {vector} {a}, {vector} {b}, {masks[1]}
  {name} = fadd <{count // 2} x {element}> {name}.a, {name}.b""")
        return name

    level, lanes = [f"%a{t}.next" for t in tags], CHUNK // 2
    while len(level) > 1:
        level, lanes = [halves(a, b, lanes) for a, b in zip(level[::2], level[1::2], strict=True)], lanes // 2
    result = halves(level[0], level[0], lanes)
    addresses = "".join(f"\n  %k{t} = add i64 %k.at, {t}" + _weight(element, f"%k{t}", t) for t in tags)
    return f"""
  %k.last = sub i64 %k.end, {GROUP}
  %is.group = icmp sge i64 %count, {GROUP}
  br i1 %is.group, label %group, label %few
group:
  %k.group = phi i64 [ %k, %row ], [ %k.group.next, %chunk.end ]
  %fits = icmp slt i64 %k.group, %k.last
  %k.at = select i1 %fits, i64 %k.group, i64 %k.last{addresses}
  br label %chunk
{chunks("chunk", "group", tags)}{"".join(tree)}
  %g.at = getelementptr {element}, ptr %values, i64 %k.at
  store <{GROUP} x {element}> {result}, ptr %g.at, align {size}
  %k.group.next = add i64 %k.group, {GROUP}
  %groups.left = icmp slt i64 %k.group.next, %k.end
  br i1 %groups.left, label %group, label %row.end
few:
  %is.any = icmp slt i64 %k, %k.end
  br i1 %is.any, label %one, label %row.end
one:
  %k.one = phi i64 [ %k, %few ], [ %k.one.next, %part.end ]{_weight(element, "%k.one", "one")}
  br label %part
{chunks("part", "one", ["one"])}
  %g.one = call reassoc {element} @llvm.vector.reduce.fadd({element} 0.0, {vector} %aone.next)
  %g.one.at = getelementptr {element}, ptr %values, i64 %k.one
  store {element} %g.one, ptr %g.one.at
  %k.one.next = add i64 %k.one, 1
  %ones.left = icmp slt i64 %k.one.next, %k.end
  br i1 %ones.left, label %one, label %row.end"""


def source(name: str, element: str, width: int, indexed: bool, gathers: bool = False) -> str:
    """LLVM's text of a kernel: the product with `width` columns of the batch, or for width 0 the gradient.

    gathers: the product of values in order with a batch of one image, by vectors of weights. Equal up to rounding.
    """
    fields = "".join(f"""
  %field{i}.at = getelementptr i64, ptr %s.at, i64 {i}
  %field{i} = load i64, ptr %field{i}.at""" for i in range(6))  # fmt: skip
    body = _gradient(element) if not width else _gathered(element) if gathers else _product(element, width, indexed)
    return _LOOPS.substitute(name=name, T=element, fields=fields, body=body)
