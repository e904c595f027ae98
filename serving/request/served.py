"""Which bundles a process serves with, and what keeps it from serving those that are published. Plain data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class ServingProblem:
    """A version that was set aside, a pointer that names none, or a deployment that does not answer."""

    kind: str  # of bundle; the name of a deployment that does not answer
    version: str | None  # None: the pointer itself
    reason: str  # one line
    since: str = ""  # ISO 8601, UTC
    tries: int = 1
    retry_seconds: float | None = None  # until the next try; None: at every look
    serving: str | None = None  # the version of this kind that serves meanwhile; None: none

    @property
    def line(self) -> str:
        """For people: `graph 20260131T… cannot be used, 20260130T… is served: reason`."""
        named = f"{self.kind} {self.version}" if self.version else f"the pointer of {self.kind}"
        return f"{named} cannot be used, {self.serving or 'none'} is served: {self.reason}"


@dataclass(frozen=True)
class ServedBundles:
    """Of one process, or of all stages together."""

    versions: Mapping[str, str | None] = field(default_factory=dict)  # by kind; None: no version of it serves
    problems: tuple[ServingProblem, ...] = ()
    silent: tuple[str, ...] = ()  # deployments that did not answer

    @property
    def told(self) -> dict[str, str | None]:
        """`versions` as people read them: kinds of one client stand there once a version serves, as most have none."""
        return {kind: version for kind, version in self.versions.items() if version is not None or "/" not in kind}

    @property
    def problem_counts(self) -> dict[str, int]:
        """Problems by kind, 0 for those that have none."""
        return dict.fromkeys(self.versions, 0) | Counter(problem.kind for problem in self.problems)

    @classmethod
    def merged(cls, parts: Sequence["ServedBundles"]) -> "ServedBundles":
        """One view of several processes: a later one's versions hold, and a problem that several have counts once."""
        versions: dict[str, str | None] = {}
        problems: dict[tuple[str, str | None], ServingProblem] = {}
        for part in parts:
            versions |= part.versions
            for problem in part.problems:
                problems.setdefault((problem.kind, problem.version), problem)
        return cls(versions, tuple(problems.values()), tuple(name for part in parts for name in part.silent))
