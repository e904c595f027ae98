"""Users' state as an ingress sees it, embedded and over Redis: one contract for both, against a list of what happened.

Needs a Redis or Valkey server for its half (tests/worlds/redis_server.py). No Ray: the parts are those of the replicas.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from cluster.store.logs import LogStore
from serving.deploy.remote_events import RemoteEvents
from serving.funnel.runner import Fault
from serving.http.users import known_of
from serving.logs import redis_reader, redis_writer
from serving.logs.events import EventLog
from serving.logs.health import LogHealth
from serving.logs.owned_folder import OwnedFolder
from serving.logs.redis_client import key_of_user, key_of_writer
from serving.logs.redis_reader import RedisStateReader
from serving.logs.redis_writer import RedisStateWriter
from serving.logs.shard import WHOLE
from serving.logs.state_folder import StatePublisher, StateReader
from serving.logs.user_state import UserStates
from serving.request.ask import Id, ShownPins, UserState
from serving.request.deadline import Deadline
from tests.unit.serving.logs.test_events import event
from tests.unit.serving.logs.test_user_state import slow_state
from tests.unit.serving.logs.writers import CONTRACT
from tests.worlds.fuzz import examples
from tests.worlds.redis_server import RedisServer

REMEMBER = 4
HIDDEN = 50
USERS = st.integers(0, 2)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other things does not look like a server that is gone."""
    monkeypatch.setattr(redis_reader, "PATIENCE", redis_reader.ASK_SECONDS)


class Machine:
    """The writer's, with one ingress: on the same machine without Redis, on another one with it."""

    def __init__(self, home: Path, server: RedisServer | None, shown: list[tuple[Id, ShownPins]]):
        """`shown` is what the serving log has."""
        self.home = home
        self.server = server
        publisher = StatePublisher(home / "state")
        self.publisher = publisher
        states = UserStates(("hide",), REMEMBER, HIDDEN, publisher.folder)
        self.log = EventLog(OwnedFolder(home / "wal"), LogStore(home / "logs"), CONTRACT, states)
        self.log.note_shown(shown)
        publisher.publish()
        self.redis: RedisStateWriter | None = None
        if server is not None:
            self.redis = RedisStateWriter(server.settings, WHOLE, self.log.state)
            self.log.tell(self.redis.changed)

    def kill(self) -> None:
        """What the kernel does for a killed process, and the threads that it would have ended."""
        if self.redis is not None:
            self.redis.close()
        self.publisher.close()
        self.log._waiting.close()
        self.log._states.close()
        self.log._folder.release()


class Ingress:
    """What an ingress has of the event log; counts how often it asks the writer."""

    def __init__(self, machine: Machine):
        self.machine = machine
        self.asked = 0
        self.cut_off = False  # the writer does not answer
        self.loop = asyncio.Runner()
        self.here = StateReader(machine.home / "state", REMEMBER, HIDDEN)
        writer: Any = self
        server = machine.server
        self.shared = None if server is None else RedisStateReader(server.settings, 1)
        self.events = RemoteEvents(CONTRACT, [writer], None, self.shared)

    def at_hand(self, user: Id | None, old: bool) -> UserState | None:
        return self.here.of(user, old) if self.machine.server is None else None

    async def state(self, user: Id) -> UserState:
        self.asked += 1
        if self.cut_off:
            raise ConnectionError
        if self.machine.redis is not None:
            self.machine.redis.changed([user])
        return self.machine.log.state(user)

    async def health(self) -> LogHealth:
        health = self.machine.log.health()
        return health if self.machine.redis is None else health.beside(self.machine.redis.health())

    def read(self, user: Id) -> tuple[UserState, tuple[Fault, ...]]:
        return self.loop.run(known_of(self.events, user, Deadline.after(60)))

    def newest(self, user: Id) -> Id | None:
        """The pin of the user's last action, where that is known to be the last."""
        state, faults = self.read(user)
        pins = state.recents.pin_ids.tolist()
        return None if faults or not pins else pins[0]

    def unasked(self, user: Id) -> bool:
        """Whether the user's state is had without the writer."""
        asked = self.asked
        self.read(user)
        return self.asked == asked

    def problems(self) -> str:
        return " ".join(self.loop.run(self.events.health()).problems)

    def close(self) -> None:
        self.here.close()
        if self.shared is not None:
            self.loop.run(self.shared._client.aclose())
        self.loop.close()


