"""Links, anchors, paths and modules that pages name exist, and every page starts with what it is for."""

import re
from functools import cache
from pathlib import Path

from tests.architecture.repository import FLOORS, ROOT, modules, pages, prose

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(rf"(?<![\w./-])(?:{'|'.join((*FLOORS, 'docs', 'examples', 'tests'))})/[\w./*<>{{}}-]*(?![\w=])")
MODULE = re.compile(rf"python -m ((?:{'|'.join((*FLOORS, 'tests'))})[\w.]*)")
PRIVATE = re.compile(r"(?<![\w.:/}])/(?:root|tmp|work|mnt|Users|home/(?!ray/))[\w/.-]*|\.\./shared\b")
HISTORY = {"CHANGELOG.md"}
"""Pages that tell of paths as they were."""

WIDEST = 140
"""Letters of a line of prose. A table's row is one line whatever it holds."""


def slug(heading: str) -> str:
    """The anchor that a heading gets: GitHub's rule."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


@cache
def anchors(page: Path) -> set[str]:
    """All anchors of a page; a heading that comes twice gets a number."""
    found: set[str] = set()
    for _, line in prose(page):
        if match := re.match(r"#{1,6} (.+)", line):
            name, number = slug(match[1]), 0
            while (anchor := f"{name}-{number}" if number else name) in found:
                number += 1
            found.add(anchor)
    return found


def broken(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    wrong = []
    for number, line in prose(page):
        for pair in LINK.findall(line):
            target = pair[0] or pair[1]
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            to = (ROOT / page).parent / file if file else ROOT / page
            if not to.exists():
                wrong.append(f"{page}:{number}: {target}")
            elif anchor and anchor not in anchors(to.resolve().relative_to(ROOT)):
                wrong.append(f"{page}:{number}: no heading for #{anchor}")
    return wrong


def exists(name: str) -> bool:
    """Whether a path that a text names is there; a beginning is enough (`docs/adr/0002`), `<kind>` is any name."""
    if "__pycache__" in name:
        return True
    name = re.sub(r"[<{*].*", "", name).rstrip(".-")
    return (ROOT / name).exists() or any((ROOT / name).parent.glob(f"{Path(name).name}*"))


def gone(text: str) -> list[str]:
    """Paths of the repository that a text names and that are not there."""
    return [name.rstrip(".") for name in PATH.findall(text) if not exists(name)]


def test_links_and_anchors_resolve() -> None:
    assert [wrong for page in pages() for wrong in broken(page)] == []


def test_anchors_follow_githubs_rule() -> None:
    assert slug("Build and merge") == "build-and-merge"
    assert slug("2026-11-22 · The `walk`, (once) more") == "2026-11-22--the-walk-once-more"


def test_paths_that_pages_name_exist() -> None:
    named = {str(page): gone((ROOT / page).read_text()) for page in pages() if str(page) not in HISTORY}
    assert {page: names for page, names in named.items() if names} == {}


def test_paths_that_the_code_names_exist() -> None:
    named = {str(path): gone((ROOT / path).read_text()) for path in modules()}
    assert {path: names for path, names in named.items() if names} == {}


def test_a_path_that_is_gone_is_seen() -> None:
    assert gone("see `serving/nowhere.py` and (docs/adr/0001-one-row-per-request-log.md).") == ["serving/nowhere.py"]


def test_modules_that_pages_run_exist() -> None:
    for page in pages():
        for name in MODULE.findall((ROOT / page).read_text()):
            path = ROOT / name.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{page}: python -m {name}"


def test_the_index_of_extend_leads_to_each_of_its_pages() -> None:
    folder = ROOT / "docs" / "extend"
    index = (folder / "README.md").read_text()
    missing = [path.name for path in folder.glob("*.md") if path.name != "README.md" and f"({path.name}" not in index]
    assert missing == []


def test_no_page_names_a_path_of_one_machine() -> None:
    found = [match for page in pages() for match in PRIVATE.findall((ROOT / page).read_text())]
    assert found == []
    assert PRIVATE.findall("in /home/ann/data, not /home/ray/pinfunnel or pkg:/tmp") == ["/home/ann/data"]


def test_every_page_starts_with_what_it_is_for() -> None:
    for page in pages():
        lines = [line for _, line in prose(page) if line.strip()]
        assert lines[0].startswith("# "), f"{page}: a title first"
        assert re.match(r"[\w`*\"\[(]", lines[1]), f"{page}: a sentence under the title, before tables and headings"


def test_prose_can_be_read_without_scrolling_sideways() -> None:
    long = [(page, number, line) for page in pages() for number, line in prose(page) if len(line) > WIDEST]
    assert [f"{page}:{number}" for page, number, line in long if not line.startswith(("|", "!["))] == []


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = []
    for page in sorted((ROOT / "docs" / "adr").glob("*.md")):
        number = int(page.name.split("-")[0])
        assert page.read_text().startswith(f"# {number}. "), page.name
        numbers.append(number)
    assert numbers == list(range(1, len(numbers) + 1))
