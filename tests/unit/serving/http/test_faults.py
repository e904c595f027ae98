"""What HTTP says when stages fail: an answer while there is anything to show, and the right status otherwise."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from apps.world.in_process import LocalEvents
from serving.deploy.process import Process
from serving.funnel.stages import DirectStages, Overloaded
from serving.http.routes import Ingress
from serving.request.served import ServedBundles
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world, publish_lightweight, some_user


class Faulty(DirectStages):
    """Stages of which those in `faults` raise."""

    faults: dict[str, Exception] = {}

    def __getattribute__(self, name: str) -> Any:
        faults = object.__getattribute__(self, "faults")
        if name not in faults:
            return object.__getattribute__(self, name)

        async def broken(*_: Any) -> Any:
            raise faults[name]

        return broken


class Answered:
    """Notes what an observer is told."""

    def __init__(self) -> None:
        self.degraded: list[str] = []
        self.outcomes: Counter[str] = Counter()

    def events(self, outcome: str, count: int) -> None:
        self.outcomes[outcome] += count

    def answered(self, answer: Any, milliseconds: float) -> None:
        self.degraded.append(answer.degraded)

    def refused(self, why: str) -> None:
        raise AssertionError("there is room")

    def log_dropped(self, client: str) -> None:
        raise AssertionError("the queue has room")


def full_disk(*_: Any) -> Any:
    """What an event log does without room."""
    raise OSError(28, "No space left on device")


class Served:
    """The endpoints over a server's funnel with faulty stages."""

    def __init__(self, process: Process, user: int):
        self.stages = Faulty(process.sources, process.lightweight, process.full)
        self.observed = Answered()
        self.log = process.serving_log()
        self.events = process.event_log()
        self.user = user

        async def served() -> ServedBundles:
            return ServedBundles()

        funnel = process.served_funnel(self.stages)
        ingress = Ingress(
            process.project,
            process.clients,
            funnel,
            LocalEvents(self.events),
            self.log,
            process.features.schema_hash,
            served,
            self.observed,
        )
        self._face = Face(ingress.app())

    def tell(self, events: list[dict[str, Any]]) -> Any:
        """A receipt, or why there is none."""
        return self._face.post("/v1/events", json={"events": events})

    def ask(self, **faults: Exception) -> Any:
        """One explained answer."""
        self.stages.faults = faults
        return self._face.post("/v1/homefeed/recommendations", json={"user_id": self.user, "explain": True})


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    world = opened_world(tmp_path_factory.mktemp("world"), deadline_ms=60_000.0)
    process = Process(world.project, world.clients)
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    process.watcher().poll()
    served = Served(process, some_user(world))
    yield served
    served.log.close()
    served.events.close()


def test_a_failing_explanation_leaves_the_answer(served: Served) -> None:
    whole = served.ask()
    assert whole.json()["degraded"] == ""
    assert whole.json()["pins"][0]["explanation"]["lightweight_top_features"]
    answer = served.ask(explain=RuntimeError("boom"))
    assert answer.status_code == 200
    assert answer.json()["degraded"] == "explain: RuntimeError: boom"
    explanations = [pin["explanation"] for pin in answer.json()["pins"]]
    assert [e["lightweight_top_features"] for e in explanations] == [{}] * len(explanations)
    assert all("lightweight_score" in e for e in explanations)


def test_every_stage_failing_still_answers_and_says_so(served: Served) -> None:
    answer = served.ask(generate=RuntimeError("no walker"), rank=RuntimeError("no trees"))
    assert answer.status_code == 200
    assert answer.json()["source"] == "popular"
    assert answer.json()["degraded"] == "walk: RuntimeError: no walker; lightweight: RuntimeError: no trees"
    assert [stage["stage"] for stage in answer.json()["stages"]] == ["popular"]
    assert len(answer.json()["pins"]) > 0
    assert served.observed.degraded[-1:] == [answer.json()["degraded"]]


def test_events_are_counted_by_what_became_of_them(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = [pin["pin_id"] for pin in served.ask().json()["pins"]][:3]
    now = datetime.now(UTC).isoformat()
    batch = [
        {"event_id": str(pin), "user_id": served.user, "pin_id": pin, "action": "save", "occurred_at": now}
        for pin in pins
    ]
    batch[1]["action"] = "no such action"
    assert served.tell(batch).json()["accepted"] == 2
    assert served.observed.outcomes == {"stored": 2, "refused": 1}
    monkeypatch.setattr(served.events, "append", full_disk)
    assert served.tell(batch).status_code == 503
    assert served.observed.outcomes == {"stored": 2, "refused": 1, "not_stored": 3}


def test_overload_is_told_to_come_back(served: Served) -> None:
    answer = served.ask(generate=Overloaded("too many requests at once; try again"))
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "1"


def test_without_a_graph_there_is_nothing_to_show(tmp_path: Path) -> None:
    world = opened_world(tmp_path)
    empty = Process(world.project.model_copy(update={"home": str(tmp_path / "empty")}), world.clients)
    served = Served(empty, 1)
    answer = served.ask()
    served.log.close()
    served.events.close()
    assert answer.status_code == 503
    assert "no graph is published" in answer.text
