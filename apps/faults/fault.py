"""What a fault is, and the ground that it is made on."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path

from apps.faults.server import ServerUnderFault
from apps.faults.site import FaultSite
from apps.faults.verdict import Judge
from cluster.errors import PinfunnelError


class CannotFault(PinfunnelError):
    """This machine, or this user, cannot make a fault: the table says why."""


@dataclass
class Ground:
    """A server under load."""

    site: FaultSite
    server: ServerUnderFault
    judge: Judge
    stored: set[str] = field(default_factory=set)  # ids of the events in the log, once the server has ended

    @property
    def logs(self) -> Path:
        """The site's logs."""
        return Path(self.site.opened.project.home) / "logs"


class ServerFault(ABC):
    """One fault. `make` does it and may take its time; `mend` takes away what does not go by itself."""

    name: str
    about: str
    ground: str = "colocated"
    """Which server it is made on (apps/faults/grounds.py)."""
    hold: float = 0.0
    """Seconds from `make` to `mend`."""
    patience: float = 60.0
    """Seconds from `mend` within which all must be normal again."""
    short: bool = False
    """Whether it is in the short form."""

    @abstractmethod
    def make(self, ground: Ground) -> str:
        """Make it; returns a note for the table. Raises CannotFault where this machine cannot."""

    def mend(self, ground: Ground) -> str:
        """Take it away; returns a note, too."""
        return ""

    def over(self, ground: Ground) -> bool:
        """Whether what was broken is there again, requests aside."""
        return True
