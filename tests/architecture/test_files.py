"""How a file of the product looks: a docstring that says what it is for, a bounded length, one statement a line."""

import ast
import io
import tokenize
from collections import defaultdict

import pytest

from tests.architecture.repository import FLOORS, ROOT, modules

MOST_LINES = 250
WIDEST_ASSIGNMENT = 2
"""`low, high = 0, 1` is one idea; three and more targets hide what they are given."""

LONGER: set[str] = set()
"""Files of the product that may be over the cap."""

PACKED = dict.fromkeys(FLOORS, 0)
"""Packed lines that each floor may have."""

SAME_NAME = {}
"""Class names that still mean two things."""


def packed(source: str) -> int:
    """Lines that hold more than one statement's worth: `fmt: skip` and `off`, semicolons, wide tuple assignments."""
    count = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        count += token.type == tokenize.COMMENT and any(mark in token.string for mark in ("fmt: skip", "fmt: off"))
        count += token.type == tokenize.OP and token.string == ";"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            count += any(isinstance(to, ast.Tuple) and len(to.elts) > WIDEST_ASSIGNMENT for to in node.targets)
    return count


def test_every_module_says_what_it_is_for() -> None:
    silent = []
    for path in modules():
        source = (ROOT / path).read_text()
        if source.strip() and not ast.get_docstring(ast.parse(source)):
            silent.append(str(path))
    assert silent == [], "a docstring at the top states the file's boundary"


def test_files_keep_below_the_cap() -> None:
    long = {str(path) for path in modules() if len((ROOT / path).read_text().splitlines()) > MOST_LINES}
    assert sorted(long - LONGER) == [], f"over {MOST_LINES} lines: split by idea, do not pack"


@pytest.mark.parametrize("floor", FLOORS)
def test_packed_lines_only_become_fewer(floor: str) -> None:
    counts = {str(path): packed((ROOT / path).read_text()) for path in modules(floor)}
    where = {path: count for path, count in counts.items() if count}
    assert sum(counts.values()) <= PACKED[floor], f"one statement and one assignment a line; packed today: {where}"


def test_packed_lines_are_seen() -> None:
    assert packed("a = 1; b = 2\n") == 1
    assert packed("a, b, c = 1, 2, 3\n") == 1
    assert packed("a = [1,2]  # fmt: skip\n") == 1
    assert packed("a, b = 1, 2\nx, y, z = f()\ntext = 'a; b  # fmt: skip'\n") == 0


def test_a_class_name_means_one_thing() -> None:
    homes = defaultdict(list)
    for path in modules():
        for node in ast.parse((ROOT / path).read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(path))
    twice = {name: paths for name, paths in homes.items() if len(paths) > 1 and name not in SAME_NAME}
    assert twice == {}
