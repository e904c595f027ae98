"""A replica's lines go the way of Serve's own; a stage has a line for the sample, whatever became of its work."""

import logging
from collections.abc import Iterator

import pytest

from serving.deploy.replica_log import OURS, SERVE, StageLog, flush_serve_log, join_serve_log
from tests.worlds.funnel import ask


class Kept(logging.handlers.MemoryHandler):  # type: ignore[name-defined]
    """As Serve's: it holds lines back until it is flushed."""


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def written() -> Iterator[list[logging.LogRecord]]:
    """What Serve has written."""
    serve = logging.getLogger(SERVE)
    before = (serve.handlers, serve.level, serve.propagate)
    parents = {name: logging.getLogger(name).parent for name in OURS}
    lines = Lines()
    serve.handlers = [Kept(1000, target=lines)]
    serve.setLevel(logging.INFO)
    serve.propagate = False
    join_serve_log()
    yield lines.records
    serve.handlers = before[0]
    serve.setLevel(before[1])
    serve.propagate = before[2]
    for name, parent in parents.items():
        logging.getLogger(name).parent = parent


def test_what_any_module_logs_is_written_with_serves_own(written: list[logging.LogRecord]) -> None:
    logging.getLogger("serving.deploy.follow").error("a version is damaged")
    logging.getLogger("cluster.store.bundles").warning("slow")
    assert [record.getMessage() for record in written] == ["a version is damaged"], "an error flushes, by Serve's rule"
    flush_serve_log()
    assert [record.getMessage() for record in written] == ["a version is damaged", "slow"]


def test_a_stage_has_a_line_for_the_sample_alone(written: list[logging.LogRecord]) -> None:
    with StageLog("walk", 0.0).of(ask()):
        pass
    with StageLog("walk", 1.0).of(ask()):
        pass
    with pytest.raises(KeyError), StageLog("full", 1.0).of(ask()):
        raise KeyError
    flush_serve_log()
    told = [(vars(record)["stage"], vars(record)["outcome"], vars(record)["client"]) for record in written]
    assert told == [("walk", "done", "homefeed"), ("full", "failed", "homefeed")]
