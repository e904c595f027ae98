"""`pinfunnel bench` lists every bench with one sentence, and can run each with `--quick`."""

import ast
import importlib.util
from pathlib import Path

import pytest

from apps.commands.bench import benches

FITS = 85
"""Characters of a line that a terminal shows beside the longest name without breaking it into three."""

KNOWN = benches()


def test_the_benches_that_the_docs_name_are_listed() -> None:
    page = (Path(__file__).parents[4] / "docs/benchmarks.md").read_text()
    named = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert named == set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_a_bench_is_described_by_a_whole_sentence_and_has_a_quick_run(name: str) -> None:
    module, what = KNOWN[name]
    assert what.endswith("."), what
    assert len(what) <= FITS
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    functions = [node for node in ast.parse(Path(spec.origin).read_text()).body if isinstance(node, ast.FunctionDef)]
    run = next(node for node in functions if node.name == "run")
    assert run.args.args[0].arg == "quick"
    assert len(run.args.defaults) == len(run.args.args), "the command gives nothing else"
