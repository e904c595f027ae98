"""A killed writer loses nothing, and the count by id sees one that does."""

from multiprocessing.connection import Connection
from pathlib import Path

from apps.faults.writer import kill_often, live


def acknowledges_too_early(folder: Path, life: int, tell: Connection) -> None:
    """A writer that says an event is stored and stores it never."""
    tell.send([f"{life}-never-stored"])
    live(folder, life, tell)


def test_nothing_that_was_acknowledged_is_lost(tmp_path: Path) -> None:
    row = kill_often(tmp_path, 3, lambda _: None)
    assert row.acknowledged > 0
    assert (row.lost, row.broken) == (0, False)


def test_a_log_that_loses_events_is_seen(tmp_path: Path) -> None:
    row = kill_often(tmp_path, 2, lambda _: None, acknowledges_too_early)
    assert (row.lost, row.broken) == (2, True)
