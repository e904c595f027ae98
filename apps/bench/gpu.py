"""The full ranker on a GPU in bfloat16: throughput, latency, share of the peak.

Without CUDA it always runs quick: small sizes on the CPU, which show that it works and not how fast it is.

    python -m apps.bench.gpu [--quick] [--json OUT]
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from apps.bench.full.cost import flops_of, matrix_peak, timed, torch_machine
from apps.bench.full.toy_log import toy_schema, toy_table
from training.ranker.batch import RequestBatch
from training.ranker.config import ModelConfig
from training.ranker.inputs import Inputs, to_inputs, to_targets
from training.ranker.loss import MultiTaskLoss
from training.ranker.model import FullRanker
from training.ranker.start import learn_inputs


def _half(device: torch.device) -> AbstractContextManager[Any]:
    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()


def _dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


def train(config: ModelConfig, requests: int, candidates: int, steps: int, device: torch.device) -> dict[str, Any]:
    """Steps over one batch that stays on the device: the network's own speed, without the feed's (bench `ranker`
    has that).

    MFU counts the products of forward and backward against a measured square product in the same precision.
    """
    schema = toy_schema(32, 64, 64, 100)
    batch = RequestBatch.from_table(toy_table(schema, requests, candidates), schema)
    torch.manual_seed(0)
    model = FullRanker(schema.widths, config)
    learn_inputs(model, [batch.take(np.arange(min(requests, 16)))])
    model.to(device).train()
    loss = MultiTaskLoss(len(schema.actions)).to(device)
    inputs, targets = to_inputs(batch, device), to_targets(batch, device)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)

    def forward_backward(run: Any) -> None:
        with _half(device):
            total, _ = loss(run(inputs), targets, requests)
        torch.autograd.backward(total)

    flops = flops_of(lambda: forward_backward(model))
    model.zero_grad(set_to_none=True)
    runner = torch.compile(model) if device.type == "cuda" else model

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        forward_backward(runner)
        optimiser.step()

    sync: Callable[[], Any] = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    for _ in range(3):
        step()
    sync()
    start = time.perf_counter()
    for _ in range(steps):
        step()
    sync()
    seconds = (time.perf_counter() - start) / steps
    peak = matrix_peak(device, _dtype(device), 8192 if device.type == "cuda" else 512)
    return {
        "examples_per_second": requests * candidates / seconds,
        "step_ms": seconds * 1e3,
        "candidates_per_step": requests * candidates,
        "flops_per_step": flops,
        "matrix_peak_flops": peak,
        "mfu": flops / seconds / peak,
        "weights": sum(p.numel() for p in model.parameters()),
        "memory_gib": torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None,
    }


def paths(model: FullRanker, device: torch.device) -> dict[str, Callable[[Inputs], Any]]:
    """Ways to run the network: eager; on a GPU also compiled, and compiled with CUDA graphs, which spare the launches
    that a single request of 500 candidates is mostly made of.
    """
    out: dict[str, Callable[[Inputs], Any]] = {"eager": model}
    if device.type == "cuda":
        out["compiled"] = torch.compile(model)
        out["cuda_graphs"] = torch.compile(model, mode="reduce-overhead")
    return out


def serve(
    config: ModelConfig, batches: tuple[int, ...], candidates: int, repeat: int, device: torch.device
) -> dict[str, Any]:
    """By requests in one pass and by path: milliseconds from host arrays to host arrays (`p50_ms`, `p99_ms`), and
    candidates per second so and with the inputs already on the device. A path that cannot run here says why.
    """
    schema = toy_schema(16, 48, 16, 50)
    peak = matrix_peak(device, _dtype(device), 8192 if device.type == "cuda" else 512)
    out: dict[str, Any] = {"matrix_peak_flops": peak}
    for requests in batches:
        batch = RequestBatch.from_table(toy_table(schema, requests, candidates), schema)
        torch.manual_seed(0)
        model = FullRanker(schema.widths, config)
        learn_inputs(model, [batch.take(np.arange(1))])
        model.to(device).eval()
        resident = to_inputs(batch, device)._replace(position=None)
        with torch.inference_mode():
            flops = flops_of(lambda m=model, x=resident: m(x))  # type: ignore[misc]
        out[str(requests)] = {"flops": flops}
        for name, path in paths(model, device).items():
            try:
                out[str(requests)][name] = _timings(path, batch, resident, repeat, device, flops / peak)
            except Exception as error:  # a path that cannot run on this machine is a finding
                out[str(requests)][name] = {"unavailable": f"{type(error).__name__}: {str(error)[:200]}"}
    return out


def _timings(
    path: Callable[[Inputs], Any],
    batch: RequestBatch,
    resident: Inputs,
    repeat: int,
    device: torch.device,
    ideal: float,
) -> dict[str, float]:
    sync = torch.cuda.synchronize if device.type == "cuda" else None

    def scored(x: Inputs) -> Any:
        with torch.inference_mode(), _half(device):
            return path(x)

    whole = timed(lambda: scored(to_inputs(batch, device)._replace(position=None)).cpu(), repeat, sync=sync)
    kept = timed(lambda: scored(resident), repeat, sync=sync)
    n = batch.n_candidates
    return whole | {
        "candidates_per_second": n / whole["p50_ms"] * 1e3,
        "candidates_per_second_resident": n / kept["p50_ms"] * 1e3,
        "resident_p50_ms": kept["p50_ms"],
        "mfu_resident": ideal / (kept["p50_ms"] / 1e3),
    }


def run(quick: bool = False) -> dict[str, Any]:
    """`train`: large() in bfloat16; `serve`: base() and large(), by requests per pass of 500 candidates."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    quick = quick or device.type == "cpu"
    if quick:
        trained = train(ModelConfig.debug(), 4, 50, 2, device)
        served = {"debug": serve(ModelConfig.debug(), (1, 2), 50, 3, device)}
    else:
        trained = train(ModelConfig.large(), 64, 500, 20, device)
        served = {
            name: serve(config, (1, 8, 64, 256), 500, 50, device)
            for name, config in (("base", ModelConfig.base()), ("large", ModelConfig.large()))
        }
    return {"machine": torch_machine(), "device": device.type, "quick": quick, "train": trained, "serve": served}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m apps.bench.gpu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args()
    text = json.dumps(run(args.quick), indent=1)
    if args.json:
        args.json.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
