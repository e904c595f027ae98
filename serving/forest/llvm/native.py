"""Compile the forest's LLVM IR for an instruction set and call it. Knows nothing of models, requests or Ray.

LLVM comes with numba (llvmlite). Going to it directly, not through `@njit`, lets one process hold a version per
instruction set, compiles in a fraction of a second, and calls with the interpreter lock released.
"""

import platform
import threading
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm

from serving.forest.llvm.bins import search_ir
from serving.forest.llvm.leaves import Scan
from serving.forest.llvm.scan import scan_ir, whole_scan_ir
from serving.forest.llvm.tiles import gather_ir, transpose_ir

_DECLARATIONS = """
declare <16 x float> @llvm.x86.avx512.vpermi2var.ps.512(<16 x float>, <16 x i32>, <16 x float>)
declare <16 x float> @llvm.x86.avx512.permvar.sf.512(<16 x float>, <16 x i32>)
declare <8 x float> @llvm.x86.avx2.gather.d.ps.256(<8 x float>, ptr, <8 x i32>, <8 x float>, i8)
declare <8 x float> @llvm.x86.avx2.permps(<8 x float>, <8 x i32>)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.usub.sat.i64(i64, i64)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare <32 x i8> @llvm.x86.avx2.pshuf.b(<32 x i8>, <32 x i8>)
declare <32 x i8> @llvm.umax.v32i8(<32 x i8>, <32 x i8>)
declare <16 x i8> @llvm.umax.v16i8(<16 x i8>, <16 x i8>)
"""
_ATTRIBUTES = 'attributes #0 = { nounwind "prefer-vector-width"="512" "min-legal-vector-width"="512" }\n'


@dataclass(frozen=True)
class Level:
    """An instruction set: what LLVM is told, and the scan it gets."""

    name: str
    needs: tuple[str, ...]
    cpu: str
    features: str
    scan: Scan
    blocks: int  # registers per slot in the main loop


LEVELS = {
    level.name: level
    for level in (
        Level(
            "avx512",
            ("avx512f", "avx512bw", "avx512vl", "avx512dq"),
            "icelake-server",
            "+avx512f,+avx512bw,+avx512vl,+avx512dq,-prefer-256-bit",
            Scan(64, "permute"),
            8,
        ),
        Level("avx2", ("avx2",), "haswell", "", Scan(32, "shuffle"), 8),
        Level("plain", (), "", "", Scan(16, "scalar"), 4),
    )
}
_compile_lock = threading.Lock()


def best_level() -> str:
    """The best instruction set this machine has: "avx512", "avx2" or "plain"."""
    features: dict[str, bool] = llvm.get_host_cpu_features() if platform.machine() in ("x86_64", "AMD64") else {}
    return next(name for name, level in LEVELS.items() if all(features.get(need) for need in level.needs))


class Native:
    """The compiled functions of one instruction set, as addresses; any thread may call them."""

    def __init__(self, level: Level) -> None:
        self.level = level
        self._engine = self._compile(level)
        address = self._engine.get_function_address
        self.scan = address("scan")
        self.transpose = address("transpose")
        self.search = address("search")
        self.gather = address("gather")

    @staticmethod
    def _compile(level: Level) -> Any:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        llvm.initialize_native_asmparser()
        scan = level.scan
        text = _DECLARATIONS + scan_ir(scan, level.blocks) + scan_ir(scan, 1) + whole_scan_ir(scan, level.blocks)
        text += transpose_ir(scan.lanes) + search_ir(scan.lookup, scan.lanes) + gather_ir() + _ATTRIBUTES
        module = llvm.parse_assembly(text)
        module.triple = llvm.get_process_triple()
        module.verify()
        machine = llvm.Target.from_triple(module.triple).create_target_machine(
            cpu=level.cpu, features=level.features, opt=3
        )
        passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
        passes.getModulePassManager().run(module, passes)
        engine = llvm.create_mcjit_compiler(module, machine)
        engine.finalize_object()
        return engine


@cache
def _native(name: str) -> Native:
    return Native(LEVELS[name])


def native(name: str) -> Native:
    """The compiled functions of an instruction set, compiled on first use."""
    with _compile_lock:
        return _native(name)
