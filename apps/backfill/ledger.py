"""Which pieces of a replay are done, and the graphs it was made with: small files beside the logs, each written whole.

Below `<home>/logs/backfill/<client>/<key of the job>`. A replay that was killed reads them and goes on.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from cluster.store.disk import write_whole


class Keyed(Protocol):
    """A job, as far as its notes are concerned."""

    @property
    def client(self) -> str:
        """Whose requests it writes."""

    @property
    def key(self) -> str:
        """Of its data and settings."""


class Ledger:
    """The notes of one job. Any number of processes may write, each its own pieces."""

    def __init__(self, folder: Path):
        self._folder = folder

    @classmethod
    def of(cls, job: Keyed, logs: Path) -> "Ledger":
        """The notes of a job, beside the logs in `logs`."""
        return cls(logs / "backfill" / job.client / job.key)

    @staticmethod
    def forget(logs: Path, client: str) -> None:
        """Throw away the notes of all jobs of a client."""
        shutil.rmtree(logs / "backfill" / client, ignore_errors=True)

    def begin(self) -> None:
        """Note that the job may have written something."""
        self._write("begun", {})

    @property
    def begun(self) -> bool:
        """Whether the job ever began."""
        return (self._folder / "begun.json").exists()

    def finish(self, piece: int, figures: Any) -> None:
        """Note that `piece` is in the logs, with its figures (a dataclass). Call it when all its files are on disk."""
        self._write(f"piece-{piece:06d}", asdict(figures))

    def finished(self) -> dict[int, dict[str, int]]:
        """Figures of the pieces that are done, by number."""
        return {
            int(path.stem.split("-")[1]): json.loads(path.read_text()) for path in self._folder.glob("piece-*.json")
        }

    def note_graph(self, begin: int, version: str) -> None:
        """Note the graph of the slice that begins at `begin` microseconds."""
        self._write(f"graph-{begin}", {"version": version})

    def graph(self, begin: int) -> str | None:
        """Version of the graph that was built for the slice; None when none was."""
        path = self._folder / f"graph-{begin}.json"
        return json.loads(path.read_text())["version"] if path.exists() else None

    @staticmethod
    def graphs(logs: Path) -> set[str]:
        """Versions of all graphs that any replay has noted."""
        return {json.loads(path.read_text())["version"] for path in (logs / "backfill").glob("*/*/graph-*.json")}

    def _write(self, name: str, value: dict[str, Any]) -> None:
        write_whole(self._folder / f"{name}.json", json.dumps(value).encode())
