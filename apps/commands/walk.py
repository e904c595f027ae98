"""walk: from pins named on the command line to a table of what a walk reaches."""

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.options import DEFAULT_PROJECT, JsonFile, ProjectFile
from apps.console import console, guarded, write_json
from apps.project import open_project
from apps.tables import Table
from cluster.errors import ConfigError, DataError
from cluster.settings.attributes import attribute_kinds

if TYPE_CHECKING:
    from cluster.graph.ids import IdMap

Id = int | str


def walk(
    pin: Annotated[list[str], typer.Option("--pin", help="query pin; may be repeated. Also ID:WEIGHT, see above")],
    weight: Annotated[
        list[float] | None, typer.Option("--weight", help="weight of the --pin at the same turn; default: 1 for all")
    ] = None,
    project: ProjectFile = DEFAULT_PROJECT,
    steps: Annotated[int, typer.Option(min=1, help="steps to walk in all")] = 200_000,
    top: Annotated[int, typer.Option(min=1, help="pins to print")] = 20,
    discount: Annotated[float, typer.Option(min=0, help="popularity discount: visits / degree^this")] = 0.0,
    only: Annotated[
        str | None, typer.Option("--filter", help="only pins that match, in JSON as a request's `filter`")
    ] = None,
    seed: Annotated[int, typer.Option(help="the same seed walks the same walk")] = 0,
    out: JsonFile = None,
) -> None:
    """Walk from pins and print what was reached: visit count, and which query pins led there.

    pinfunnel walk --pin 10000534 --weight 1 --pin 10000618 --weight 0.5

    pinfunnel walk --pin 10000534 --filter '{"attribute": "locale", "in": ["de", "fr"]}'

    Without --weight, ID:WEIGHT gives a pin its weight, unless the graph has a pin with that whole text as its id.
    """
    with guarded():
        check_weights(pin, weight)
        opened = open_project(project)
        from cluster.attributes.reading import filter_of_text
        from cluster.walk.sharded import walker_of
        from cluster.walk.walker import WalkParams

        kinds = attribute_kinds(opened.project.attributes)
        asked = None if only is None else filter_of_text(only, kinds, ("--filter",))
        catalog = opened.new_process().catalogs.current
        graph = catalog.graph
        allowed = None if asked is None else catalog.attributes.matching(asked)
        ids, weights = query_pins(graph.pin_ids, pin, weight)
        params = WalkParams(steps=steps, top_k=top, popularity_discount=discount)
        began = time.perf_counter()
        pins = graph.pin_ids.index_of(ids)
        found = walker_of(graph).walk_indices(pins, weights, params=params, seed=seed, allowed=allowed)
        seconds = time.perf_counter() - began
        table = Table(title=f"{found.steps:,} steps from {len(ids)} query pins")
        for heading in ("pin", "score", "visits", *(f"from {i}" for i in ids)):
            table.add_column(heading, justify="right")
        names = found.pin_ids.tolist()
        for rank, name in enumerate(names):
            by_query = map(str, found.by_query[rank])
            table.add_row(str(name), f"{found.scores[rank]:.1f}", str(found.visits[rank]), *by_query)
        console.print(table)
        rows = [
            {"pin_id": name, "score": float(found.scores[rank]), "visits": int(found.visits[rank])}
            for rank, name in enumerate(names)
        ]
        write_json(out, {"steps": found.steps, "pins": rows, "seconds": seconds})


def check_weights(pins: Sequence[str], weights: Sequence[float] | None) -> None:
    """Raises ConfigError unless there are as many weights as pins, all of them positive numbers."""
    if not weights:
        return
    if len(weights) != len(pins):
        raise ConfigError(f"--weight: {len(pins)} pins but {len(weights)} weights: give one --weight for each --pin")
    bad = [weight for weight in weights if not (math.isfinite(weight) and weight > 0)]
    if bad:
        raise ConfigError(f"--weight: {bad[0]} is not a number above 0")


def query_pins(known: "IdMap", given: Sequence[str], weights: Sequence[float] | None) -> tuple[list[Id], list[float]]:
    """Ids and weights of the query pins. Raises DataError for a text that names no pin of the graph.

    An id may hold colons: only where the whole text is no id, and the part behind its last colon is a number above 0,
    are the two taken apart. With `weights` no text is.
    """
    if weights:
        return [_known(known, text, text) for text in given], list(weights)
    pairs = [_id_and_weight(known, text) for text in given]
    return [pin for pin, _ in pairs], [weight for _, weight in pairs]


def _id_and_weight(known: "IdMap", text: str) -> tuple[Id, float]:
    head, colon, tail = text.rpartition(":")
    try:
        weight = float(tail)
    except ValueError:
        weight = math.nan
    may_be_cut = bool(colon) and math.isfinite(weight) and weight > 0
    if not may_be_cut or _find(known, text) is not None:
        return _known(known, text, text), 1.0
    return _known(known, head, text), weight


def _find(known: "IdMap", text: str) -> Id | None:
    try:
        pin: Id = int(text) if known.dtype == "int64" else text
        if isinstance(pin, int) and not -(2**63) <= pin < 2**63:
            return None
        return pin if known.index_of([pin])[0] >= 0 else None
    except ValueError:  # no whole number, or bytes that are no text
        return None


def _known(known: "IdMap", text: str, given: str) -> Id:
    pin = _find(known, text)
    if pin is not None:
        return pin
    if known.dtype == "int64" and not text.lstrip("-").isdigit():
        raise DataError(f"--pin: {given}: this project's pin ids are int64; write ID or ID:WEIGHT")
    raise DataError(f"--pin: {given} is not in the graph")
