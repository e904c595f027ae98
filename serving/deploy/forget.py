"""Forgets users: says it to everything that runs, and removes them from everything that lies on disk.

It is said first, and holds at once; the rest only removes what counts for nothing by then. So it may be killed at any
moment and run again, and run by a second process at the same time.
"""

import shutil
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from cluster.catalog.forget import sweep_graphs
from cluster.contract.ids import Id
from cluster.control.choices import Choices
from cluster.control.forgotten import Forgotten
from cluster.control.logs import Swept, at_us, sweep_logs
from cluster.errors import ConfigError
from cluster.store.home import control_root
from cluster.store.upkeep import upkeep
from serving.deploy.process import Process
from serving.logs.redis_client import key_of_user, writing_client
from serving.logs.state_folder import FRESH, POINTER, StateReader
from serving.logs.wal import left_behind, recover
from serving.logs.writer_folder import FOLDER, settle_folder

POLL = 0.25
REDIS_SECONDS = 2.0


@dataclass
class Erased:
    """What was removed, and what could not be looked into."""

    rows: int = 0  # of both logs and the quarantine
    files: int = 0
    graphs: list[str] = field(default_factory=list)  # versions that were replaced by one without the users
    unreadable: list[str] = field(default_factory=list)


def forget_users(process: Process, users: Collection[Id], patience: float = 60.0) -> Erased:
    """All of these users, as of now; and again whoever was forgotten before, where an old copy brought something back.

    Raises ConfigError when a server that runs has not let go of them after `patience` seconds, and OSError: then some
    is left, counts for nothing, and goes when this is called again.
    """
    project = process.project
    forgotten = process.forgotten
    logs = process.logs.root
    users = {*users, *map(process.pseudonyms.of, users)}  # a log from before there was a key has the ids
    if users:
        Choices(control_root(project.home, project.control)).forget(users)
        forgotten.forget(users)
    _settle(process, logs, users, patience)
    swept = Swept()
    if process.logs.begun():
        with upkeep(logs):
            swept = sweep_logs(logs, forgotten, process.logs.parts)
    graphs = sweep_graphs(process.store, forgotten)
    if (redis := project.events.state.redis) is not None and users:
        client = writing_client(redis, REDIS_SECONDS)
        try:
            client.delete(*(key_of_user(redis, user) for user in users))
        except Exception as error:
            raise OSError(f"Redis: {error}") from error
        finally:
            client.close()
    return Erased(swept.rows, swept.files, graphs.versions, [*swept.unreadable, *graphs.unreadable])


def _settle(process: Process, logs: Path, users: Collection[Id], patience: float) -> None:
    """Write-ahead files and users' state without them: by the servers that hold them, or by this process."""
    end = time.monotonic() + patience
    while True:
        held = [path for path in sorted(logs.glob(f"{FOLDER}*")) if path.is_dir() and not _settled(process, path)]
        left = [str(path) for path in held if _in_writing(path, users, process.forgotten)]
        left += _states_left(process, logs, users)
        if not left:
            return
        if time.monotonic() > end:
            raise ConfigError(
                f"a server that runs has not let go of {', '.join(left)}: run it again, or stop that server"
            )
        time.sleep(POLL)


def _settled(process: Process, path: Path) -> bool:
    """Whether nobody has the writer's folder, and what is left in it became Parquet."""
    try:
        settle_folder(process.logs, process.project.ids, path, 0.0, process.forgotten)
    except ConfigError:
        return False
    return True


def _in_writing(folder: Path, users: Collection[Id], forgotten: Forgotten) -> bool:
    for path in left_behind(folder):
        try:
            rows = recover(path).rows
        except FileNotFoundError:  # became Parquet meanwhile
            continue
        if any(
            row.get("user_id") in users and at_us(row.get("received_at")) < forgotten.before(row["user_id"])
            for row in rows
        ):
            return True
    return False


def _states_left(process: Process, logs: Path, users: Collection[Id]) -> list[str]:
    """Folders of state that know the users; those of processes that have ended are removed."""
    left = []
    for pointer in sorted((logs / "state").rglob(POINTER)):
        folder = pointer.parent
        try:
            if time.time() - pointer.stat().st_mtime > FRESH:
                shutil.rmtree(folder)
                continue
        except FileNotFoundError:
            continue
        reader = StateReader(folder, process.project.features.remembered, process.project.serving.hidden_per_user)
        try:
            for user in users:
                state = reader.of(user, stale=True)
                if state is not None and state.oldest() < process.forgotten.before(user):
                    left.append(str(folder))
                    break
        finally:
            reader.close()
    return left
