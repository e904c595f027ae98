"""The right to rewrite files of the logs that are there already: compaction and forgetting, one at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.store.disk import make_folders

LOCK = ".upkeep"


@contextmanager
def upkeep(logs: Path) -> Iterator[None]:
    """Waits until nobody else rewrites files below `logs`. What is only written anew needs it not."""
    make_folders(logs)
    with (logs / LOCK).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
