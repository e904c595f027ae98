"""How many writers an event log has: all that run at a time agree, by locks on one file that says so.

Each holds the file shared. Only who has it alone may write another number into it, so no user ever has two writers.
"""

import fcntl
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from cluster.contract.ids import shown
from cluster.errors import ConfigError
from cluster.store.disk import fsync, make_folders
from serving.logs.owned_folder import same_file

NAME = "WRITERS"
ONE = "1"
"""What an empty file says: version 0.1 had one writer and no file."""


class WritersFile:
    """The right to be one of so many writers, held until the process ends or lets go. For one thread at a time."""

    def __init__(self, root: Path, writers: int, change: Callable[[], None], patience: float = 0.0):
        """Takes the lock, for `patience` seconds if need be. Raises ConfigError when others write as another number.

        Where it was another number, `change` is called first, while nobody writes; what it raises is raised.
        """
        make_folders(root)
        self.path = root / NAME
        self._writers = writers
        end = time.monotonic() + patience
        while (lock := self._agreed(change)) is None:
            if time.monotonic() >= end:
                raise ConfigError(
                    f"{self.path}: a server with `events.writers: {self._number()}` writes this event "
                    f"log, and this one has {writers}: stop the other first"
                )
            time.sleep(0.1)
        self._lock = lock

    def _agreed(self, change: Callable[[], None]) -> BinaryIO | None:
        """The file, held shared, if it has our number or nobody else holds it."""
        file = self.path.open("a+b")
        try:
            if not self._is_ours(file) and _alone(file):
                change()
                self._write(file)
            fcntl.flock(file, fcntl.LOCK_SH)  # waits for somebody who changes the number, which takes a moment
            if self._is_ours(file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()
        return None

    def _is_ours(self, file: BinaryIO) -> bool:
        file.seek(0)
        return (file.read() or ONE.encode()) == str(self._writers).encode()

    def _number(self) -> str:
        """What the file says, for a message: it may be damaged."""
        return shown(self.path.read_text(errors="replace") or ONE)[1:-1]

    def _write(self, file: BinaryIO) -> None:
        file.truncate(0)
        file.write(str(self._writers).encode())
        file.flush()
        fsync(self.path)
        fsync(self.path.parent)

    def hold(self) -> None:
        """Have the lock on the file of that name, also when somebody has taken the file away. Raises OSError."""
        if same_file(self._lock.fileno(), self.path):
            return
        lock = self._agreed(lambda: None)  # what the files hold is this server's
        if lock is None:
            raise OSError(f"{self.path}: a server with another number of writers has taken the log over")
        self._lock.close()
        self._lock = lock

    def release(self) -> None:
        """Write no more."""
        self._lock.close()


def _alone(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
