"""What several files say is said alike: the version, the Pythons that are promised, the tools that are pinned."""

import re
import tomllib
from pathlib import Path

import yaml

from tests.architecture.repository import FLOORS, ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NORMAL = re.compile(r"[-_.]+")


def promised() -> list[str]:
    """The Pythons of the classifiers, like ["3.11", "3.12"]."""
    found = [re.fullmatch(r".*:: Python :: (3\.\d+)", line) for line in PROJECT["project"]["classifiers"]]
    return [match[1] for match in found if match]


def newest(changelog: str) -> tuple[str, str]:
    """Version and date of the first release heading."""
    match = re.search(r"^## \[(.+)\] - (.+)$", changelog, re.MULTILINE)
    assert match is not None, "a heading like `## [1.2.3] - 2026-01-31`, or `unreleased` in place of the date"
    return match[1], match[2]


def test_the_changelog_begins_with_the_version() -> None:
    version, date = newest((ROOT / "CHANGELOG.md").read_text())
    assert version == PROJECT["project"]["version"]
    assert date == "unreleased" or re.fullmatch(r"\d{4}-\d\d-\d\d", date)


def test_the_newest_heading_is_the_first() -> None:
    assert newest("# Changelog\n\n## [0.2.0] - unreleased\n\n## [0.1.0] - 2026-01-31\n") == ("0.2.0", "unreleased")


def test_every_promised_python_is_tried_and_no_other_is_set_up() -> None:
    first, last = promised()[0], promised()[-1]
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert workflow["jobs"]["run"]["strategy"]["matrix"]["python"] == promised()
    assert f"Python {first} to {last}" in (ROOT / "README.md").read_text()
    assert f"needs Python {first} to {last}" in (ROOT / ".ci/venv").read_text()
    assert PROJECT["project"]["requires-python"] == f">={first}"
    assert PROJECT["tool"]["mypy"]["python_version"] == first


def test_every_package_that_is_asked_for_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {NORMAL.sub("-", line.split("==")[0]).lower() for line in lines if "==" in line}
    groups = PROJECT["project"]["optional-dependencies"]
    asked = [*PROJECT["project"]["dependencies"], *groups["test"], *groups["bench"], *groups["dev"]]
    names = {NORMAL.sub("-", re.match(r"[\w.-]+", line)[0]).lower() for line in asked}  # type: ignore[index]
    assert sorted(names - pinned - {"pinfunnel"}) == []


def test_no_package_is_pinned_twice() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    names = [line.split("==")[0].lower() for line in lines if "==" in line]
    assert len(names) == len(set(names))


def test_hooks_run_tools_that_set_up_installs() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook for repo in config["repos"] for hook in repo["hooks"]]
    assert {repo["repo"] for repo in config["repos"]} == {"local"}, "a hook from elsewhere has a version of its own"
    pinned = (ROOT / "constraints.txt").read_text()
    for hook in hooks:
        tool, *arguments = hook["entry"].split()
        name = Path(tool).name
        assert tool.startswith(".venv/bin/")
        assert name == "python" or f"\n{name}==" in pinned
        assert all((ROOT / argument).exists() for argument in arguments if argument.endswith(".py"))


def test_every_floor_says_that_it_is_typed() -> None:
    for floor in FLOORS:
        assert (ROOT / floor / "py.typed").exists()
        assert "py.typed" in PROJECT["tool"]["setuptools"]["package-data"][floor]


def test_make_test_runs_every_folder_of_tests_once() -> None:
    parts = re.findall(r"^(?:ALONE|ON_RAY|OVER_HTTP) := ([^#\n]*)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    having = {path.relative_to(ROOT).parts[1] for path in ROOT.glob("tests/**/test_*.py")}
    assert sorted(" ".join(parts).split()) == sorted(f"tests/{name}" for name in having)
