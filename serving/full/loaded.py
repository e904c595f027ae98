"""A full ranker that is ready to score, and how fast it is."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cluster.store.bundles import Bundle
from serving.full.pacing import Pace

if TYPE_CHECKING:  # torch: seconds and 200 MB of a process, and only one that scores with a full ranker needs it
    from training.ranker.scorer import FullScorer


@dataclass(frozen=True)
class LoadedRanker:
    """One version."""

    version: str
    scorer: "FullScorer"
    held_back: frozenset[str]  # clients that its gate did not give it
    pace: Pace

    @classmethod
    def of(cls, bundle: Bundle, pace: Pace) -> "LoadedRanker":
        """Opened, checked and warm; `pace` learns how long it takes."""
        from training.ranker.scorer import FullScorer, best_device

        scorer = FullScorer.open(bundle.path, best_device())
        scorer.warm()
        began = pace.clock()
        pace.learn(scorer.warm(), pace.clock() - began)
        return cls(bundle.version, scorer, frozenset(bundle.meta.get("held_back", ())), pace)
