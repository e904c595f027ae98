"""LLVM IR that turns rows into columns: float matrices, and stored bytes gathered by pin. Text in, text out.

Serving transposes only: pins are gathered from a table in the bench (apps/bench/forest/bound.py).
Square tiles are transposed in registers by interleaving rows i and i + half, as often as halving allows.
"""

from serving.forest.llvm.leaves import mask


def _transpose(kind: str, size: int) -> tuple[str, list[str]]:
    """Transpose size registers %a0… of size lanes; returns the text and the names of the results."""
    t = f"<{size} x {kind}>"
    names = [f"%a{i}" for i in range(size)]
    out = ""
    low = [lane for i in range(size // 2) for lane in (i, size + i)]
    high = [lane for i in range(size // 2, size) for lane in (i, size + i)]
    for stage in range(size.bit_length() - 1):
        new = []
        for i in range(size // 2):
            for part, lanes in enumerate((low, high)):
                name = f"%x{stage}.{i}.{part}"
                out += f"  {name} = shufflevector {t} {names[i]}, {t} {names[i + size // 2]}, {mask(lanes)}\n"
                new.append(name)
        names = new
    return out, names


def transpose_ir(size: int) -> str:
    """`transpose`: float32[n, width] (n >= size) into float32[max(width, size), stride]; the last tiles overlap.

    With width < size a tile reads on into the following rows, and rows of the result from `width` on mean nothing.
    """
    t = f"<{size} x float>"
    load = "".join(
        f"  %r{i} = add i64 %row, {i}\n  %o{i} = mul i64 %r{i}, %width\n  %e{i} = add i64 %o{i}, %col\n"
        f"  %p{i} = getelementptr float, ptr %from, i64 %e{i}\n  %a{i} = load {t}, ptr %p{i}, align 4\n"
        for i in range(size)
    )
    shuffle, names = _transpose("float", size)
    store = "".join(
        f"  %s{i} = add i64 %col, {i}\n  %so{i} = mul i64 %s{i}, %stride\n  %se{i} = add i64 %so{i}, %row\n"
        f"  %sp{i} = getelementptr float, ptr %into, i64 %se{i}\n  store {t} {names[i]}, ptr %sp{i}, align 4\n"
        for i in range(size)
    )
    return f"""
define void @transpose(ptr noalias readonly %from, i64 %n, i64 %width, ptr noalias %into, i64 %stride) #0 {{
entry:
  %row.last = sub i64 %n, {size}
  %col.last = call i64 @llvm.usub.sat.i64(i64 %width, i64 {size})
  br label %rows
rows:
  %r = phi i64 [ 0, %entry ], [ %r.next, %rows.end ]
  %row = call i64 @llvm.umin.i64(i64 %r, i64 %row.last)
  br label %cols
cols:
  %c = phi i64 [ 0, %rows ], [ %c.next, %cols ]
  %col = call i64 @llvm.umin.i64(i64 %c, i64 %col.last)
{load}{shuffle}{store}  %c.next = add i64 %c, {size}
  %c.more = icmp ult i64 %c.next, %width
  br i1 %c.more, label %cols, label %rows.end
rows.end:
  %r.next = add i64 %r, {size}
  %r.more = icmp ult i64 %r.next, %n
  br i1 %r.more, label %rows, label %done
done:
  ret void
}}
"""


def gather_ir() -> str:
    """`gather`: rows `pins` (int32[n], n >= 16) of int8[·, width] (width a multiple of 16) into int8[width, stride]."""
    ahead = "".join(
        f"  %ap{i} = getelementptr i32, ptr %ahead, i64 {i}\n  %ai{i} = load i32, ptr %ap{i}, align 4\n"
        f"  %az{i} = zext i32 %ai{i} to i64\n  %ao{i} = mul i64 %az{i}, %width\n"
        f"  %aq{i} = getelementptr i8, ptr %table, i64 %ao{i}\n"
        f"  call void @llvm.prefetch.p0(ptr %aq{i}, i32 0, i32 3, i32 1)\n"
        for i in range(16)
    )
    rows = "".join(
        f"  %pp{i} = getelementptr i32, ptr %tile, i64 {i}\n  %pi{i} = load i32, ptr %pp{i}, align 4\n"
        f"  %pz{i} = zext i32 %pi{i} to i64\n  %po{i} = mul i64 %pz{i}, %width\n"
        f"  %q{i} = getelementptr i8, ptr %table, i64 %po{i}\n"
        for i in range(16)
    )
    load = "".join(
        f"  %l{i} = getelementptr i8, ptr %q{i}, i64 %c\n  %a{i} = load <16 x i8>, ptr %l{i}, align 1\n"
        for i in range(16)
    )
    shuffle, names = _transpose("i8", 16)
    store = "".join(
        f"  %s{i} = add i64 %c, {i}\n  %so{i} = mul i64 %s{i}, %stride\n  %se{i} = add i64 %so{i}, %row\n"
        f"  %sp{i} = getelementptr i8, ptr %into, i64 %se{i}\n  store <16 x i8> {names[i]}, ptr %sp{i}, align 1\n"
        for i in range(16)
    )
    return f"""
define void @gather(ptr noalias readonly %table, i64 %width, ptr noalias readonly %pins, i64 %n, ptr noalias %into,
  i64 %stride) #0 {{
entry:
  %row.last = sub i64 %n, 16
  br label %rows
rows:
  %r = phi i64 [ 0, %entry ], [ %r.next, %rows.end ]
  %row = call i64 @llvm.umin.i64(i64 %r, i64 %row.last)
  %tile = getelementptr i32, ptr %pins, i64 %row
  %later = add i64 %row, 48
  %later.row = call i64 @llvm.umin.i64(i64 %later, i64 %row.last)
  %ahead = getelementptr i32, ptr %pins, i64 %later.row
{ahead}{rows}  br label %cols
cols:
  %c = phi i64 [ 0, %rows ], [ %c.next, %cols ]
{load}{shuffle}{store}  %c.next = add i64 %c, 16
  %c.more = icmp ult i64 %c.next, %width
  br i1 %c.more, label %cols, label %rows.end
rows.end:
  %r.next = add i64 %r, 16
  %r.more = icmp ult i64 %r.next, %n
  br i1 %r.more, label %rows, label %done
done:
  ret void
}}
"""
