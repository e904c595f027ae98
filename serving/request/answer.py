"""Everything that is known of one answered request: what the user gets and what the log keeps. Plain data."""

from dataclasses import dataclass, field

import numpy as np

from cluster.data.schema import IMPRESSED, RANKED, WALKED
from serving.request.ask import WalkAsk
from serving.request.candidates import Candidates
from serving.request.found import Discovery
from serving.request.log_odds import Reasons
from serving.request.ranked import Ranked
from serving.request.scored import Scored


@dataclass
class StageTiming:
    """What one stage took, kept and cost."""

    stage: str
    version: str | None
    received: int
    kept: int
    milliseconds: float


@dataclass(frozen=True)
class Taught:
    """Candidates that only the walk chose, scored by the full ranker as a teacher after the answer was given."""

    rows: np.ndarray  # int32[t], of `candidates`
    utility: np.ndarray  # float32[t]
    rate: float  # chance that such a candidate of such a request is scored: share of requests x share of candidates


@dataclass
class Answer:
    """One answered request."""

    ask: WalkAsk
    candidates: Candidates
    ranked: Ranked | None
    scored: Scored | None
    shown: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))  # int32[m], of `candidates`, best first
    explored: np.ndarray = field(default_factory=lambda: np.empty(0, bool))  # bool[m]
    explored_rate: float = 0.0  # chance of a survivor behind the answer's best to be drawn into it; 0: none could be
    dropped_rate: float = 0.0  # the same of a candidate that the lightweight stage dropped
    stages: list[StageTiming] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)  # what it lacks and why, `stage: reason`, in their order
    removed: dict[str, int] = field(default_factory=dict)  # policy step -> candidates it left out
    discoveries: list[list[Discovery]] = field(default_factory=list)  # aligned with `shown`; empty unless explained
    contributions: list[dict[str, float]] = field(default_factory=list)  # aligned with `shown`; empty unless explained
    reasons: list[Reasons] = field(default_factory=list)  # the full ranker's, aligned with `shown`; empty as above
    taught: Taught | None = None
    exposure: tuple[str, ...] = ()  # experiments in force, each as `experiment/arm`
    team: np.ndarray = field(default_factory=lambda: np.empty(0, np.int8))  # int8[m], arm that placed it; or empty
    remembered: bool = False  # the client asks for what its users were shown
    milliseconds: float | None = None  # from the call to its answer; None where nobody waits

    @property
    def degraded(self) -> str:
        """All faults in one line; empty for a whole answer."""
        return "; ".join(self.faults)

    def stage_reached(self) -> np.ndarray:
        """WALKED, RANKED or IMPRESSED of every candidate, int8[n]. What a teacher scores later stays WALKED."""
        out = np.full(len(self.candidates.pins), WALKED, np.int8)
        if self.ranked is not None:
            out[self.ranked.survivors] = RANKED
        out[self.shown] = IMPRESSED
        return out

    def full_scores(self) -> np.ndarray:
        """Utility of every candidate, float32[n]; NaN where the full ranker did not score."""
        out = np.full(len(self.candidates.pins), np.nan, np.float32)
        if self.ranked is not None and self.scored is not None:
            out[self.ranked.survivors] = self.scored.utility
        if self.taught is not None:
            out[self.taught.rows] = self.taught.utility
        return out
