"""Measuring tools of the full ranker's benches: CPU time beside wall time, counted FLOPs, the machine's own matrix
peak.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from apps.bench.machine import machine, versions


def torch_machine() -> dict[str, Any]:
    """`machine()` with the GPU and torch's version."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {**machine(), "gpu": gpu, **versions("torch")}


def timed(
    call: Callable[[], Any], repeat: int, warm: int = 3, sync: Callable[[], None] | None = None
) -> dict[str, float]:
    """Milliseconds of `repeat` calls: wall p50, p99, least, and this thread's CPU time p50 (what a call costs when
    other processes hold the core for part of the time). On a GPU pass `sync`.
    """
    for _ in range(warm):
        call()
    wall, cpu = [], []
    for _ in range(repeat):
        if sync is not None:
            sync()
        w, c = time.perf_counter(), time.thread_time()
        call()
        if sync is not None:
            sync()
        wall.append(time.perf_counter() - w)
        cpu.append(time.thread_time() - c)
    p50, p99 = np.percentile(wall, [50, 99]) * 1e3
    return {
        "p50_ms": float(p50),
        "p99_ms": float(p99),
        "min_ms": min(wall) * 1e3,
        "cpu_p50_ms": float(np.median(cpu)) * 1e3,
    }


def flops_of(call: Callable[[], Any]) -> int:
    """Floating-point operations of matrix products and attention in one call (a multiply-add is two)."""
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def matrix_peak(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, size: int = 1024, repeat: int = 8
) -> float:
    """FLOP/s of a square matrix product: the peak that counts as 100 % of MFU. The best of `repeat`; CPU time on
    the CPU.
    """
    device = torch.device(device)
    x = torch.randn(size, size, device=device, dtype=dtype)
    sync = torch.cuda.synchronize if device.type == "cuda" else None
    clock = time.perf_counter if device.type == "cuda" else time.thread_time
    best = float("inf")
    for _ in range(repeat + 2):
        if sync is not None:
            sync()
        start = clock()
        torch.mm(x, x)
        if sync is not None:
            sync()
        best = min(best, clock() - start)
    return 2 * size**3 / best
