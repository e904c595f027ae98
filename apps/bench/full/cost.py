"""Measuring tools of the full ranker's benches: CPU time beside wall time, counted FLOPs, the machine's own matrix
peak.
"""

import time
from collections.abc import Callable, Mapping, Sequence
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
    """`in_turns` of one call."""
    return in_turns({"call": call}, repeat, warm, sync)["call"]


def in_turns(
    calls: Mapping[str, Callable[[], Any]], repeat: int, warm: int = 3, sync: Callable[[], None] | None = None
) -> dict[str, dict[str, float]]:
    """Milliseconds of `repeat` rounds of one call each, so that a slow minute falls on all: wall p50, p99, least, and
    this thread's CPU time p50 (what a call costs when other processes hold the core for part of the time). On a GPU
    pass `sync`.
    """
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for turn in range(warm + repeat):
        for name, call in calls.items():
            if sync is not None:
                sync()
            wall, cpu = time.perf_counter(), time.thread_time()
            call()
            if sync is not None:
                sync()
            if turn >= warm:
                times[name].append((time.perf_counter() - wall, time.thread_time() - cpu))
    return {name: _figures(*zip(*taken, strict=True)) for name, taken in times.items()}


def _figures(wall: Sequence[float], cpu: Sequence[float]) -> dict[str, float]:
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
