"""What learned quotas are learned from: the candidates of requests with each source's rank, and which were worth it.

Because unseen candidates are logged with source and rank, what any smaller allocation would have found is known
exactly: the candidates of which some source has a rank below its quota.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.log.arrays import Request
from training.quotas.demand import known_of


@dataclass(frozen=True)
class SeenCandidates:
    """N candidates of R requests, flat. A candidate that was drawn for the log stands for `weight` of its kind."""

    sources: tuple[str, ...]
    request: np.ndarray  # int64[N], from 0
    rank: np.ndarray  # int32[N, S], -1: the source did not find it
    wanted: np.ndarray  # bool[N], it was in the answer, or acted on where nothing was shown
    weight: np.ndarray  # float64[N]
    known: np.ndarray  # float64[R, 2], what was known of each before its sources were asked

    @property
    def requests(self) -> int:
        """R."""
        return len(self.known)

    def found(self) -> np.ndarray:
        """float64[R, S]: wanted candidates that each source found."""
        hits = (self.rank >= 0) & self.wanted[:, None]
        return np.stack([np.bincount(self.request, column, minlength=self.requests) for column in hits.T], axis=1)

    def of(self, requests: np.ndarray) -> "SeenCandidates":
        """Some requests alone (indices, each once)."""
        number = np.full(self.requests, -1, np.int64)
        number[requests] = np.arange(len(requests))
        rows = np.flatnonzero(number[self.request] >= 0)
        return SeenCandidates(
            self.sources,
            number[self.request[rows]],
            self.rank[rows],
            self.wanted[rows],
            self.weight[rows],
            self.known[requests],
        )


def seen_candidates(
    requests: Sequence[Request], query_pins: Sequence[int], actions: Sequence[int], sources: Sequence[str]
) -> SeenCandidates:
    """Of logged requests with what each one knew of its user; a source that a request did not ask found nothing.

    Candidates that no listed source found (popular pins that filled up) count for nothing and are left out.
    """
    known: list[tuple[int, int]] = []
    parts: list[tuple[np.ndarray, ...]] = [
        (np.empty(0, np.int64), np.empty((0, len(sources)), np.int32), np.empty(0, bool), np.empty(0))
    ]
    for request, pins, did in zip(requests, query_pins, actions, strict=True):
        if request.sources is None:
            continue
        rank = np.stack([request.sources.rank_of(name) for name in sources], axis=1)
        acted = (request.actions > 0).any(axis=1)
        wanted = np.asarray(request.position >= 0 if request.live else acted)
        found = np.asarray((rank >= 0).any(axis=1))
        weight = np.where(wanted | acted, 1.0, 1.0 / request.kept_rate)
        number = np.full(int(found.sum()), len(known))
        parts.append((number, rank[found], wanted[found], weight[found]))
        known.append((pins, did))
    number, rank, wanted, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    of_requests = known_of(*np.array(known, np.int64).reshape(-1, 2).T)
    return SeenCandidates(tuple(sources), number, rank, wanted, weight, of_requests)


@dataclass(frozen=True)
class Allotted:
    """What an allocation would have done, by request."""

    kept: np.ndarray  # float64[R], wanted candidates that are still there
    wanted: np.ndarray  # float64[R], all of them
    scored: np.ndarray  # float64[R], candidates that the lightweight stage scores

    @property
    def share(self) -> float:
        """Of all wanted candidates, those kept."""
        return float(self.kept.sum() / max(self.wanted.sum(), 1.0))

    @property
    def cost(self) -> float:
        """Mean candidates scored."""
        return float(self.scored.mean()) if len(self.scored) else 0.0


def replay(seen: SeenCandidates, quotas: np.ndarray) -> Allotted:
    """Of quotas int[R, S] by request, or int[S] for all."""
    limit = np.broadcast_to(quotas, (seen.requests, len(seen.sources)))[seen.request]
    return replay_rows(seen, ((seen.rank >= 0) & (seen.rank < limit)).any(axis=1))


def replay_rows(seen: SeenCandidates, there: np.ndarray) -> Allotted:
    """Of the candidates in bool[N]."""

    def of(values: np.ndarray) -> np.ndarray:
        return np.bincount(seen.request, values, minlength=seen.requests)

    return Allotted(of(seen.wanted & there), of(seen.wanted), of(seen.weight * there))
