"""LLVM's text of a transposition, by which activations are laid out for the sparse kernels."""

from paperlib.execution.sparse_code import SIZES

BLOCK = 8  # rows and columns that are transposed at once


def transpose(name: str, element: str) -> str:
    """LLVM's text of y (columns, rows) = x (rows, columns) transposed, in squares of BLOCK: multiples of it both."""
    vector, size = f"<{BLOCK} x {element}>", SIZES[element]

    def lines(line: str) -> str:
        return "".join(f"\n  {line.replace('#', str(i))}" for i in range(BLOCK))

    merged, held, distance = "", [f"%r{i}" for i in range(BLOCK)], 1
    while distance < BLOCK:  # what lies off the diagonal changes places, in ever larger squares
        for i in (i for i in range(BLOCK) if not i & distance):
            low = [n if not n & distance else BLOCK + n - distance for n in range(BLOCK)]
            high = [n + distance if not n & distance else BLOCK + n for n in range(BLOCK)]
            pair = f"{vector} {held[i]}, {vector} {held[i + distance]}"
            for row, lanes in ((i, low), (i + distance, high)):
                held[row] = f"%d{distance}.{row}"
                places = ", ".join(f"i32 {lane}" for lane in lanes)
                merged += f"\n  {held[row]} = shufflevector {pair}, <{BLOCK} x i32> <{places}>"
        distance *= 2
    stores = "".join(f"\n  store {vector} {row}, ptr %c{i}.at, align {size}" for i, row in enumerate(held))
    return f"""
define void @{name}(ptr %x, i64 %x.stride, ptr %y, i64 %y.stride, i64 %rows, i64 %columns) {{
entry:
  br label %column
column:
  %k = phi i64 [ 0, %entry ], [ %k.next, %column.end ]
  br label %row
row:
  %n = phi i64 [ 0, %column ], [ %n.next, %row ]{lines("%n# = add i64 %n, #")}{lines("%x# = mul i64 %n#, %x.stride")}
  {lines("%xk# = add i64 %x#, %k")}{lines(f"%r#.at = getelementptr {element}, ptr %x, i64 %xk#")}
  {lines(f"%r# = load {vector}, ptr %r#.at, align {size}")}{merged}
  {lines("%k# = add i64 %k, #")}{lines("%y# = mul i64 %k#, %y.stride")}{lines("%yn# = add i64 %y#, %n")}
  {lines(f"%c#.at = getelementptr {element}, ptr %y, i64 %yn#")}{stores}
  %n.next = add i64 %n, {BLOCK}
  %rows.left = icmp slt i64 %n.next, %rows
  br i1 %rows.left, label %row, label %column.end
column.end:
  %k.next = add i64 %k, {BLOCK}
  %columns.left = icmp slt i64 %k.next, %columns
  br i1 %columns.left, label %column, label %end
end:
  ret void
}}
"""
