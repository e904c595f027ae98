"""The log of fresh rows: a journal below the project's home, which every process follows and applies to its graph.

Rows stay in it whatever is built: one that a graph has by now does nothing, and one that a build from older inputs
lacks is laid over it again.
"""

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from cluster.control.journal import Entry, Journal, JournalReader
from cluster.data.cleaning import Tally, clean_edges, clean_pins, now_us
from cluster.errors import BundleError
from cluster.fresh.overlay import FreshRows
from cluster.fresh.rows import Row, RowContract
from cluster.settings.project import Project
from cluster.store.home import control_root

FILE = "fresh.jsonl"

log = logging.getLogger(__name__)


class FreshLog:
    """Of a project, for any number of processes. Thread-safe."""

    def __init__(self, project: Project):
        """Its file need not be there."""
        self._journal = Journal(Path(control_root(project.home, project.control)) / FILE)
        self._reader = JournalReader(self._journal, _rows_of)
        self._contract = RowContract(project)
        self._lock = threading.Lock()
        self._rows = self._contract.tables(())
        self._pins_upto = [0]  # rows of both tables behind each entry
        self._edges_upto = [0]

    @property
    def contract(self) -> RowContract:
        """What a row must be like."""
        return self._contract

    def append(self, rows: Sequence[Row]) -> None:
        """One entry of rows that the contract has read; returns once they are on disk. Raises OSError."""
        if rows:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            self._journal.append([{"at": at, "pins": list(rows)}])

    def entries(self) -> int:
        """How many there are, of whichever process. One `stat` where nothing has changed."""
        self._reader.look(self._take)
        return len(self._pins_upto) - 1

    def rows(self, entries: int | None = None) -> FreshRows:
        """What the first `entries` (default: all) say, of each pin its newest row.

        Raises BundleError for more than there are.
        """
        there = self.entries()
        with self._lock:
            upto = there if entries is None else entries
            if upto >= len(self._pins_upto):
                raise BundleError(f"the log of fresh pins has {there} entries here, not {upto}")
            pins = self._rows.pins.slice(0, self._pins_upto[upto])
            edges = self._rows.edges.slice(0, self._edges_upto[upto])
        return FreshRows(clean_pins(pins, now_us(), Tally()), clean_edges(edges, now_us(), Tally()))

    def _take(self, of_entries: list[list[Any]], anew: bool) -> None:
        try:
            new = self._contract.tables([row for rows in of_entries for row in rows])
        except (pa.ArrowException, ValueError, TypeError, KeyError, AttributeError):  # columns have changed since
            of_entries = [self._still_good(rows) for rows in of_entries]
            new = self._contract.tables([row for rows in of_entries for row in rows])
        sizes = [(len(rows), sum(len(row.get("boards", ())) for row in rows)) for rows in of_entries]
        with self._lock:
            if anew:
                self._rows = self._contract.tables(())
                self._pins_upto = [0]
                self._edges_upto = [0]
            self._rows = FreshRows(
                pa.concat_tables([self._rows.pins, new.pins]).combine_chunks(),
                pa.concat_tables([self._rows.edges, new.edges]).combine_chunks(),
            )
            for pins, edges in sizes:
                self._pins_upto.append(self._pins_upto[-1] + pins)
                self._edges_upto.append(self._edges_upto[-1] + edges)

    def _still_good(self, rows: list[Any]) -> list[dict[str, Any]]:
        kept, refused = self._contract.read(rows, datetime.now(UTC))
        for each in refused:
            log.error("a fresh pin is no row of this project any more, and left out: %s", each.reason)
        return kept


def _rows_of(entry: Entry) -> list[Any]:
    rows = entry["pins"]
    if not isinstance(rows, list):
        raise TypeError("no list of rows")
    return rows
