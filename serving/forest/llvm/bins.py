"""LLVM IR that bins float columns into byte columns. Text in, text out.

The bin of a value is found by binary search over the column's thresholds in the order of a search tree (Eytzinger), a
register of values at a time; with AVX-512 the whole tree stays in registers.
"""

CUT_SLOTS = 256  # floats of a column's search tree
COLUMN_BYTES = 16 + 4 * CUT_SLOTS  # int32 source row, levels, missing byte, unused; the search tree


def _pick(lookup: str, level: int, lanes: int) -> str:
    """%p<level>: the threshold that the search compares with at node %i<level>."""
    k = level
    t = f"<{lanes} x float>"
    w = f"<{lanes} x i32>"
    if lookup == "permute" and level <= 4:
        table = "%t0" if level < 4 else "%t1"
        return f"  %p{k} = call {t} @llvm.x86.avx512.permvar.sf.512({t} {table}, {w} %i{k})\n"
    if lookup == "permute":
        pairs = 1 << (level - 5)
        names = []
        out = ""
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
    if lookup == "shuffle" and level <= 4:  # a permute reads 8 floats; deeper levels gather
        call = f"call {t} @llvm.x86.avx2.permps"
        if level < 4:
            return f"  %p{k} = {call}({t} %t{level // 3}, {w} %i{k})\n"
        return (
            f"  %g{k}.0 = {call}({t} %t2, {w} %i{k})\n  %g{k}.1 = {call}({t} %t3, {w} %i{k})\n"
            f"  %h{k} = and {w} %i{k}, splat (i32 8)\n  %b{k} = icmp ne {w} %h{k}, zeroinitializer\n"
            f"  %p{k} = select <{lanes} x i1> %b{k}, {t} %g{k}.1, {t} %g{k}.0\n"
        )
    if lookup == "shuffle":
        every = "<8 x float> splat (float -1.0)"  # the sign bit asks for the lane
        call = f"call {t} @llvm.x86.avx2.gather.d.ps.256"
        return f"  %p{k} = {call}({t} zeroinitializer, ptr %tree, {w} %i{k}, {every}, i8 4)\n"
    out = ""
    last = "poison"
    for lane in range(lanes):
        n = f"{k}.{lane}"
        out += f"  %e{n} = extractelement {w} %i{k}, i32 {lane}\n  %z{n} = zext i32 %e{n} to i64\n"
        out += f"  %q{n} = getelementptr float, ptr %tree, i64 %z{n}\n  %f{n} = load float, ptr %q{n}, align 4\n"
        name = f"%p{k}" if lane == lanes - 1 else f"%n{n}"
        out += f"  {name} = insertelement {t} {last}, float %f{n}, i32 {lane}\n"
        last = name
    return out


def _search_ir(lookup: str, lanes: int, levels: int) -> str:
    t = f"<{lanes} x float>"
    w = f"<{lanes} x i32>"
    tables = ""
    if lookup != "scalar":
        tables = "".join(
            f"  %tp{j} = getelementptr float, ptr %tree, i64 {lanes * j}\n  %t{j} = load {t}, ptr %tp{j}, align 4\n"
            for j in range(1 << (levels - 4) if lookup == "permute" else 4)
        )
    steps = f"  %i0 = add {w} zeroinitializer, splat (i32 1)\n"
    # LLVM turns a masked add into three instructions in the search's longest chain, hence the assembly.
    step = f'call {w} asm "vpaddd $3, $0, $0 {{$2}}", "=v,0,^Yk,v"'
    for k in range(levels):
        steps += _pick(lookup, k, lanes)
        steps += f"  %ge{k} = fcmp oge {t} %x, %p{k}\n  %d{k} = add {w} %i{k}, %i{k}\n"
        if lookup == "permute":
            steps += f"  %i{k + 1} = {step}({w} %d{k}, <{lanes} x i1> %ge{k}, {w} %i0)\n"
            continue
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
