"""The demo empties its own folder and nobody else's. (Importing the demo imports Ray; none is started.)"""

from pathlib import Path

import pytest

from apps.demo import demo
from cluster.errors import ConfigError


def test_an_earlier_demo_is_emptied(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    demo.claim(folder)
    (folder / "home").mkdir()
    (folder / "home" / "log").write_text("old")
    demo.claim(folder)
    assert [path.name for path in folder.iterdir()] == [demo.MARK]


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="no demo wrote"):
        demo.claim(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"
