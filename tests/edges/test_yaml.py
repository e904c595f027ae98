"""YAML as people write it: what it says twice is named, not half lost."""

from pathlib import Path

import pytest

from cluster.errors import ConfigError
from cluster.settings.parsing import read_yaml

FORBID = "policy: {forbid: {rating: [adult]}}\nutility: {save: 1}\npolicy: {topic_cap: 3}\n"


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [(FORBID, "policy", 3), ("a:\n  b: {c: 1,\n      c: 2}\n", "c", 3), ("1: a\n1: b\n", "1", 2)],
)
def test_a_key_that_stands_twice_is_named_with_its_line(tmp_path: Path, text: str, key: str, line: int) -> None:
    path = tmp_path / "client.yaml"
    path.write_text(text)
    with pytest.raises(
        ConfigError, match=rf"client.yaml: not valid YAML: the key '{key}' is there twice.*line {line},"
    ):
        read_yaml(path)


def test_merged_keys_may_be_overridden(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("base: &base {x: 1, y: 2}\nmine: {<<: *base, x: 3}\n")
    assert read_yaml(path)["mine"] == {"x": 3, "y": 2}
