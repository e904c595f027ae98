"""A line of an order that is JSON, but not of the order's form, takes no other with it: of every journal there is."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.control.choices import Choices
from cluster.control.forgotten import Forgotten
from cluster.control.removals import Removals
from cluster.fresh.log import FreshLog
from tests.worlds.funnel import opened_world

ODD = (5, "x", None, [[1]], [{"a": 1}], {"a": 1}, 1.5, True)


def odd_lines(entry: Any) -> Iterator[Any]:
    """The entry with each of its values, at any depth, in turn another one; and without it."""
    parts = entry.items() if isinstance(entry, dict) else enumerate(entry) if isinstance(entry, list) else ()
    for at, value in list(parts):
        for odd in (*ODD, *odd_lines(value)):
            changed = copy.copy(entry)
            changed[at] = odd
            yield changed
        if isinstance(entry, dict):
            yield {key: kept for key, kept in entry.items() if key != at}


def removed(folder: Path) -> Callable[[], Any]:
    Removals(folder).remove([7], [1])
    one = Removals(folder)
    return lambda: ({7} <= one.now().pins, {1} <= one.now().boards)


def chosen(folder: Path) -> Callable[[], Any]:
    Choices(folder).choose(7, False, {"boards": [1], "topics": ["cats"]})
    one = Choices(folder)
    return lambda: (one.of(7).personalization, 1 in one.of(7).boards, "cats" in one.of(7).topics)


def forgotten(folder: Path) -> Callable[[], Any]:
    Forgotten(folder).forget([7], at=1000)
    one = Forgotten(folder)
    return lambda: (one.before(7), one.before(8))


def fresh(folder: Path) -> Callable[[], Any]:
    world = opened_world(folder)
    project = world.project.model_copy(update={"control": str(folder)})
    FreshLog(project).append([{"pin_id": 10**9, "boards": [1], "topics": ["t1"]}])
    one = FreshLog(project)
    return lambda: 10**9 in one.rows().pins["pin_id"].to_pylist()


@pytest.mark.parametrize("order", [removed, chosen, forgotten, fresh])
def test_a_line_of_another_form_takes_no_other_with_it(
    order: Callable[[Path], Callable[[], Any]], tmp_path: Path
) -> None:
    looks = order(tmp_path)
    before = looks()
    [journal] = tmp_path.glob("*.jsonl")
    lines = journal.read_bytes()
    for line in lines.splitlines():
        for odd in odd_lines(json.loads(line)):
            if isinstance(odd.get("personalization"), bool):
                odd["personalization"] = False
            with journal.open("ab") as file:
                file.write(json.dumps(odd).encode() + b"\n")
            assert looks() == before, odd
    assert order.__name__ == "fresh" or order(tmp_path)() == before
