"""docs/capacity.md shows what the command prints with the curves that ship."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.cli import app

PAGE = (Path(__file__).parents[4] / "docs" / "capacity.md").read_text()
SHOWN = re.findall(r"    pinfunnel (plan [^\n]+)\n\n```\n(.*?)```", PAGE, re.DOTALL)


def words(text: str) -> list[str]:
    """What stands in a table or beside it, in an order that does not depend on how wide the terminal is."""
    return sorted(re.sub(r"[│┃━─┏┓┗┛┡┩└┘┳┻┴┬╇┼├┤]", " ", text).split())


def test_the_page_shows_both_ends() -> None:
    assert len(SHOWN) == 2


@pytest.mark.parametrize(("command", "printed"), SHOWN, ids=["small", "pixie"])
def test_the_page_shows_what_the_command_prints(command: str, printed: str) -> None:
    done = CliRunner().invoke(app, shlex.split(command))
    assert done.exit_code == 0, done.output
    assert words(done.output) == words(printed)


def test_a_file_that_is_not_curves_is_one_line(tmp_path: Path) -> None:
    other = tmp_path / "x.json"
    other.write_text("[]")
    done = CliRunner().invoke(app, ["plan", "--pins", "9", "--edges", "9", "--qps", "1", "--curves", str(other)])
    assert done.exit_code == 1
    assert "is not what" in done.output
