"""LLVM IR that turns features into byte columns, and gathers stored bytes by pin. Text in, text out.

Matrices come row by row and leave column by column: square tiles are transposed in registers by interleaving rows i and
i + half, as often as halving allows. The bin of a value is found by binary search over the column's thresholds in the
order of a search tree (Eytzinger), 16 values at a time; with AVX-512 the whole tree stays in registers.
"""

CUT_SLOTS = 256  # floats of a column's search tree
COLUMN_BYTES = 16 + 4 * CUT_SLOTS  # int32 source row, levels, missing byte, unused; the search tree


def _mask(lanes: list[int]) -> str:
    return f"<{len(lanes)} x i32> <{', '.join(f'i32 {lane}' for lane in lanes)}>"


def _transpose(kind: str, size: int) -> tuple[str, list[str]]:
    """Transpose size registers %a0… of size lanes; returns the text and the names of the results."""
    t, names, out = f"<{size} x {kind}>", [f"%a{i}" for i in range(size)], ""
    low = [lane for i in range(size // 2) for lane in (i, size + i)]
    high = [lane for i in range(size // 2, size) for lane in (i, size + i)]
    for stage in range(size.bit_length() - 1):
        new = []
        for i in range(size // 2):
            for part, mask in enumerate((low, high)):
                name = f"%x{stage}.{i}.{part}"
                out += f"  {name} = shufflevector {t} {names[i]}, {t} {names[i + size // 2]}, {_mask(mask)}\n"
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


def _pick(lookup: str, level: int, lanes: int) -> str:
    """%p<level>: the threshold that the search compares with at node %i<level>."""
    k, t, w = level, f"<{lanes} x float>", f"<{lanes} x i32>"
    if lookup == "permute" and level <= 4:
        table = "%t0" if level < 4 else "%t1"
        return f"  %p{k} = call {t} @llvm.x86.avx512.permvar.sf.512({t} {table}, {w} %i{k})\n"
    if lookup == "permute":
        pairs = 1 << (level - 5)
        names, out = [], ""
        for j in range(pairs):
            first = 2 * pairs + 2 * j
            call = f"call {t} @llvm.x86.avx512.vpermi2var.ps.512"
            out += f"  %g{k}.0.{j} = {call}({t} %t{first}, {w} %i{k}, {t} %t{first + 1})\n"
            names.append(f"%g{k}.0.{j}")
        stage = 0
        while len(names) > 1:
            stage += 1
            out += f"  %h{k}.{stage} = and {w} %i{k}, splat (i32 {16 << stage})\n"
            out += f"  %b{k}.{stage} = icmp ne {w} %h{k}.{stage}, zeroinitializer\n"
            new = []
            for j in range(len(names) // 2):
                name = f"%g{k}.{stage}.{j}"
                out += f"  {name} = select <{lanes} x i1> %b{k}.{stage}, {t} {names[2 * j + 1]}, {t} {names[2 * j]}\n"
                new.append(name)
            names = new
        return out + f"  %p{k} = bitcast {t} {names[0]} to {t}\n"
    if lookup == "shuffle":
        every = "<8 x float> splat (float -1.0)"  # the sign bit asks for the lane
        call = f"call {t} @llvm.x86.avx2.gather.d.ps.256"
        return f"  %p{k} = {call}({t} zeroinitializer, ptr %tree, {w} %i{k}, {every}, i8 4)\n"
    out, last = "", "poison"
    for lane in range(lanes):
        n = f"{k}.{lane}"
        out += f"  %e{n} = extractelement {w} %i{k}, i32 {lane}\n  %z{n} = zext i32 %e{n} to i64\n"
        out += f"  %q{n} = getelementptr float, ptr %tree, i64 %z{n}\n  %f{n} = load float, ptr %q{n}, align 4\n"
        name = f"%p{k}" if lane == lanes - 1 else f"%n{n}"
        out += f"  {name} = insertelement {t} {last}, float %f{n}, i32 {lane}\n"
        last = name
    return out


def _search_ir(lookup: str, lanes: int, levels: int) -> str:
    t, w = f"<{lanes} x float>", f"<{lanes} x i32>"
    tables = ""
    if lookup == "permute":
        tables = "".join(
            f"  %tp{j} = getelementptr float, ptr %tree, i64 {16 * j}\n  %t{j} = load {t}, ptr %tp{j}, align 4\n"
            for j in range(1 << (levels - 4))
        )
    steps = f"  %i0 = add {w} zeroinitializer, splat (i32 1)\n"
    for k in range(levels):
        steps += _pick(lookup, k, lanes)
        steps += f"  %ge{k} = fcmp oge {t} %x, %p{k}\n  %d{k} = add {w} %i{k}, %i{k}\n"
        steps += f"  %o{k} = or disjoint {w} %d{k}, splat (i32 1)\n"
        steps += f"  %i{k + 1} = select <{lanes} x i1> %ge{k}, {w} %o{k}, {w} %d{k}\n"
    return f"""
define internal void @search_{levels}(ptr noalias readonly %from, i64 %n, ptr noalias readonly %tree, i32 %missing,
  ptr noalias %into) #0 {{
entry:
{tables}  %m.1 = insertelement {w} poison, i32 %missing, i32 0
  %m = shufflevector {w} %m.1, {w} poison, {w} zeroinitializer
  br label %loop
loop:
  %at = phi i64 [ 0, %entry ], [ %next, %loop ]
  %xp = getelementptr float, ptr %from, i64 %at
  %x = load {t}, ptr %xp, align 4
{steps}  %bin = sub {w} %i{levels}, splat (i32 {(1 << levels) + 128})
  %gone = fcmp uno {t} %x, zeroinitializer
  %with = select <{lanes} x i1> %gone, {w} %m, {w} %bin
  %byte = trunc {w} %with to <{lanes} x i8>
  %op = getelementptr i8, ptr %into, i64 %at
  store <{lanes} x i8> %byte, ptr %op, align 1
  %next = add i64 %at, {lanes}
  %more = icmp ult i64 %next, %n
  br i1 %more, label %loop, label %done
done:
  ret void
}}
"""


def search_ir(lookup: str, lanes: int) -> str:
    """`search`: bins of float32[·, from_stride] into int8[columns, stride], n rounded up to whole registers.

    `columns`: COLUMN_BYTES each. A search tree's entry 0 is unused; missing thresholds are NaN, which no value reaches.
    """
    cases = "".join(
        f"is_{k}:\n  call void @search_{k}(ptr %x, i64 %n, ptr %tree, i32 %missing, ptr %out)\n  br label %after\n"
        for k in range(4, 9)
    )
    labels = " ".join(f"i32 {k}, label %is_{k}" for k in range(4, 8))
    searches = "".join(_search_ir(lookup, lanes, k) for k in range(4, 9))
    return f"""{searches}
define void @search(ptr noalias readonly %from, i64 %from.stride, i64 %n, ptr noalias readonly %columns, i64 %count,
  ptr noalias %into, i64 %stride) #0 {{
entry:
  br label %column
column:
  %c = phi i64 [ 0, %entry ], [ %c.next, %after ]
  %co = mul i64 %c, {COLUMN_BYTES}
  %head = getelementptr i8, ptr %columns, i64 %co
  %row.4 = load i32, ptr %head, align 4
  %row = zext i32 %row.4 to i64
  %lp = getelementptr i8, ptr %head, i64 4
  %levels = load i32, ptr %lp, align 4
  %mp = getelementptr i8, ptr %head, i64 8
  %missing = load i32, ptr %mp, align 4
  %tree = getelementptr i8, ptr %head, i64 16
  %xo = mul i64 %row, %from.stride
  %x = getelementptr float, ptr %from, i64 %xo
  %oo = mul i64 %c, %stride
  %out = getelementptr i8, ptr %into, i64 %oo
  switch i32 %levels, label %is_8 [ {labels} ]
{cases}after:
  %c.next = add i64 %c, 1
  %more = icmp ult i64 %c.next, %count
  br i1 %more, label %column, label %done
done:
  ret void
}}
"""
