"""The demo empties its own folder and nobody else's."""

from pathlib import Path

import pytest

from apps.demo.folder import MARK, claim
from cluster.errors import ConfigError


def test_an_earlier_demo_is_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    claim(folder)
    (folder / "home").mkdir()
    (folder / "home" / "log").write_text("old")
    claim(folder)
    assert [path.name for path in folder.iterdir()] == [MARK]


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="no demo wrote"):
        claim(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"