def until(true: Callable[[], bool]) -> None:
    """What is told right behind is there soon."""
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")


class Contract(RuleBasedStateMachine):
    """Whatever happens to whom, each user's state is what the lists say."""

    def __init__(self, home: Path, server: RedisServer | None):
        super().__init__()
        self.server = server
        self.home = home / f"{time.monotonic_ns()}"
        self.home.mkdir()
        self.began = datetime.now(UTC) - timedelta(days=2)
        self.rows: list[dict[str, Any]] = []
        self.answers: list[tuple[Id, ShownPins]] = []
        self.touched: set[int] = {0, 1, 2}
        if server is not None:
            server.client.flushall()
            server.client.save()
        self.machine = Machine(self.home, server, [])
        self.ingress = Ingress(self.machine)

    @rule(user=USERS, pin=st.integers(0, 5), action=st.sampled_from(["save", "click", "hide"]))
    def act(self, user: int, pin: int, action: str) -> None:
        number = len(self.rows)
        at = self.began + timedelta(seconds=number)
        row = event(f"e{number}", user_id=user, pin_id=pin, action=action, occurred_at=at)
        assert self.machine.log.append([row]).accepted == 1
        self.rows.append({**row, "occurred_at": at.isoformat()})
        self.touched.add(user)

    @rule(user=USERS, pins=st.lists(st.integers(0, 5), min_size=1, max_size=3).map(tuple))
    def show(self, user: int, pins: tuple[int, ...]) -> None:
        answer = ShownPins("homefeed", len(self.answers), pins)
        self.machine.log.note_shown([(user, answer)])
        self.answers.append((user, answer))
        self.touched.add(user)

    @rule()
    def write_parquet(self) -> None:
        self.machine.log.flush()

    @rule()
    def restart_ingress(self) -> None:
        self.ingress.close()
        self.ingress = Ingress(self.machine)

    @rule()
    def restart_writer(self) -> None:
        self.machine.kill()
        self.machine = Machine(self.home, self.server, self.answers)
        self.ingress.machine = self.machine
        self.touched = {0, 1, 2}

    @precondition(lambda self: self.server is not None)
    @rule(how=st.sampled_from(["flush", "save", "restart", "damage"]))
    def trouble_the_server(self, how: str) -> None:
        assert self.server is not None
        if how == "flush":
            self.server.client.flushall()
        elif how == "save":
            self.server.client.save()
        elif how == "damage":
            for user in range(3):
                self.server.client.set(key_of_user(self.server.settings, user), b"1damaged")
        else:  # it has what it saved last, which is old
            self.server.kill()
            self.server.start()
        self.touched = {0, 1, 2}

    @invariant()
    def known(self) -> None:
        for user in self.touched:
            until(lambda user=user: self.as_listed(user))  # type: ignore[misc]
            until(lambda user=user: self.ingress.unasked(user))  # type: ignore[misc]
            assert self.as_listed(user)
        self.touched = set()

    def as_listed(self, user: int) -> bool:
        state, faults = self.ingress.read(user)
        assert faults == (), "the writer could have been asked"
        acts = list(zip(state.recents.pin_ids.tolist(), state.recents.actions.tolist(), strict=True))
        shown = tuple(answer for whose, answer in reversed(self.answers) if whose == user)
        return (acts, list(state.hidden), state.shown) == (*slow_state(self.rows, user, REMEMBER, HIDDEN), shown)

    def teardown(self) -> None:
        self.ingress.close()
        self.machine.kill()


@pytest.mark.parametrize("kind", ["embedded", "redis"])
def test_each_users_state_is_what_happened_whatever_is_restarted(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server = None if kind == "embedded" else request.getfixturevalue("server")
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Contract(tmp_path, server),
        settings=settings(
            max_examples=examples(8), stateful_step_count=10, suppress_health_check=list(HealthCheck), deadline=None
        ),
    )


@pytest.fixture
def ingress(server: RedisServer, tmp_path: Path) -> Iterator[Ingress]:
    server.client.flushall()
    made = Ingress(Machine(tmp_path, server, []))
    yield made
    made.close()
    made.machine.kill()


