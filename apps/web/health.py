"""The health view: what one ingress counted of the last hour, and what serves. Plain values; draws nothing."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from serving.http.figures import Figures, TimesTaken
from serving.http.inside import Inside
from serving.lightweight.feature_watch import FeatureState
from serving.logs.health import LogHealth
from serving.request.served import ServedBundles, ServingProblem

DRIFTED = 0.1
MOVED = 0.25
"""PSI from which on a feature has moved somewhat, and much."""
MOST_FEATURES = 12


@dataclass(frozen=True)
class ClientHealth:
    """One client's hour."""

    client: str
    answers: int
    degraded: int
    per_minute: tuple[int, ...]
    whole: TimesTaken | None
    stages: tuple[tuple[str, TimesTaken], ...]


@dataclass(frozen=True)
class CountedRow:
    """A count by its labels."""

    labels: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class HealthPage:
    """All of it."""

    process: int
    seconds: float
    status: str
    problems: tuple[str, ...]
    versions: Mapping[str, str | None]
    aside: tuple[ServingProblem, ...]
    clients: tuple[ClientHealth, ...]
    fallbacks: tuple[CountedRow, ...]
    removed: tuple[CountedRow, ...]
    refused: tuple[CountedRow, ...]
    events: tuple[CountedRow, ...]
    waiting: int
    logs: Mapping[str, LogHealth]
    drift: tuple[FeatureState, ...]
    watched: bool  # whether this process ranks, and so knows features
    serves: bool  # whether there is anything to count


async def health_page(inside: Inside, features: Iterable[FeatureState] | None) -> HealthPage:
    """Now. `features`: None where another process ranks."""
    served: ServedBundles = await inside.served()
    logs = await inside.logs()
    figures = inside.figures
    states = [state for state in features or () if state.psi is not None or state.nan_share > 0]
    states.sort(key=lambda state: -(state.psi or 0.0))
    silent = [f"{name} does not answer" for name in served.silent]
    problems = [*silent, *(line for health in logs.values() for line in health.problems)]
    return HealthPage(
        process=os.getpid(),
        seconds=figures.seconds,
        status="ok" if not problems and not served.problems else "degraded",
        problems=tuple(problems),
        versions=served.told,
        aside=served.problems,
        clients=tuple(_client(figures, name) for name in inside.clients),
        fallbacks=_rows(figures, "fallbacks"),
        removed=_rows(figures, "removed"),
        refused=_rows(figures, "refused"),
        events=_rows(figures, "events"),
        waiting=inside.waiting(),
        logs=logs,
        drift=tuple(states[:MOST_FEATURES]),
        watched=features is not None,
        serves=inside.serves,
    )


def _client(figures: Figures, client: str) -> ClientHealth:
    times = figures.times()
    whole = times.get((client, ""))
    stages = tuple((stage, taken) for (name, stage), taken in times.items() if name == client and stage)
    return ClientHealth(
        client,
        figures.total("answers").get((client,), 0),
        figures.total("degraded").get((client,), 0),
        tuple(figures.by_minute("answers", client)),
        whole,
        stages,
    )


def _rows(figures: Figures, name: str) -> tuple[CountedRow, ...]:
    return tuple(CountedRow(labels, count) for labels, count in figures.total(name).items() if count)
