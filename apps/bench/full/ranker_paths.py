"""The full ranker on one CPU core: seven ways to run the network, in turns.

Eager, folded (what is served), bfloat16 autocast, dynamic int8, torch.compile, ONNX Runtime; one core, in turns, so
that a neighbour's load falls on all of them. ONNX Runtime is measured when onnx, onnxscript and onnxruntime are
installed (they are no dependency of the project); torch.compile needs a C++ compiler.

    python -m apps.bench.full.ranker_paths [--quick] [--only eager,folded,…] [--json OUT]
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

Call = Callable[[], Any]  # scores the request


class _Flat(nn.Module):
    """The network with its tensors as plain arguments, which is what an exporter can name."""

    def __init__(self, model: nn.Module, width: int) -> None:
        super().__init__()
        self.model, self.width = model, width

    def forward(self, *tensors: Tensor) -> Tensor:
        """Tensors in Inputs' order, without width and position."""
        out: Tensor = self.model(Inputs._make([*tensors[:7], self.width, *tensors[7:], None]))
        return out


def _onnx(flat: nn.Module, tensors: tuple[Tensor, ...]) -> Call:
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


class Paths:
    """The ways to run one network on one request; each method sets a way up and returns its call."""

    def __init__(self, config: ModelConfig, candidates: int) -> None:
        schema = toy_schema(16, 48, 16, 50)
        self._batch = RequestBatch.from_table(toy_table(schema, 1, candidates), schema)
        self._model = scorer_of(schema, config, self._batch).model
        inputs = to_inputs(self._batch)._replace(position=None)
        self._flat = _Flat(self._model, inputs.width)
        self._tensors = tuple(t for t in inputs if isinstance(t, Tensor))

    def eager(self) -> Call:
        """The network as it was trained."""
        return lambda: self._flat(*self._tensors)

    def folded(self) -> Call:
        """What serves on a CPU."""
        ready = Folded(self._model)
        return lambda: ready.logits(self._batch)

    def bfloat16(self) -> Call:
        """Eager in half precision."""
        return _in_half(self.eager())

    def int8_dynamic(self) -> Call:
        """Linear layers with int8 weights."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            small = torch.ao.quantization.quantize_dynamic(copy.deepcopy(self._flat), {nn.Linear}, dtype=torch.qint8)
        return lambda: small(*self._tensors)

    def compile(self) -> Call:
        """torch.compile."""
        ready = torch.compile(copy.deepcopy(self._flat))
        return lambda: ready(*self._tensors)

    def compile_bfloat16(self) -> Call:
        """torch.compile in half precision."""
        return _in_half(self.compile())

    def onnxruntime(self) -> Call:
        """Exported and run by ONNX Runtime."""
        return _onnx(self._flat, self._tensors)

    def all(self) -> dict[str, Callable[[], Call]]:
        """Every way by name."""
        return {
            "eager": self.eager,
            "folded": self.folded,
            "bfloat16": self.bfloat16,
            "int8_dynamic": self.int8_dynamic,
            "compile": self.compile,
            "compile_bfloat16": self.compile_bfloat16,
            "onnxruntime": self.onnxruntime,
        }


def _in_half(call: Call) -> Call:
    def half() -> Any:
        with torch.autocast("cpu", torch.bfloat16):
            return call()

    return half


def set_up(build: Callable[[], Call], exact: Tensor) -> tuple[Call | None, dict[str, Any]]:
    """A way's call, None if it cannot run here; seconds to set it up, and the largest change of a probability."""
    start = time.perf_counter()
    try:
        with torch.inference_mode(False), torch.no_grad():
            call = build()
        result = call()
    except Exception as error:  # a way that cannot run here is a finding, not a failure of the bench
        return None, {"unavailable": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
    seconds = time.perf_counter() - start
    logits = torch.as_tensor(result[0] if isinstance(result, list) else result)
    change = (torch.sigmoid(logits.float()) - exact).abs().max()
    return call, {"setup_seconds": seconds, "largest_change": float(change)}


def run(
    quick: bool = False, candidates: int = 500, repeat: int = 20, rounds: int = 3, only: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Milliseconds per request for each way (the best of `rounds` medians is the one least disturbed), set-up seconds,
    and the largest change of a probability against eager.

    `only` names the ways to take. `quick` takes a small network and nothing that compiles for minutes.
    """
    if quick:
        candidates = 50
        repeat = 3
        rounds = 1
        only = only or ("eager", "folded", "bfloat16", "int8_dynamic")
    paths = Paths(ModelConfig.debug() if quick else ModelConfig.base(), candidates)
    torch.backends.mha.set_fastpath_enabled(False)  # type: ignore[no-untyped-call]
    found: dict[str, dict[str, Any]] = {}
    calls: dict[str, Call] = {}
    with one_core(), torch.inference_mode():
        exact = torch.sigmoid(paths.eager()())
        for name, build in paths.all().items():
            if only and name not in only:
                continue
            call, found[name] = set_up(build, exact)
            if call is not None:
                calls[name] = call
        turns = [{name: timed(call, repeat) for name, call in calls.items()} for _ in range(rounds)]
    for name in calls:
        found[name] |= min((turn[name] for turn in turns), key=lambda t: t["p50_ms"])
        found[name]["p50_of_rounds"] = [turn[name]["p50_ms"] for turn in turns]
    return {"machine": torch_machine(), "candidates": candidates, "paths": found}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m apps.bench.full.ranker_paths", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a small network: shows that it runs")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--only", default="", help="paths to measure, separated by commas; compiling takes minutes")
    args = parser.parse_args()
    text = json.dumps(run(args.quick, only=tuple(filter(None, args.only.split(",")))), indent=1)
    if args.json:
        args.json.write_text(text)
    print(text)


if __name__ == "__main__":
    main()
