"""LLVM IR of the scan: many candidates' bytes through collapsed trees. Text in, text out; compiles and runs nothing.

A program is a list of chunks. A chunk is (a part of) one tree: at most 32 leaves, and its splits in preorder. A split
is four int32: column, threshold (one signed byte, four times), left and right. The last two name slots: 0–31 hold the
constant leaf numbers, 32 + i the result of the chunk's split i. Splits run backwards, so children come before parents:

    slot[32 + i] = column > threshold ? slot[right] : slot[left]        (one byte per candidate)

The leaf number left at the root looks the leaf's weight up in the chunk's table, and the weights add up in tree order,
in float32, as XGBoost adds them. A slot is `blocks` registers wide, so that decoding a split costs little.
"""

from serving.forest.llvm.leaves import Scan, lookup_ir, mask, tables_ir

SLOTS = 32  # leaf numbers in a chunk, and the width of its table


def _splat(name: str, kind: str, lanes: int, value: str) -> str:
    return (
        f"  %{name}.1 = insertelement <{lanes} x {kind}> poison, {kind} {value}, i32 0\n"
        f"  %{name} = shufflevector <{lanes} x {kind}> %{name}.1, <{lanes} x {kind}> poison, <{lanes} x i32> "
        "zeroinitializer\n"
    )


def _choose(scan: Scan, b: int) -> str:
    """Left or right by the condition. Without mask registers: right-hand leaf numbers are the larger, so max serves."""
    bytes_ = f"<{scan.width} x i8>"
    if scan.lookup == "permute":
        return f"  %v{b} = select <{scan.width} x i1> %c{b}, {bytes_} %r{b}, {bytes_} %l{b}\n"
    return (
        f"  %m{b} = sext <{scan.width} x i1> %c{b} to {bytes_}\n"
        f"  %k{b} = and {bytes_} %m{b}, %r{b}\n"
        f"  %v{b} = call {bytes_} @llvm.umax.v{scan.width}i8({bytes_} %k{b}, {bytes_} %l{b})\n"
    )


def _start_sums(scan: Scan, blocks: int) -> str:
    """Every candidate's sum starts at the base margin."""
    floats = f"<{scan.lanes} x float>"
    return "".join(
        f"  %b{b}.{part} = getelementptr float, ptr %sum, i64 {b * scan.width + part * scan.lanes}\n"
        f"  store {floats} %base.v, ptr %b{b}.{part}, align 16\n"
        for b in range(blocks)
        for part in range(4)
    )


def _decode_split(scan: Scan, slot: int) -> str:
    """Read split %i.next: %xp its column's bytes, %t its threshold, %lp and %rp its children's slots, %dp its own."""
    threshold = _splat("t.w", "i32", scan.lanes, "%t.4")
    return f"""  %at = shl i64 %i.next, 4
  %rec = getelementptr i8, ptr %here, i64 %at
  %column.4 = load i32, ptr %rec, align 4
  %column = zext i32 %column.4 to i64
  %xo = mul i64 %column, %stride
  %xp = getelementptr i8, ptr %bin, i64 %xo
  %tp = getelementptr i8, ptr %rec, i64 4
  %t.4 = load i32, ptr %tp, align 4
{threshold}  %t = bitcast <{scan.lanes} x i32> %t.w to <{scan.width} x i8>
  %lq = getelementptr i8, ptr %rec, i64 8
  %left.4 = load i32, ptr %lq, align 4
  %left = zext i32 %left.4 to i64
  %lo = mul i64 %left, {slot}
  %lp = getelementptr i8, ptr %scratch, i64 %lo
  %rq = getelementptr i8, ptr %rec, i64 12
  %right.4 = load i32, ptr %rq, align 4
  %right = zext i32 %right.4 to i64
  %ro = mul i64 %right, {slot}
  %rp = getelementptr i8, ptr %scratch, i64 %ro
  %do = mul i64 %i.next, {slot}
  %do.s = add i64 %do, {SLOTS * slot}
  %dp = getelementptr i8, ptr %scratch, i64 %do.s
"""


def _take_split(scan: Scan, blocks: int) -> str:
    """Compare the bytes with the threshold, choose left or right, and write the split's slot."""
    width = scan.width
    v = f"<{width} x i8>"
    return "".join(
        f"  %xp{b} = getelementptr i8, ptr %xp, i64 {b * width}\n  %x{b} = load {v}, ptr %xp{b}, align 16\n"
        f"  %c{b} = icmp sgt {v} %x{b}, %t\n"
        f"  %lp{b} = getelementptr i8, ptr %lp, i64 {b * width}\n  %l{b} = load {v}, ptr %lp{b}, align {width}\n"
        f"  %rp{b} = getelementptr i8, ptr %rp, i64 {b * width}\n  %r{b} = load {v}, ptr %rp{b}, align {width}\n"
        f"{_choose(scan, b)}"
        f"  %dp{b} = getelementptr i8, ptr %dp, i64 {b * width}\n  store {v} %v{b}, ptr %dp{b}, align {width}\n"
        for b in range(blocks)
    )


