"""What pages say of code as `file` · `name` is there: a story about functions that were renamed leads nowhere."""

import ast
import re
from functools import cache

from tests.architecture.repository import ROOT, pages

TOLD = re.compile(r"`(\w+/[\w/]+\.py)`\s+·\s+(`[\w.]+`(?:(?:,|\s+and)\s+`[\w.]+`)*)")


@cache
def names(path: str) -> set[str]:
    """Functions, classes, constants and methods (`Class.method`) of a module; none when it is gone."""
    found: set[str] = set()
    if not (ROOT / path).exists():
        return found
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = (inner for inner in node.body if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef))
            found |= {f"{node.name}.{method.name}" for method in methods}
        if isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def told(text: str) -> list[tuple[str, str]]:
    """(file, name) pairs of a text."""
    return [(path, name) for path, listed in TOLD.findall(text) for name in re.findall(r"`([\w.]+)`", listed)]


def test_names_that_pages_tell_exist() -> None:
    pairs = [(page, *pair) for page in pages() for pair in told((ROOT / page).read_text())]
    wrong = [f"{page}: {name} is not in {path}" for page, path, name in pairs if name not in names(path)]
    assert wrong == []


def test_architecture_tells_names() -> None:
    text = "see `a/b.py` · `One.two`,\n`three` and `four`, in `a/c.py`"
    assert told(text) == [("a/b.py", "One.two"), ("a/b.py", "three"), ("a/b.py", "four")]
    assert len(told((ROOT / "docs" / "architecture.md").read_text())) > 40
