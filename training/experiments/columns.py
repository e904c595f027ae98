"""The columns of a unit, a user or a window of time: what it was shown and did, and what it did before."""

from dataclasses import dataclass
from functools import cached_property

from training.experiments.lifts import UnitRatio

BEFORE = "before "
"""Followed by an action: how often the unit did it in the days before the experiment."""
BEFORE_ALL = "before"
KNOWN = "known"
KNOWN_LATELY = "known lately"
"""Actions that the first request knew of the user, of any time, and of the week before."""
MILLISECONDS = "milliseconds"
DEGRADED = "degraded"


@dataclass(frozen=True)
class UnitColumns:
    """Of a project's `actions`. `drafted`: with credits of the two teams of an interleaving."""

    actions: tuple[str, ...]
    drafted: bool = False

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All columns in their order."""
        seen = ("requests", "shown", "timed", MILLISECONDS, DEGRADED, *(f"did {action}" for action in self.actions))
        credited = (
            tuple(f"team {team} {a}" for team in (0, 1) for a in (*self.actions, "shown")) if self.drafted else ()
        )
        past = (*(f"{BEFORE}{action}" for action in self.actions), BEFORE_ALL, KNOWN, KNOWN_LATELY)
        return (*seen, *credited, *past)

    def at(self, name: str) -> int:
        """The number of a column."""
        return self.names.index(name)

    @property
    def past(self) -> tuple[int, ...]:
        """Columns that a unit's first request tells; of all others a unit's parts are added up."""
        return self.at(KNOWN), self.at(KNOWN_LATELY)

    def covariates(self, action: str | None = None) -> tuple[int, ...]:
        """What CUPED takes of a unit's past, for a figure of an action, or of anything else."""
        own = () if action is None else (self.at(f"{BEFORE}{action}"),)
        return (*own, self.at(BEFORE_ALL), *self.past)

    def per_unit(self, action: str) -> UnitRatio:
        """An action by units."""
        return UnitRatio(f"{action} per user", self.at(f"did {action}"))

    def per_request(self, action: str) -> UnitRatio:
        """An action by requests."""
        return UnitRatio(f"{action} per request", self.at(f"did {action}"), self.at("requests"))

    def per_pin(self, action: str) -> UnitRatio:
        """An action by pins shown."""
        return UnitRatio(f"{action} per shown pin", self.at(f"did {action}"), self.at("shown"))

    def milliseconds(self) -> UnitRatio:
        """Mean time of a request."""
        return UnitRatio(MILLISECONDS, self.at(MILLISECONDS), self.at("timed"))

    def degraded(self) -> UnitRatio:
        """Share of requests whose answer lacked something."""
        return UnitRatio("degraded answers", self.at(DEGRADED), self.at("requests"))
