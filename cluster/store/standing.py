"""What people have decided about the versions of a kind of bundle: which were taken back, and whether it is held.

Kept beside the pointer, as `<kind>/STANDING.json`. A kind without the file has nothing decided.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

from cluster.errors import BundleError
from cluster.store.backend import Backend
from cluster.store.damage import opening

STANDING = "STANDING.json"
TRIES = 20
MOST = 200
"""Versions taken back that are remembered: those of long ago are pruned anyway."""


@dataclass(frozen=True)
class Ordered:
    """When somebody decided something, and why, in their words."""

    at: str  # UTC, ISO 8601
    why: str = ""

    @classmethod
    def now(cls, why: str = "") -> "Ordered":
        """Decided at this moment."""
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), why)

    def text(self) -> str:
        """`since 2026-11-28T23:00:00+00:00: clicks fell`"""
        return f"since {self.at}" + (f": {self.why}" if self.why else "")


@dataclass(frozen=True)
class Standing:
    """`held`: new versions are stored and not published. `taken_back`: versions that no fallback may serve."""

    held: Ordered | None = None
    taken_back: Mapping[str, Ordered] = field(default_factory=dict)

    def taking_back(self, version: str, why: str) -> "Standing":
        """With one more version taken back."""
        known = {**self.taken_back, version: Ordered.now(why)}
        return replace(self, taken_back=dict(list(known.items())[-MOST:]))

    def trusting(self, version: str) -> "Standing":
        """With a version that may serve again."""
        return replace(self, taken_back={name: why for name, why in self.taken_back.items() if name != version})

    def to_text(self) -> str:
        """As it is stored."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def of_text(cls, text: str | None) -> "Standing":
        """As `to_text` wrote it; None is nothing decided. Raises many kinds of error for anything else."""
        if text is None or not text.strip():
            return cls()
        facts = json.loads(text)
        held = None if facts["held"] is None else Ordered(**facts["held"])
        return cls(held, {str(name): Ordered(**one) for name, one in facts["taken_back"].items()})


class Standings:
    """Of all kinds below one root."""

    def __init__(self, backend: Backend, root: str) -> None:
        self._backend = backend
        self._root = root

    def of(self, kind: str) -> Standing:
        """What was decided about a kind's versions. Raises BundleError for a damaged note."""
        name = f"{kind}/{STANDING}"
        with opening(f"{name} under {self._root}", "delete it: then all versions may serve, and none is held"):
            return Standing.of_text(self._backend.read_pointer(name))

    def held(self, kind: str) -> Ordered | None:
        """Whether new versions are not to be published. A note that cannot be read holds: nobody knows what it says."""
        try:
            return self.of(kind).held
        except BundleError as error:
            return Ordered.now(str(error))

    def taken_back(self, kind: str) -> Mapping[str, Ordered]:
        """Versions that no fallback may serve; none where the note cannot be read, so that something still serves."""
        try:
            return self.of(kind).taken_back
        except BundleError:
            return {}

    def change(self, kind: str, change: Callable[[Standing], Standing]) -> Standing:
        """Decides anew; what others decide at the same time is not lost. Raises BundleError."""
        name = f"{kind}/{STANDING}"
        for _ in range(TRIES):
            before = self._backend.read_pointer(name)
            now = change(self.of(kind))
            if before is None:
                self._backend.write_pointer(name, now.to_text())
                return now
            if self._backend.swap_pointer(name, before.strip(), now.to_text()):
                return now
        raise BundleError(f"{name} under {self._root} is changed by others all the time: try again")
