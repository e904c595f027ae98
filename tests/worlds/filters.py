"""Filters for tests: the toy world with attributes, random filters over it, and what each means for one row."""

from datetime import datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
from hypothesis import strategies as st

from apps.project import Opened, open_project
from cluster.catalog.build import build_catalog
from tests.worlds.toy import toy_project, toy_world

ATTRIBUTES = {"image_quality": "number", "text_length": "number", "domain": "category", "format": "category"}

Row = dict[str, Any]


def filtered_world(folder: Path, build: bool = True) -> Opened:
    """The toy world with columns of its pins as attributes, and its graph published."""
    settings = {"attributes": ATTRIBUTES, "serving": {"simulation": True}}
    opened = open_project(toy_project(folder, settings=settings))
    if build:
        build_catalog(opened.project, opened.new_process().store, in_memory=True)
    return opened


def pin_rows_of(opened: Opened) -> dict[int, Row]:
    """Every pin of the graph by its id, as the pins input has it."""
    assert opened.project.data.pins is not None
    graph = opened.new_process().catalogs.current.graph
    rows = pq.read_table(opened.project.data.pins.path).to_pylist()
    there = set(graph.pin_ids.ids_of(range(graph.n_pins)).tolist())
    return {row["pin_id"]: row for row in rows if row["pin_id"] in there}


def holds(asked: dict[str, Any], row: Row) -> bool:
    """The slow twin: whether one pin matches a filter in JSON, by the words of docs/filters.md."""
    if "and" in asked:
        return all(holds(part, row) for part in asked["and"])
    if "or" in asked:
        return any(holds(part, row) for part in asked["or"])
    if "not" in asked:
        return not holds(asked["not"], row)
    value = row[asked["attribute"]]
    return all(_meets(value, operator, given) for operator, given in asked.items() if operator != "attribute")


def _meets(value: Any, operator: str, given: Any) -> bool:
    has = bool(value) if isinstance(value, list) else value is not None
    if operator == "exists":
        return has == given
    if not has:
        return False
    if operator in ("contains", "any_of"):
        return any(one in value for one in (given if operator == "any_of" else [given]))
    if operator == "all_of":
        return all(one in value for one in given)
    if isinstance(value, datetime):
        value, given = value.timestamp(), _seconds(given)
    if operator == "in":
        return value in given
    met = {"=": value == given, "<": False, "<=": False, ">": False, ">=": False}
    if operator != "=":
        met |= {"<": value < given, "<=": value <= given, ">": value > given, ">=": value >= given}
    return met[operator]


def _seconds(given: Any) -> Any:
    if isinstance(given, list):
        return [_seconds(one) for one in given]
    return datetime.fromisoformat(given).timestamp() if isinstance(given, str) else given


@cache
def _toy_rows() -> list[Row]:
    with TemporaryDirectory() as folder:
        toy_world().write(folder)
        return pq.read_table(Path(folder) / "pins").to_pylist()


def toy_filters() -> st.SearchStrategy[dict[str, Any]]:
    """Random filters over the toy world's pins; its tables are made when the first is drawn."""
    return st.deferred(lambda: filters(_toy_rows()))


def filters(rows: list[Row], depth: int = 3) -> st.SearchStrategy[dict[str, Any]]:
    """Random well-formed filters whose values mostly are some that `rows` have."""
    numbers = [_numeric(name, rows) for name in ("image_quality", "text_length", "created_at")]
    words = [_words(name, rows) for name in ("domain", "format", "locale")]
    known = st.builds(
        lambda name, yes: {"attribute": name, "exists": yes}, st.sampled_from([*ATTRIBUTES, "topics"]), st.booleans()
    )
    leaf = st.one_of(*numbers, *words, _lists(rows), known)

    def grown(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
        parts = st.lists(inner, min_size=1, max_size=3)
        return st.one_of(
            parts.map(lambda p: {"and": p}), parts.map(lambda p: {"or": p}), inner.map(lambda p: {"not": p})
        )

    grown_once = leaf
    for _ in range(depth):
        grown_once = st.one_of(leaf, grown(grown_once))
    return grown_once


def _numeric(name: str, rows: list[Row]) -> st.SearchStrategy[dict[str, Any]]:
    there = sorted({row[name] for row in rows if row[name] is not None})
    if isinstance(there[0], datetime):
        there = [moment.isoformat() for moment in there]
        value = st.sampled_from(there)
    else:
        value = st.one_of(st.sampled_from(there), st.floats(-1e3, 1e3), st.integers(-5, 300))
    operators = st.dictionaries(st.sampled_from(["=", "<", "<=", ">", ">="]), value, min_size=1, max_size=2)
    within = st.lists(value, min_size=1, max_size=5).map(lambda values: {"in": values})
    return st.one_of(operators, within).map(lambda asked: {"attribute": name, **asked})


def _words(name: str, rows: list[Row]) -> st.SearchStrategy[dict[str, Any]]:
    value = st.one_of(st.sampled_from(sorted({row[name] for row in rows if row[name]})), st.text(max_size=5))
    equal = value.map(lambda word: {"=": word})
    within = st.lists(value, min_size=1, max_size=4).map(lambda values: {"in": values})
    return st.one_of(equal, within).map(lambda asked: {"attribute": name, **asked})


def _lists(rows: list[Row]) -> st.SearchStrategy[dict[str, Any]]:
    value = st.one_of(
        st.sampled_from(sorted({word for row in rows for word in row["topics"] or ()})), st.text(max_size=5)
    )
    many = st.lists(value, min_size=1, max_size=3)
    asked = st.one_of(
        value.map(lambda word: {"contains": word}),
        many.map(lambda words: {"any_of": words}),
        many.map(lambda words: {"all_of": words}),
    )
    return asked.map(lambda operators: {"attribute": "topics", **operators})
