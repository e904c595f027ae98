"""The folders of an event log's writers below `logs`, and what happens when there are more or fewer than before."""

import logging
import re
from contextlib import suppress
from pathlib import Path
from typing import Literal

from cluster.control.forgotten import Forgotten
from cluster.errors import ConfigError
from cluster.store.logs import LogStore
from serving.logs.owned_folder import LOCK, OwnedFolder
from serving.logs.shard import Shard
from serving.logs.state_folder import forget_states
from serving.logs.stored_events import StoredEvents
from serving.logs.wal import left_behind, name_of, recover
from serving.logs.writers_file import WritersFile

log = logging.getLogger(__name__)

FOLDER = "wal"
OURS = re.compile(rf"{FOLDER}(-\d+)?")


class WriterFolder(OwnedFolder):
    """One writer's folder. It is written while all writers agree on how many they are."""

    def __init__(self, store: LogStore, shard: Shard, below: Path, ids: Literal["int64", "string"], patience: float):
        """Raises ConfigError when another process has the folder, or when others write as another number.

        Where the number of writers changes, everything that earlier ones have left becomes Parquet first.
        """
        self._writers = WritersFile(store.root, shard.of, lambda: settle(store, ids, patience), patience)
        try:
            super().__init__(store.root / shard.named(FOLDER), below, patience)
        except BaseException:
            self._writers.release()
            raise

    def hold(self) -> bool:
        """As for any owned folder."""
        intact = super().hold()
        self._writers.hold()
        return intact

    def release(self) -> None:
        """Let another process have the folder, and be one of another number."""
        super().release()
        self._writers.release()


def settle(
    store: LogStore, ids: Literal["int64", "string"], patience: float = 0.0, forgotten: Forgotten | None = None
) -> None:
    """Turn what any writer has left into Parquet, and remove its folder; nobody may write meanwhile.

    Raises ConfigError when the disk refuses: the events stay where they are.
    """
    for path in sorted(path for path in store.root.glob(f"{FOLDER}*") if OURS.fullmatch(path.name)):
        settle_folder(store, ids, path, patience, forgotten)
    forget_states(store.root)


def settle_folder(
    store: LogStore, ids: Literal["int64", "string"], path: Path, patience: float, forgotten: Forgotten | None
) -> None:
    """The same for one writer's folder. Raises ConfigError also when that writer runs, after `patience` seconds."""
    folder = OwnedFolder(path, patience=patience)  # a server of an older version may have it
    stored = StoredEvents(store, ids, forgotten)
    try:
        for file in left_behind(path):
            found = recover(file)
            log.warning("recovered %d events from %s", len(found.rows), file)
            stored.write(found.rows, name_of(file))
            file.unlink()
        (path / LOCK).unlink()
    except OSError as error:
        raise ConfigError(
            f"{path}: holds events of before `events.writers` was changed, which cannot be stored now ({error}): "
            "make room, or set it back until then"
        ) from error
    finally:
        folder.release()
    with suppress(OSError):  # somebody has put other files there
        path.rmdir()
