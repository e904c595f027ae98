"""What the logs' disk does: it is full, or a part of the log cannot be read."""

import errno
import shutil
import signal
from pathlib import Path

import httpx

from apps.faults.bundles import damage_file
from apps.faults.fault import CannotFault, Ground, ServerFault
from apps.faults.processes import await_one, replaced
from apps.faults.server import kill

CHUNK = 1 << 20


class FullDisk(ServerFault):
    """The logs' disk, a small tmpfs, is filled to the last byte; later there is room again."""

    name = "disk-full"
    about = "the logs' disk (a tmpfs of 64 MB) is full for 10 s"
    ground = "disk"
    hold = 10.0

    def make(self, ground: Ground) -> str:
        """Write until the disk takes no more."""
        self._filler = ground.logs / "filler"
        with self._filler.open("wb", buffering=0) as file:
            for size in (CHUNK, 4096, 1):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
        return ""

    def mend(self, ground: Ground) -> str:
        """Make room."""
        self._filler.unlink()
        return ""


class UnreadableParts(ServerFault):
    """Parts of both logs that are cut off, flipped or empty, and an event log that has to start on them."""

    name = "log-parts"
    about = "unreadable parts in both logs, and kill -9 of `events`, which reads them at its start"
    short = True

    def make(self, ground: Ground) -> str:
        """Put them beside the whole ones, whose events must not be lost; then have the log started again."""
        httpx.post(f"{ground.server.url}/v1/logs/flush", timeout=30)
        whole = [next(iter(sorted((ground.logs / log).rglob("*.parquet"))), None) for log in ("events", "serving")]
        self._bad: list[Path] = []
        for part in whole:
            if part is None:
                raise CannotFault("nothing was logged yet")
            for how in ("flip", "cut"):
                self._bad.append(part.with_name(f"part-0-{how}.parquet"))
                shutil.copy(part, self._bad[-1])
                damage_file(self._bad[-1], how)
            self._bad.append(part.with_name("part-0-empty.parquet"))
            self._bad[-1].write_bytes(b"")
        self._killed = await_one(ground, "events")
        kill(self._killed, signal.SIGKILL)
        return f"{len(self._bad)} parts"

    def mend(self, ground: Ground) -> str:
        """They stay for readers to find: the count of lost events reads past them."""
        return ""

    def over(self, ground: Ground) -> bool:
        """Another event log has started on them."""
        return replaced(ground, "events", {self._killed}, count=1)
