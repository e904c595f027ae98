"""From what the stages hand on to a slate and through the client's policy: which survivors may be shown, in what order.

`policy.py` knows the steps, this module knows where their data comes from. No Ray, no HTTP.
"""

from dataclasses import dataclass

import numpy as np

from cluster.settings.clients import Client, PolicySettings
from serving.policy.labels import LabelRules
from serving.policy.steps import Slate, Step, apply_steps, cap, demote_labels, exclude, forbid_labels, mmr
from serving.request.ranked import Ranked
from serving.request.scored import Scored
from serving.request.walked import Walked

SPREAD = 2
"""MMR fills so many times the answer: caps move pins back, and what moves up should be diverse too."""


@dataclass(frozen=True)
class Policy:
    """A client's policy, ready to apply."""

    settings: PolicySettings
    rules: LabelRules

    @classmethod
    def of(cls, client: Client) -> "Policy":
        """Raises ConfigError for more labels than fit."""
        return cls(client.policy, LabelRules.of(client.policy))

    def filters(self, hidden: np.ndarray, seen: np.ndarray) -> list[Step]:
        """What may not be shown at all, by row: these steps hold for every answer, a degraded one too."""
        return [exclude(hidden, "hidden"), exclude(seen, "seen"), forbid_labels(self.rules.forbidden)]

    def arrangement(self, size: int) -> list[Step]:
        """Steps that change the order of a ranked answer of `size` pins; none of them loses a pin."""
        steps = [demote_labels(mask, factor) for mask, factor in self.rules.demoted]
        if self.settings.diversity:
            steps.append(mmr(SPREAD * size, self.settings.diversity))
        return [*steps, cap("board", self.settings.board_cap), cap("topic", self.settings.topic_cap)]

    def apply(
        self, walked: Walked, slate: Slate, size: int, hidden: np.ndarray, seen: np.ndarray, arrange: bool
    ) -> Slate:
        """The slate after the policy. `hidden` and `seen` are pin ids; `arrange` is off in a control arm."""
        steps = self.filters(_rows_of(walked, hidden), _rows_of(walked, seen))
        return apply_steps(slate, [*steps, *(self.arrangement(size) if arrange else [])])


def slate_of(walked: Walked, ranked: Ranked | None, scored: Scored | None, by_visits: bool) -> Slate:
    """The survivors (without a lightweight stage: all candidates), best first; `pin` is the row of `walked`.

    The order is the utility's, then, for what the full ranker has not scored, the lightweight one. A score is utility
    or margin where one of them orders all candidates alone, else the rank counted down, so that MMR and demotion have
    something to trade with.
    """
    rows = np.arange(len(walked.pins), dtype=np.int32) if ranked is None else ranked.survivors
    n = len(rows)
    order, score = np.arange(n), 1.0 - np.arange(n, dtype=np.float32) / max(n, 1)
    if ranked is not None and not by_visits:
        if ranked.version is not None:
            score = ranked.scores[rows]
        if scored is not None and scored.version is not None:
            order = np.argsort(-scored.utility, kind="stable")  # NaN, not scored in time, goes last and keeps its order
            known = np.isfinite(scored.utility)
            by_rank = 1.0 - np.argsort(order, kind="stable").astype(np.float32) / max(n, 1)
            score = scored.utility if known.all() else by_rank
    labels = None if walked.labels is None else walked.labels[rows][order]
    if ranked is None:
        return Slate(rows[order], score[order], labels=labels)
    board, vector = (None if v is None else v[order] for v in (ranked.boards, ranked.vectors))
    return Slate(rows[order], score[order], board, ranked.topics[order], vector, labels)


def _rows_of(walked: Walked, ids: np.ndarray) -> np.ndarray:
    """Rows of the candidates that have these ids; those that the walk did not reach are left out."""
    if not len(ids):
        return np.empty(0, np.int64)
    wanted = set(ids.tolist())
    return np.flatnonzero([pin in wanted for pin in walked.pin_ids.tolist()])
