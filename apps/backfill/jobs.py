"""One replay as a job: its name, which is that of its data and settings, and its pieces."""

import hashlib

from apps.backfill.moment import ReplayPlan
from apps.backfill.piece import ReplayJob, ReplayPiece
from apps.backfill.replay import Replay
from cluster.catalog.build import known_topics

PIECE_MOMENTS = 256
"""Moments a piece: what a kill or a dead worker costs, and a row group of the log."""


def job_of(replay: Replay, client: str, plan: ReplayPlan) -> ReplayJob:
    """The same key for the same replay of the same data with the same settings, and another one for any other."""
    opened = replay.opened
    project = opened.project
    told = (
        replay.digest,
        replay.process.features.schema_hash,
        known_topics(replay.process.store),
        (project.ids, project.actions, project.negative_actions, project.features, project.graph, project.similarity),
        project.serving.hidden_per_user,
        project.attribution_hours,
        opened.clients[client],
        plan,
        PIECE_MOMENTS,
    )
    return ReplayJob(opened, client, plan, hashlib.blake2b(repr(told).encode(), digest_size=6).hexdigest())


def pieces_of(replay: Replay, client: str, plan: ReplayPlan) -> list[ReplayPiece]:
    """All pieces of a client's plan, in order of time. They do not depend on who does them."""
    pieces: list[ReplayPiece] = []
    for part in replay.slices_of(client, plan):
        for first in range(0, len(part.rows), PIECE_MOMENTS):
            pieces.append(ReplayPiece(len(pieces), part.begin, part.rows[first : first + PIECE_MOMENTS]))
    return pieces
