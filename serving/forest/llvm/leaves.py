"""LLVM IR of the scan's leaf look-up: 32 weights by the byte that numbers a leaf. Text in, text out."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Scan:
    """One instruction set's way to scan: register `width` in bytes and how leaves are looked up."""

    width: int
    lookup: str  # "permute" (AVX-512), "shuffle" (AVX2) or "scalar"

    @property
    def lanes(self) -> int:
        """32-bit values that fit into one register."""
        return self.width // 4

    @property
    def order(self) -> list[list[int]]:
        """Which candidate each lane of each of the four sum registers belongs to."""
        if self.lookup == "permute":
            return [[4 * lane + byte for lane in range(self.lanes)] for byte in range(4)]
        if self.lookup == "shuffle":
            return [[4 * part + i for i in range(4)] + [16 + 4 * part + i for i in range(4)] for part in range(4)]
        return [[self.lanes * part + lane for lane in range(self.lanes)] for part in range(4)]


def mask(lanes: list[int]) -> str:
    """The lanes of a shufflevector."""
    return f"<{len(lanes)} x i32> <{', '.join(f'i32 {lane}' for lane in lanes)}>"


def tables_ir(scan: Scan) -> str:
    """Load a chunk's table of leaf weights into registers, once per chunk and block."""
    if scan.lookup == "permute":
        return (
            "  %t0 = load <16 x float>, ptr %table, align 4\n"
            "  %tp1 = getelementptr i8, ptr %table, i64 64\n"
            "  %t1 = load <16 x float>, ptr %tp1, align 4\n"
        )
    if scan.lookup == "shuffle":
        out = "  %bytes = load <128 x i8>, ptr %table, align 4\n"
        for plane in range(4):
            for half in range(2):
                lanes = [64 * half + 4 * i + plane for i in range(16)] * 2
                out += f"  %p{plane}.{half} = shufflevector <128 x i8> %bytes, <128 x i8> poison, {mask(lanes)}\n"
        return out
    return ""


def _lookup_permute(b: int) -> str:
    out = f"  %w{b} = bitcast <64 x i8> %id{b} to <16 x i32>\n"
    for part in range(4):
        out += f"  %x{b}.{part} = lshr <16 x i32> %w{b}, splat (i32 {8 * part})\n"
        out += (
            f"  %y{b}.{part} = call <16 x float> @llvm.x86.avx512.vpermi2var.ps.512("
            f"<16 x float> %t0, <16 x i32> %x{b}.{part}, <16 x float> %t1)\n"
        )
    return out


def _lookup_shuffle(b: int) -> str:
    """Four byte planes by pshufb, which gives 0 for an index with its top bit set; then bytes back into floats."""
    v = "<32 x i8>"
    out = f"  %lo{b} = add {v} %id{b}, splat (i8 112)\n  %hi{b} = sub {v} %id{b}, splat (i8 16)\n"
    for plane in range(4):
        for half, index in enumerate(("lo", "hi")):
            out += f"  %q{b}.{plane}.{half} = call {v} @llvm.x86.avx2.pshuf.b({v} %p{plane}.{half}, {v} %{index}{b})\n"
        out += f"  %q{b}.{plane} = or {v} %q{b}.{plane}.0, %q{b}.{plane}.1\n"

    def unpack(result: str, first: str, second: str, kind: str, lanes: int, high: int) -> str:
        half = lanes // 2
        order = []
        for lane in range(2):
            for i in range(half // 2):
                at = lane * half + high * half // 2 + i
                order += [at, lanes + at]
        t = f"<{lanes} x {kind}>"
        return f"  %{result} = shufflevector {t} %{first}, {t} %{second}, {mask(order)}\n"

    for pair in range(2):
        for high in range(2):
            name = f"u{b}.{pair}.{high}"
            out += unpack(name + ".b", f"q{b}.{2 * pair}", f"q{b}.{2 * pair + 1}", "i8", 32, high)
            out += f"  %{name} = bitcast {v} %{name}.b to <16 x i16>\n"
    for part in range(4):
        out += unpack(f"y{b}.{part}.w", f"u{b}.0.{part // 2}", f"u{b}.1.{part // 2}", "i16", 16, part % 2)
        out += f"  %y{b}.{part} = bitcast <16 x i16> %y{b}.{part}.w to <8 x float>\n"
    return out


def _lookup_scalar(scan: Scan, b: int) -> str:
    t = f"<{scan.lanes} x float>"
    out = ""
    for part in range(4):
        last = "poison"
        for lane in range(scan.lanes):
            n = f"{b}.{part}.{lane}"
            out += f"  %e{n} = extractelement <{scan.width} x i8> %id{b}, i32 {scan.order[part][lane]}\n"
            out += f"  %z{n} = zext i8 %e{n} to i64\n  %g{n} = getelementptr float, ptr %table, i64 %z{n}\n"
            out += f"  %f{n} = load float, ptr %g{n}, align 4\n"
            name = f"%y{b}.{part}" if lane == scan.lanes - 1 else f"%i{n}"
            out += f"  {name} = insertelement {t} {last}, float %f{n}, i32 {lane}\n"
            last = name
    return out


def lookup_ir(scan: Scan, b: int) -> str:
    """%y<b>.0 to %y<b>.3: the weights of the leaf numbers in %id<b>, in the order that `scan.order` gives."""
    if scan.lookup == "permute":
        return _lookup_permute(b)
    return _lookup_shuffle(b) if scan.lookup == "shuffle" else _lookup_scalar(scan, b)
