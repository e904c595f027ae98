"""The full ranker as a teacher: for a share of requests it also scores candidates that the lightweight stage dropped.

A student that learns from survivors only never sees what it wrongly dropped. Runs after the answer is given; the log
marks what was scored so and the chance of it, from which distillation takes its weights. No Ray, no HTTP.
"""

import logging
from dataclasses import dataclass, replace

import numpy as np

from cluster.data.schema import WALKED
from serving.funnel.runner import Runner
from serving.funnel.stages import Stages
from serving.request.answer import Answer, Taught

log = logging.getLogger(__name__)

PATIENCE = 5.0
"""Seconds for a teacher's pass: nobody waits for it, but it may not queue for ever behind answers."""


@dataclass(frozen=True)
class Teacher:
    """`share` of the answers that the full ranker ordered get `candidates` random further candidates scored."""

    share: float = 0.0
    candidates: int = 100

    def wants(self, answer: Answer) -> bool:
        """Whether this answer is one of the sample; its seed decides, so a repeated call agrees."""
        if answer.scored is None or answer.scored.version is None or answer.ranked is None:
            return False
        dropped = len(answer.candidates.pins) - len(answer.ranked.survivors)
        return dropped > 0 and bool(np.random.default_rng([answer.ask.seed, 1]).random() < self.share)

    async def teach(self, answer: Answer, stages: Stages, run: Runner) -> None:
        """Adds `answer.taught`. A fault, or a model swapped since the answer, leaves the answer as it is."""
        assert answer.ranked is not None
        assert answer.scored is not None
        dropped = np.flatnonzero(answer.stage_reached() == WALKED)
        size = min(self.candidates, len(dropped))
        rng = np.random.default_rng([answer.ask.seed, 2])
        rows = np.sort(rng.choice(dropped, size, replace=False)).astype(np.int32)
        asked = replace(answer.ranked, survivors=rows)
        seconds = min(PATIENCE, run.deadline.budget())
        scored = await run.run("teacher", stages.score, answer.ask, answer.candidates, asked, seconds)
        if scored is None:
            log.warning("%s; the request is logged without it", run.faults[-1])
            return
        if scored.version == answer.scored.version and np.isfinite(scored.utility).all():
            answer.taught = Taught(rows, scored.utility, self.share * size / len(dropped))
