"""One kind of bundle in one process: the version that serves, and the versions that were set aside, by name.

What the pointer names is loaded; a version that does not load is tried again after a while, as a file may be late and
a storage error may pass. The old version serves on. Where none serves yet, the newest other one that loads does.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from cluster.backoff import Backoff
from cluster.errors import MissingPackageError, PinfunnelError, in_short
from cluster.store.bundles import POINTER, BundleStore
from serving.request.served import ServingProblem

log = logging.getLogger(__name__)

INSTEAD = 5
"""Newest versions that are tried when the published one does not load: all may be of other features, and large."""


@dataclass
class SetAside:
    """A version, or the pointer, that could not be used."""

    reason: str
    since: str
    backoff: Backoff


class Follower:
    """Follows the pointer of one kind. One thread looks; any thread may ask for `problems`."""

    def __init__(
        self,
        store: BundleStore,
        kind: str,
        load: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        """`load(version)` verifies, opens and warms, and last of all swaps. It may raise anything."""
        self._store = store
        self._load = load
        self._clock = clock
        self._aside: dict[str | None, SetAside] = {}  # None: the pointer
        self._others: list[str] | None = None  # versions to fall back on, newest first; None: to be listed
        self.kind = kind
        self.serving: str | None = None

    def look(self) -> bool:
        """Read the pointer, load what it names; whether another version serves now."""
        try:
            wanted = self._wanted()
        except Exception as error:
            wanted = None
            self._set_aside(None, error)
        else:
            self._forget(None)
        if wanted is not None and wanted == self.serving:
            self._aside = {}
            return False
        if wanted is not None and self._try(wanted):
            self._aside = {}
            return True
        return self.serving is None and bool(self._aside) and self._try_others()

    def problems(self) -> tuple[ServingProblem, ...]:
        """What keeps the published version from serving; empty when nothing does."""
        return tuple(
            ServingProblem(
                kind=self.kind,
                version=version,
                reason=aside.reason,
                since=aside.since,
                tries=aside.backoff.failures,
                retry_seconds=None if version is None else round(aside.backoff.seconds_left, 1),
                serving=self.serving,
            )
            for version, aside in self._aside.items()
        )

    def _wanted(self) -> str | None:
        """The published version; None where this kind was never published. Raises where the pointer is lost."""
        version = self._store.current(self.kind)
        if version is None and (self.serving is not None or self._listed()):
            raise PinfunnelError(f"{self.kind}/{POINTER} is missing or empty: publish a version again")
        return version

    def _listed(self) -> list[str]:
        """Versions to fall back on, newest first, listed once: not at every look for a kind that has none."""
        if self._others is None:
            self._others = self._store.publishable(self.kind)[:INSTEAD]
        return self._others

    def _try_others(self) -> bool:
        """Serve the newest version that loads; the one that is wanted is tried again all the same."""
        try:
            others = self._listed()
        except Exception as error:
            log.error("cannot list the versions of %s: %s", self.kind, in_short(error))
            return False
        return any(self._try(version) for version in others)

    def _try(self, version: str) -> bool:
        aside = self._aside.get(version)
        if aside is not None and aside.backoff.waiting:
            return False
        try:
            self._load(version)
        except Exception as error:  # of storage, of NumPy, of a compiler: the old version serves on, whatever it is
            self._set_aside(version, error)
            if isinstance(error, MissingPackageError):
                self._others = []  # no other version of this kind can be loaded here
            return False
        self.serving = version
        self._forget(version)
        for problem in self.problems():
            log.error("%s", problem.line)
        return True

    def _set_aside(self, version: str | None, error: Exception) -> None:
        reason = in_short(error)
        known = self._aside.get(version)
        if known is None:
            known = SetAside("", datetime.now(UTC).isoformat(timespec="seconds"), Backoff(self._clock))
            self._others = None  # more may have been published since they were listed
        if known.reason != reason:
            kept = self.serving or "none"
            log.error("%s %s cannot be used, %s serves on: %s", self.kind, version or POINTER, kept, reason)
        known.reason = reason
        known.backoff.failed()
        self._aside = {**self._aside, version: known}

    def _forget(self, version: str | None) -> None:
        self._aside = {name: aside for name, aside in self._aside.items() if name != version}