def _add_leaves(scan: Scan, blocks: int) -> str:
    """Look up the weights of the leaves that the root's slot names, and add them to the sums."""
    floats = f"<{scan.lanes} x float>"
    out = ""
    for b in range(blocks):
        out += f"  %ip{b} = getelementptr i8, ptr %ip, i64 {b * scan.width}\n"
        out += f"  %id{b} = load <{scan.width} x i8>, ptr %ip{b}, align {scan.width}\n"
        out += lookup_ir(scan, b)
        for part in range(4):
            n = f"{b}.{part}"
            out += f"  %s{n} = load {floats}, ptr %b{n}, align 16\n  %a{n} = fadd {floats} %s{n}, %y{n}\n"
            out += f"  store {floats} %a{n}, ptr %b{n}, align 16\n"
    return out


def _order_sums(scan: Scan, blocks: int) -> str:
    """Bring the sums, which stand in the look-up's order, into the candidates'."""
    order = [lane for part in scan.order for lane in part]
    if order == sorted(order):
        return ""
    back = [order.index(i) for i in range(scan.width)]
    all_sums = f"<{scan.width} x float>"
    return "".join(
        f"  %all{b} = load {all_sums}, ptr %b{b}.0, align 16\n"
        f"  %in{b} = shufflevector {all_sums} %all{b}, {all_sums} poison, {mask(back)}\n"
        f"  store {all_sums} %in{b}, ptr %b{b}.0, align 16\n"
        for b in range(blocks)
    )


def scan_ir(scan: Scan, blocks: int) -> str:
    """The function `scan_<blocks>`: from `start` while a whole slot fits before `end`.

    Arguments: splits, sizes (int32 splits per chunk), tables (float32[chunks, 32]), chunks; bins (int8[columns,
    stride], the bin minus 128), stride; start, end; scratch (32 slots filled with their number, then one per split of
    the largest chunk); sums (float32[end]); the base margin. Sums and scratch are not `noalias` on purpose: LLVM would
    keep 32 sums in registers that are not there and spill them to unaligned memory around every chunk.
    """
    slot = scan.width * blocks
    return f"""
define internal void @scan_{blocks}(ptr noalias readonly %splits, ptr noalias readonly %sizes,
  ptr noalias readonly %tables, i64 %chunks, ptr noalias readonly %bins, i64 %stride, i64 %start, i64 %end,
  ptr %scratch, ptr %sums, float %base) #0 {{
entry:
{_splat("base.v", "float", scan.lanes, "%base")}  %fits = add i64 %start, {slot}
  %any = icmp ule i64 %fits, %end
  br i1 %any, label %block, label %done
block:
  %s = phi i64 [ %start, %entry ], [ %s.next, %end.block ]
  %sum = getelementptr float, ptr %sums, i64 %s
  %bin = getelementptr i8, ptr %bins, i64 %s
{_start_sums(scan, blocks)}  br label %chunk
chunk:
  %c = phi i64 [ 0, %block ], [ %c.next, %leaves ]
  %here = phi ptr [ %splits, %block ], [ %here.next, %leaves ]
  %sp = getelementptr i32, ptr %sizes, i64 %c
  %size.4 = load i32, ptr %sp, align 4
  %size = zext i32 %size.4 to i64
  %size.b = shl i64 %size, 4
  %here.next = getelementptr i8, ptr %here, i64 %size.b
  %none = icmp eq i64 %size, 0
  %root = select i1 %none, i64 0, i64 {SLOTS * slot}
  %ip = getelementptr i8, ptr %scratch, i64 %root
  %table.o = shl i64 %c, 7
  %table = getelementptr i8, ptr %tables, i64 %table.o
  br i1 %none, label %leaves, label %split
split:
  %i = phi i64 [ %size, %chunk ], [ %i.next, %split ]
  %i.next = sub i64 %i, 1
{_decode_split(scan, slot)}{_take_split(scan, blocks)}  %more = icmp ne i64 %i.next, 0
  br i1 %more, label %split, label %leaves
leaves:
{tables_ir(scan)}{_add_leaves(scan, blocks)}  %c.next = add i64 %c, 1
  %again = icmp ult i64 %c.next, %chunks
  br i1 %again, label %chunk, label %end.block
end.block:
{_order_sums(scan, blocks)}  %s.next = add i64 %s, {slot}
  %s.end = add i64 %s.next, {slot}
  %fits.next = icmp ule i64 %s.end, %end
  br i1 %fits.next, label %block, label %done
done:
  ret void
}}
"""


def whole_scan_ir(scan: Scan, blocks: int) -> str:
    """`scan`: the first `middle` candidates with wide slots, the rest up to `end` with slots of one register.

    Takes two scratches, where the base margin stands, and otherwise what scan_<blocks> takes.
    """
    shared = "ptr %splits, ptr %sizes, ptr %tables, i64 %chunks, ptr %bins, i64 %stride"
    return f"""
define void @scan({shared}, i64 %middle, i64 %end, ptr %wide, ptr %narrow, ptr %sums, ptr %base.at) #0 {{
  %base = load float, ptr %base.at, align 4
  call void @scan_{blocks}({shared}, i64 0, i64 %middle, ptr %wide, ptr %sums, float %base)
  call void @scan_1({shared}, i64 %middle, i64 %end, ptr %narrow, ptr %sums, float %base)
  ret void
}}
"""
