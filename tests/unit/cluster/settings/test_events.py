"""`events` in pinfunnel.yaml: what may be said of the sink and its writers."""

from pathlib import Path
from typing import Any

import pytest

from cluster.errors import ConfigError
from cluster.settings.project import Project
from tests.unit.cluster.settings.test_settings import write


def test_one_writer_of_the_log_is_the_default(tmp_path: Path) -> None:
    assert Project.load(write(tmp_path)).events.model_dump() == {"sink": "log", "writers": 1}


@pytest.mark.parametrize(
    ("events", "says"),
    [
        ({"writers": 0}, r"events\.writers: .*greater than or equal to 1, found 0"),
        ({"writers": 65}, r"events\.writers: .*less than or equal to 64, found 65"),
        ({"writers": "many"}, r"events\.writers: .*integer"),
        ({"sink": "redis"}, r"events\.sink: .*'log'.*, found 'redis'"),
        ({"writer": 2}, r"events\.writer: unknown key; did you mean 'writers'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, events: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Project.load(write(tmp_path, events=events))
