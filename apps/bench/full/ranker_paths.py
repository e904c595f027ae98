"""Which CPU path serves the full ranker fastest? Eager, folded (what is served), bfloat16 autocast, dynamic int8,
torch.compile, ONNX Runtime; one core, in turns, so that a neighbour's load falls on all of them.

`python -m apps.bench.full.ranker_paths [--only eager,folded,…] [--json OUT]`. ONNX Runtime is measured when onnx,
onnxscript and onnxruntime are installed (they are no dependency of the project); torch.compile needs a C++ compiler.
"""

import argparse
import copy
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from apps.bench.full.cost import timed, torch_machine
from apps.bench.full.ranker import one_core, scorer_of
from apps.bench.full.toy_log import toy_schema, toy_table
from training.ranker.batch import RequestBatch
from training.ranker.config import ModelConfig
from training.ranker.folded import Folded
from training.ranker.inputs import Inputs, to_inputs


class _Flat(nn.Module):
    """The network with its tensors as plain arguments, which is what an exporter can name."""

    def __init__(self, model: nn.Module, width: int) -> None:
        super().__init__()
        self.model, self.width = model, width

    def forward(self, *tensors: Tensor) -> Tensor:
        """Tensors in Inputs' order, without width and position."""
        out: Tensor = self.model(Inputs._make([*tensors[:7], self.width, *tensors[7:], None]))
        return out


def _onnx(flat: nn.Module, tensors: tuple[Tensor, ...]) -> Callable[[], Any]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.onnx"
        torch.onnx.export(flat, tensors, path, dynamo=True, verbose=False)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feeds = {}
    by_shape = list(tensors)
    for wanted in session.get_inputs():  # the exporter drops inputs that nothing reads
        index = int(wanted.name.split("_")[-1]) if wanted.name.split("_")[-1].isdigit() else 0
        feeds[wanted.name] = by_shape[index].numpy()
    return lambda: session.run(None, feeds)


def run(candidates: int = 500, repeat: int = 20, rounds: int = 3, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """Milliseconds per request for each path (the best of `rounds` medians is the one least disturbed), set-up seconds,
    and the largest change of a probability against eager.
    """
    config = ModelConfig.base()
    schema = toy_schema(16, 48, 16, 50)
    batch = RequestBatch.from_table(toy_table(schema, 1, candidates), schema)
    model = scorer_of(schema, config, batch).model
    inputs = to_inputs(batch)._replace(position=None)
    flat = _Flat(model, inputs.width)
    tensors = tuple(t for t in inputs if isinstance(t, Tensor))
    torch.backends.mha.set_fastpath_enabled(False)  # type: ignore[no-untyped-call]

    def half() -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return flat(*tensors)  # type: ignore[no-any-return]

    ready_made = Folded(model)

    def folded() -> Any:
        return ready_made.logits(batch)

    def int8() -> Callable[[], Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            small = torch.ao.quantization.quantize_dynamic(copy.deepcopy(flat), {nn.Linear}, dtype=torch.qint8)
        return lambda: small(*tensors)

    def compiled() -> Callable[[], Any]:
        ready = torch.compile(copy.deepcopy(flat))
        return lambda: ready(*tensors)

    def compiled_half() -> Callable[[], Any]:
        ready = torch.compile(copy.deepcopy(flat))

        def call() -> Any:
            with torch.autocast("cpu", torch.bfloat16):
                return ready(*tensors)

        return call

    paths: dict[str, Callable[[], Callable[[], Any]]] = {
        "eager": lambda: lambda: flat(*tensors),
        "folded": lambda: folded,
        "bfloat16": lambda: half,
        "int8_dynamic": int8,
        "compile": compiled,
        "compile_bfloat16": compiled_half,
        "onnxruntime": lambda: _onnx(flat, tensors),
    }
    out: dict[str, Any] = {"machine": torch_machine(), "candidates": candidates, "paths": {}}
    with one_core(), torch.inference_mode():
        exact = torch.sigmoid(flat(*tensors))
        calls: dict[str, Callable[[], Any]] = {}
        for name, build in paths.items():
            if only and name not in only:
                continue
            start = time.perf_counter()
            try:
                with torch.inference_mode(False), torch.no_grad():
                    call = build()
                result = call()
            except Exception as error:  # a path that cannot run here is a finding, not a failure of the bench
                out["paths"][name] = {"unavailable": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
                continue
            ready = time.perf_counter() - start
            got = torch.as_tensor(result[0] if isinstance(result, list) else result)
            calls[name] = call
            out["paths"][name] = {
                "setup_seconds": ready,
                "largest_change": float((torch.sigmoid(got.float()) - exact).abs().max()),
            }
        turns = [{name: timed(call, repeat) for name, call in calls.items()} for _ in range(rounds)]
        for name in calls:
            out["paths"][name] |= min((turn[name] for turn in turns), key=lambda t: t["p50_ms"])
            out["paths"][name]["p50_of_rounds"] = [turn[name]["p50_ms"] for turn in turns]
            print(name, out["paths"][name], flush=True)
    return out


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="paths to measure, separated by commas; compiling takes minutes")
    args = parser.parse_args()
    text = json.dumps(run(only=tuple(filter(None, args.only.split(",")))), indent=1)
    if args.json:
        args.json.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
