"""The full ranker: training beside a plain loop, serving on one core.

The plain loop takes the same tensors, which stand ready in memory; ours reads Parquet. Serving is measured by number of
candidates, length of the sequence and requests at once.

    python -m apps.bench.full.ranker [--quick] [--brief] [--json OUT] [--plot OUT.svg]
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from apps.bench.full.cost import flops_of, in_turns, matrix_peak, timed, torch_machine
from apps.bench.full.toy_log import toy_schema, toy_table
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.feed import ParquetFeed
from training.ranker.fit import fit
from training.ranker.inputs import to_inputs, to_targets
from training.ranker.loss import MultiTaskLoss
from training.ranker.model import FullRanker
from training.ranker.scorer import FullScorer
from training.ranker.start import learn_inputs

BAR_MS = 8.0
"""What scoring 500 candidates with `base()` may take on one core, p50."""
SHOWN = 25
"""Pins of an answer that is explained."""


@contextmanager
def one_core() -> Iterator[None]:
    """This process on one core with one torch thread; restored afterwards."""
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    os.sched_setaffinity(0, {min(cores)})
    torch.set_num_threads(1)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)


def scorer_of(schema: RankerSchema, config: ModelConfig, sample: RequestBatch) -> FullScorer:
    """An untrained scorer whose input statistics are real: cost does not depend on the weights."""
    torch.manual_seed(0)
    model = FullRanker(schema.widths, config)
    learn_inputs(model, [sample])
    return FullScorer(schema, config, model)


def training(config: ModelConfig, requests: int, candidates: int, rounds: int) -> dict[str, Any]:
    """Candidates per second: our feed and loop from Parquet, and a plain PyTorch loop over the same tensors in
    memory.
    """
    schema = toy_schema(16, 48, 16, 32)
    fit_config = FitConfig(epochs=1, batch_requests=16, threads=1, patience=0, checkpoint_steps=10**9)
    table = toy_table(schema, requests, candidates)
    ours = []
    plain = []
    steps = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(table, path, row_group_size=64)
        feed = ParquetFeed([path], schema, fit_config.batch_requests, 256, 0)
        held = list(feed(0, 0))
        for _ in range(rounds):
            model = FullRanker(schema.widths, config, sparse=True)
            learn_inputs(model, held[:1])
            start = time.perf_counter()
            fit(model, feed, [], fit_config)
            ours.append(requests * candidates / (time.perf_counter() - start))

            tensors = [(to_inputs(b), to_targets(b), b.n_requests) for b in held]
            model = FullRanker(schema.widths, config, sparse=True).train()
            learn_inputs(model, held[:1])
            loss = MultiTaskLoss(len(schema.actions))
            tables = model.hashed_parameters()
            known = {id(p) for p in tables}
            dense = [p for p in model.parameters() if id(p) not in known]
            optimisers = [torch.optim.AdamW(dense, 1e-3, fused=True), torch.optim.SparseAdam(tables, 1e-3)]
            start = time.perf_counter()
            for inputs, targets, n in tensors:
                for optimiser in optimisers:
                    optimiser.zero_grad()
                loss(model(inputs), targets, n)[0].backward()
                torch.nn.utils.clip_grad_norm_(dense, 1.0)
                for optimiser in optimisers:
                    optimiser.step()
            plain.append(requests * candidates / (time.perf_counter() - start))
            steps = len(tensors)
        inputs, targets, n = tensors[0]
        step_flops = flops_of(lambda: loss(model(inputs), targets, n)[0].backward())
    rate = float(np.median(ours))
    peak = matrix_peak()
    return {
        "candidates_per_second": rate,
        "plain_loop_candidates_per_second": float(np.median(plain)),
        "ratio": float(np.median(np.array(ours) / np.array(plain))),
        "flops_per_candidate": step_flops / len(inputs.request),
        "mfu": rate * step_flops / len(inputs.request) / peak,
        "steps": steps,
        "rounds": rounds,
    }


def serving(config: ModelConfig, repeat: int, curves: bool) -> dict[str, Any]:
    """One request of 500 candidates on one core, in turns with a plain torch forward of the same network over tensors
    that stand ready; explaining an answer's pins; and how the cost grows with candidates, actions and requests at once.
    """
    schema = toy_schema(16, 48, 16, 50)
    batch = RequestBatch.from_table(toy_table(schema, 1, 500), schema)
    scorer = scorer_of(schema, config, batch)
    inputs = to_inputs(batch)._replace(position=None)
    shown = RequestBatch.from_table(toy_table(schema, 1, SHOWN), schema)
    with torch.inference_mode():
        flops = flops_of(lambda: scorer.model(inputs))
        taken = in_turns({"ours": lambda: scorer.score(batch), "plain": lambda: scorer.model(inputs)}, repeat)
    out: dict[str, Any] = {
        "request_500": taken["ours"],
        "plain_torch_500": taken["plain"],
        "ratio_to_plain_torch": taken["ours"]["p50_ms"] / taken["plain"]["p50_ms"],
        "bar_ms": BAR_MS,
        "explain_25": timed(lambda: scorer.explain(shown), max(5, repeat // 4), warm=1),
    }
    peak = matrix_peak()
    out |= {
        "flops_per_request": flops,
        "matrix_peak_flops": peak,
        "mfu": flops / (out["request_500"]["cpu_p50_ms"] / 1e3) / peak,
        "weights": sum(p.numel() for p in scorer.model.parameters()),
    }
    if not curves:
        return out

    def cost(requests: int, candidates: int, length: int) -> dict[str, float]:
        s = toy_schema(16, 48, 16, length)
        b = RequestBatch.from_table(toy_table(s, requests, candidates), s)
        model = scorer_of(s, config, b)
        return timed(lambda: model.score(b), max(5, repeat // 4), warm=2)

    out["by_candidates"] = {str(n): cost(1, n, 50) for n in (50, 125, 250, 500, 1000, 2000)}
    out["by_sequence_length"] = {str(n): cost(1, 500, n) for n in (0, 10, 25, 50, 100, 200)}
    out["by_requests_of_500"] = {str(n): cost(n, 500, 50) for n in (1, 2, 4, 8)}
    return out


def run(quick: bool = False, brief: bool = False) -> dict[str, Any]:
    """All figures as one JSON-able dict. `quick` uses debug() and small sizes: a check that it runs, not a
    measurement. `brief` measures one request and its explanation, without curves and training.
    """
    config = ModelConfig.debug() if quick else ModelConfig.base()
    with one_core():
        served = serving(config, 5 if quick else 40, curves=not (quick or brief))
        figures = {"machine": torch_machine(), "config": config.to_dict(), "serving": served}
        if not brief:
            figures["training"] = training(config, 64 if quick else 256, 50 if quick else 200, 1 if quick else 3)
    return figures


def plot(figures: dict[str, Any], path: Path) -> None:
    """The three cost curves as one picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    fig, axes = pyplot.subplots(1, 3, figsize=(12, 3.4), constrained_layout=True)
    for axis, (key, label) in zip(
        axes,
        (
            ("by_candidates", "candidates"),
            ("by_sequence_length", "actions in the sequence"),
            ("by_requests_of_500", "requests of 500"),
        ),
        strict=True,
    ):
        points = figures["serving"][key]
        x = [int(k) for k in points]
        axis.plot(x, [points[str(k)]["cpu_p50_ms"] for k in x], marker="o", label="CPU time")
        axis.plot(x, [points[str(k)]["min_ms"] for k in x], marker=".", label="least wall time")
        axis.set_xlabel(label)
        axis.set_ylabel("ms, one core")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend()
    fig.savefig(path, dpi=120)
    pyplot.close(fig)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m apps.bench.full.ranker", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs")
    parser.add_argument("--brief", action="store_true", help="one request of 500 and its explanation: a minute")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--plot", type=Path, help="draw the cost curves here")
    args = parser.parse_args()
    figures = run(args.quick, args.brief)
    if args.json:
        args.json.write_text(json.dumps(figures, indent=1))
    if args.plot and not (args.quick or args.brief):
        plot(figures, args.plot)
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
