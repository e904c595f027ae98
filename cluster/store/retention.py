"""Removes days of the logs that are older than they may be kept. Run again after a kill, it goes on."""

import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cluster.store.paths import LogPath
from cluster.store.upkeep import upkeep

DAY = re.compile(r"date=(\d{4}-\d{2}-\d{2})")


def expire(root: Path, keep_days: int, now: datetime | None = None, parts: LogPath | None = None) -> int:
    """Files removed. A day goes once its last moment is `keep_days` old, so nothing younger does.

    Days lie below `parts` (default: `root`). What was set aside, below `root`, goes by when that was.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    first = (moment - timedelta(days=keep_days)).date()
    removed = 0
    with upkeep(root):
        for folder in sorted(each for log in ("serving", "events") for each in ((parts or root) / log).glob("date=*")):
            if (day := _day(folder.name)) is None or day >= first:
                continue
            for path in sorted(folder.rglob("*"), reverse=True):  # files before the folder that they are in
                if path.is_dir():
                    with suppress(OSError):  # somebody writes an old row just now: it goes the next time
                        path.rmdir()
                else:
                    path.unlink(missing_ok=True)
                    removed += 1
            with suppress(OSError):
                folder.rmdir()
        for file in (root / "quarantine").glob("*.jsonl"):
            if datetime.fromtimestamp(file.stat().st_mtime, UTC).date() < first:
                file.unlink(missing_ok=True)
                removed += 1
    return removed


def _day(name: str) -> date | None:
    found = DAY.fullmatch(name)
    try:
        return date.fromisoformat(found[1]) if found else None
    except ValueError:
        return None
