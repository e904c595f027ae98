"""bench: lists the benchmarks and runs one."""

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from apps.commands.options import JsonFile
from apps.console import console, guarded, write_json
from apps.tables import Table
from cluster.extras import require_torch

BENCH_ROOM = "apps.bench"


def benches() -> dict[str, tuple[str, str]]:
    """Benchmarks by name: the module that has it, and the first line of what it says of itself."""
    found = {}
    room = importlib.import_module(BENCH_ROOM)
    for module in pkgutil.walk_packages(room.__path__, f"{BENCH_ROOM}."):
        spec = importlib.util.find_spec(module.name)  # imports the packages, never the benchmarks themselves
        if module.ispkg or spec is None or spec.origin is None:
            continue
        text = Path(spec.origin).read_text(encoding="utf-8")
        if "\ndef run(" in text:
            found[module.name.rpartition(".")[2]] = (module.name, text.split('"""')[1].strip().splitlines()[0])
    return dict(sorted(found.items()))


def bench(
    name: Annotated[str | None, typer.Argument(help="which one; none lists them")] = None,
    quick: Annotated[bool, typer.Option(help="small sizes: shows that it runs, not how fast we are")] = False,
    out: JsonFile = None,
) -> None:
    """Measure us next to peers in one run, on pinned cores, medians and ratios (docs/benchmarks.md)."""
    known = benches()
    if name is None:
        table = Table(title="pinfunnel bench NAME")
        table.add_column("name")
        table.add_column("what")
        for each, (_, what) in known.items():
            table.add_row(each, what)
        console.print(table)
        return
    if name not in known:
        raise typer.BadParameter(f"no benchmark '{name}'; there are {', '.join(known)}")
    with guarded():
        figures = _loaded(name, known[name][0]).run(quick=quick)
        console.print_json(data=figures, default=str)
        write_json(out, figures)


def _loaded(name: str, module: str) -> ModuleType:
    """The module of a bench. Raises MissingPackageError for the torch that most of them compute with."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        require_torch(f"bench {name}")
        raise
