"""Where users' state lies for all processes of a machine: `logs/state/<machine>/`, with a pointer that beats.

Of several writers each has a folder of its own in there.

`CURRENT` names the folder of the process that writes now, and is touched every second while it lives. A reader takes
what is fresh; else it has to ask the writer, which may be on another machine, or make do with what is old.
"""

import os
import shutil
import socket
import sqlite3
import threading
import time
import uuid
from pathlib import Path

from serving.logs.shard import WHOLE, Shard
from serving.logs.user_state import StateTables
from serving.request.ask import Id, UserState

POINTER = "CURRENT"
BEAT = 1.0
FRESH = 5.0
"""Seconds after which a pointer that nobody touched says nothing of the present."""


def machine_folder(logs: str | Path, shard: Shard = WHOLE) -> Path:
    """This machine's, of the users of one writer."""
    machine = Path(logs) / "state" / socket.gethostname()
    return machine if shard.whole else machine / f"{shard.index + 1}-of-{shard.of}"


def forget_states(logs: Path) -> None:
    """Remove what writers of another number have left, on all machines; readers ask until there is something new."""
    shutil.rmtree(logs / "state", ignore_errors=True)


class StatePublisher:
    """A new folder for a writer, and the pointer to it for readers."""

    def __init__(self, root: Path):
        self._root = root
        self.folder = root / uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="state-beat", daemon=True)

    def point(self) -> None:
        """Readers open the folder, and if they have it open, anew."""
        aside = self._root / f".{self.folder.name}"
        aside.write_text(self.folder.name)
        os.replace(aside, self._root / POINTER)

    def publish(self) -> None:
        """Readers may open the folder from now on; those of earlier writers go."""
        self.point()
        for other in self._root.iterdir():
            if other.is_dir() and other != self.folder:
                shutil.rmtree(other, ignore_errors=True)
        self._thread.start()

    def _beat(self) -> None:
        pointer = self._root / POINTER
        while not self._stop.wait(BEAT):
            try:
                if pointer.read_text() != self.folder.name:
                    return  # another writer has come
                os.utime(pointer)
            except OSError:
                continue  # the folder is away; readers ask meanwhile

    def close(self) -> None:
        """Say nothing any more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2 * BEAT)


class StateReader:
    """Looks users up in what another process writes. For one thread."""

    def __init__(self, root: Path, remember: int, hidden: int):
        self._root = root
        self._remember = remember
        self._hidden = hidden
        self._open: tuple[int, StateTables] | None = None

    def of(self, user: Id | None, stale: bool = False) -> UserState | None:
        """The user's state, or None where there is none as fresh as it should be; `stale`: an old one will do."""
        try:
            pointer = os.stat(self._root / POINTER)
            if not stale and time.time() - pointer.st_mtime > FRESH:
                return None
            if self._open is None or self._open[0] != pointer.st_ino:
                self._reopen(pointer.st_ino)
            assert self._open is not None
            return self._open[1].of(user)
        except (OSError, sqlite3.Error, ValueError):
            return None

    def _reopen(self, inode: int) -> None:
        folder = self._root / (self._root / POINTER).read_text()
        tables = StateTables.open(folder, self._remember, self._hidden)
        self.close()
        self._open = inode, tables

    def close(self) -> None:
        """Let go of the files."""
        if self._open is not None:
            self._open[1].live.close()
            self._open = None
