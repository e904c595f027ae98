"""The tree drawn in docs/architecture.md is the tree on disk, and the tests stand in the same rooms as the code."""

import re

from tests.architecture.repository import FLOORS, ROOT, folders, rooms

PAGE = ROOT / "docs" / "architecture.md"
DRAWN = (*FLOORS, "docs", "examples", "tests")
MIRRORED = {f"tests/unit/{floor}" for floor in FLOORS}
"""Below these the picture says "as above": `test_tests_mirror_the_tree` looks at them."""

UNTESTED = {
    "apps/bench/forest",
    "apps/bench/full",
    "apps/bench/graph",
    "apps/bench/learning",
    "apps/bench/retrieval",
} | {
    "apps/bench/walk",
    "apps/clients",
    "apps/web/static",
    "apps/web/templates",
    "cluster/launch/grafana",
    "serving/forest/engine",
    "serving/forest/llvm",
    "serving/request",
    "training/full",
    "training/report",
}
"""Folders without unit tests of their own: benches, files that are no code, rooms that other tests go through."""


def drawn(text: str) -> set[str]:
    """The folders of the page's tree: names that end in a slash, two spaces a level."""
    tree = text.split("```tree\n", 1)[1].split("```", 1)[0]
    found: set[str] = set()
    above: list[str] = []
    for line in tree.splitlines():
        match = re.match(r"( *)([\w.-]+)/(?= |$)", line)
        if match is None:
            continue
        level = len(match[1]) // 2
        above = [*above[:level], match[2]]
        found.add("/".join(above))
    return found


def test_the_tree_in_the_page_is_the_tree_on_disk() -> None:
    on_disk = {folder for top in DRAWN for folder in folders(top)}
    on_disk = {folder for folder in on_disk if not any(folder.startswith(f"{above}/") for above in MIRRORED)}
    in_page = drawn(PAGE.read_text())
    assert sorted(on_disk - in_page) == [], "on disk and not drawn in docs/architecture.md"
    assert sorted(in_page - on_disk) == [], "drawn in docs/architecture.md and not on disk"


def test_a_tree_is_read_by_its_indents() -> None:
    text = "```tree\ncluster/   shared\n  data/\n    deep/  x\n  a line of words\ntests/\n```\nlater/"
    assert drawn(text) == {"cluster", "cluster/data", "cluster/data/deep", "tests"}


def test_every_room_is_drawn_with_what_it_is_for() -> None:
    tree = PAGE.read_text().split("```tree\n", 1)[1].split("```", 1)[0]
    bare = [line.strip() for line in tree.splitlines() if re.fullmatch(r" *[\w.-]+/ *", line)]
    assert bare == [], "say in a few words what these folders are for"


def test_tests_mirror_the_tree() -> None:
    of_tests = {folder.removeprefix("tests/unit/") for above in MIRRORED for folder in folders(above)}
    of_code = {folder for floor in FLOORS for folder in folders(floor)}
    assert sorted(of_tests - of_code) == [], "tests/unit has folders that no code stands in"
    assert sorted(of_code - of_tests - UNTESTED) == [], "add tests/unit/<folder>, or say in UNTESTED why not"


def test_nothing_but_floors_and_shared_fixtures_stands_at_the_top_of_unit_tests() -> None:
    beside = {path.name for path in (ROOT / "tests" / "unit").iterdir()} - {"__init__.py", "conftest.py", "__pycache__"}
    assert beside <= set(FLOORS)


def test_every_floor_has_rooms() -> None:
    assert all(rooms(floor) for floor in FLOORS)