@pytest.mark.parametrize("fault", ["kill", "hang"])
def test_a_server_that_goes_takes_no_event_and_no_answer_with_it(
    fault: str, ingress: Ingress, server: RedisServer
) -> None:
    append = ingress.machine.log.append
    append([event("a", pin_id=1)])
    until(lambda: ingress.newest(1) == 1 and ingress.unasked(1))
    assert ingress.problems() == ""
    getattr(server, fault)()
    try:
        for number in range(2, 12):
            assert append([event(f"b{number}", pin_id=number)]).accepted == 1
            assert ingress.newest(1) == number, "the writer is asked, and nothing is missing"
        until(lambda: "not written to Redis" in ingress.problems() and "not read from Redis" in ingress.problems())
        ingress.cut_off = True
        state, ((_, _, text),) = ingress.read(1)
        assert len(state.recents.pin_ids) == 0
        assert "since the last build is not known (ConnectionError)" in text
        ingress.cut_off = False
    finally:
        server.go_on() if fault == "hang" else server.start()
    until(lambda: ingress.problems() == "")
    until(lambda: ingress.newest(1) == 11 and ingress.unasked(1))


@pytest.mark.parametrize("restarted", ["server", "server and writer"])
def test_an_old_copy_is_never_taken_for_new(restarted: str, ingress: Ingress, server: RedisServer) -> None:
    machine = ingress.machine
    machine.log.append([event("a", pin_id=1)])
    until(lambda: ingress.newest(1) == 1 and ingress.unasked(1))
    server.client.save()
    if restarted == "server":
        machine.log.append([event("b", pin_id=2)])
        until(lambda: ingress.newest(1) == 2 and ingress.unasked(1))
        server.kill()
    else:
        server.kill()
        machine.log.append([event("b", pin_id=2)])
        machine.kill()
        ingress.machine = Machine(machine.home, server, [])
    server.start()
    other = Ingress(ingress.machine)  # one that has not heard of the restart, and so has no reason to ask
    until(lambda: other.newest(1) == 2 and other.unasked(1))
    assert other.newest(1) == 2
    other.close()


def test_without_its_writer_a_users_old_state_holds_and_is_marked(ingress: Ingress, server: RedisServer) -> None:
    ingress.machine.log.append([event("a", pin_id=1)])
    until(lambda: ingress.newest(1) == 1 and ingress.unasked(1))
    assert ingress.machine.redis is not None
    ingress.machine.redis.close()
    ingress.cut_off = True
    until(lambda: not server.client.exists(key_of_writer(server.settings, WHOLE)))
    state, ((_, _, text),) = ingress.read(1)
    assert state.recents.pin_ids.tolist() == [1]
    assert "in the last moments is not known (ConnectionError)" in text


def test_keys_go_by_themselves_and_damaged_values_are_counted(ingress: Ingress, server: RedisServer) -> None:
    ingress.machine.log.append([event("a", pin_id=1)])
    until(lambda: ingress.newest(1) == 1 and ingress.unasked(1))
    key = key_of_user(server.settings, 1)
    assert 0 < server.client.ttl(key) <= server.settings.keep_hours * 3600
    assert 0 < server.client.pttl(key_of_writer(server.settings, WHOLE)) <= redis_writer.FRESH_MS

    def counted() -> bool:
        server.client.set(key, b"not ours")  # again, as the writer may have had one more write for an earlier question
        assert ingress.newest(1) == 1
        return ingress.loop.run(ingress.events.health()).counters["redis_damaged"] > 0

    until(counted)
    until(lambda: ingress.unasked(1))


def test_users_that_wait_for_a_server_are_bounded(
    ingress: Ingress, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_writer, "WAITING_USERS", 3)
    writer = ingress.machine.redis
    assert writer is not None
    server.kill()
    try:
        writer.changed(range(10))
        until(lambda: writer.health().counters["redis_write_failures"] > 0)
        until(lambda: writer.health().counters["redis_waiting"] <= 3)
    finally:
        server.start()
    until(lambda: writer.health() == LogHealth({"redis_waiting": 0, "redis_write_failures": writer._failures}, ()))
