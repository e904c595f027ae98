"""What lies in a project's home: which versions are published, how fresh the logs are, how much room the disk has."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cluster.settings.project import Project
from cluster.store.bundles import BundleStore, begun_at
from cluster.store.home import bundles_root, logs_of
from cluster.store.logs import LogStore


@dataclass(frozen=True)
class PublishedVersion:
    """What serves of one kind of bundle."""

    kind: str
    version: str
    made: datetime | None  # None for a version that somebody has named otherwise
    others: int  # versions that are kept beside it


@dataclass(frozen=True)
class LogState:
    """One of the logs: its days, and the rows and files of the newest."""

    name: str
    days: int
    newest: str | None
    rows: int
    files: int
    unreadable: int


@dataclass(frozen=True)
class HomeStatus:
    """All of it; `free` bytes of `size` on the disk of the home, or of `local` beside an object store."""

    published: tuple[PublishedVersion, ...]
    logs: tuple[LogState, ...]
    free: int
    size: int


def read_status(project: Project) -> HomeStatus:
    """Reads names and footers only."""
    store, logs = BundleStore(bundles_root(project.home)), logs_of(project, project.ids)
    home = Path(project.local_home)
    disk = shutil.disk_usage(next(path for path in (home, *home.parents) if path.exists()))
    return HomeStatus(
        tuple(_published(store)), tuple(_log(logs, name) for name in ("serving", "events")), disk.free, disk.total
    )


def _published(store: BundleStore) -> Sequence[PublishedVersion]:
    found = []
    for kind in store.kinds():
        version = store.current(kind)
        if version is not None:
            at = begun_at(version)
            made = datetime.fromtimestamp(at / 1e6, UTC) if at else None
            found.append(PublishedVersion(kind, version, made, len(store.versions(kind)) - 1))
    return found


def _log(logs: LogStore, name: str) -> LogState:
    days = logs.dates(name)
    if not days:
        return LogState(name, 0, None, 0, 0, 0)
    since = datetime.fromisoformat(days[-1]).replace(tzinfo=UTC)
    read = logs.serving_files if name == "serving" else logs.event_files
    files = read(since=since)
    return LogState(name, len(days), days[-1], files.rows, len(files.files), len(files.unreadable))


def age(made: datetime | None, now: datetime) -> str:
    """In the largest unit that fits: `3 hours`."""
    if made is None:
        return "?"
    passed = max(now - made, timedelta())
    for seconds, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")):
        number = int(passed.total_seconds() // seconds)
        if number:
            return f"{number} {unit}" + "s" * (number > 1)
    return "now"
