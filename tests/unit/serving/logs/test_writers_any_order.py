"""Whatever is sent, killed, refused and restarted with however many writers: what was acknowledged is stored once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.serving.logs.writers import Writers
from tests.worlds.fuzz import examples

USERS = st.integers(0, 11)
START = datetime.now(UTC) - timedelta(days=2)


class AnyOrder(RuleBasedStateMachine):
    """The obvious version beside the log: a set of ids that were acknowledged, and what each user did."""

    @initialize(number=st.integers(1, 4))
    def begin(self, number: int) -> None:
        self._folder = TemporaryDirectory()
        self.writers = Writers(Path(self._folder.name), number)
        self.sent: dict[str, dict[str, Any]] = {}
        self.acknowledged: set[str] = set()

    def _try(self, batch: list[dict[str, Any]]) -> None:
        self.sent |= {each["event_id"]: each for each in batch}
        try:
            receipt = self.writers.send(batch)
        except OSError:
            return
        assert (receipt.accepted, receipt.refused) == (len(batch), [])
        self.acknowledged |= {each["event_id"] for each in batch}

    @rule(users=st.lists(USERS, min_size=1, max_size=8))
    def send(self, users: list[int]) -> None:
        first = len(self.sent)
        fields = {"action": "save", "client": None, "request_id": None}
        moment = START + timedelta(minutes=first)
        self._try(
            [
                {**fields, "event_id": f"e{n}", "user_id": user, "pin_id": n, "occurred_at": moment}
                for n, user in enumerate(users, first)
            ]
        )

    @rule(draw=st.data())
    def send_again(self, draw: st.DataObject) -> None:
        if self.sent:
            names = draw.draw(st.lists(st.sampled_from(sorted(self.sent)), min_size=1, max_size=8))
            self._try([self.sent[name] for name in names])

    @rule(users=st.lists(USERS, min_size=2, max_size=8), broken=st.integers(0, 3))
    def send_while_a_disk_refuses(self, users: list[int], broken: int) -> None:
        with pytest.MonkeyPatch.context() as patch:
            log = self.writers.logs[broken % len(self.writers.logs)]
            patch.setattr(log._waiting, "append", lambda _: (_ for _ in ()).throw(OSError("full")))
            self.send(users)

    @rule(which=st.integers(0, 3))
    def flush_one(self, which: int) -> None:
        self.writers.logs[which % len(self.writers.logs)].flush()

    @rule(which=st.integers(0, 3))
    def kill_and_restart_one(self, which: int) -> None:
        self.writers.kill(which % len(self.writers.logs))
        self.writers.restart(which % len(self.writers.logs))

    @rule(which=st.integers(0, 3))
    def kill_between_parquet_and_the_end_of_its_file(self, which: int) -> None:
        log = self.writers.logs[which % len(self.writers.logs)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(log._waiting, "done", lambda _: (_ for _ in ()).throw(OSError("killed")))
            try:
                log.flush()
            except OSError:
                self.kill_and_restart_one(which)

    @rule(number=st.integers(1, 4), cleanly=st.booleans())
    def restart_all(self, number: int, cleanly: bool) -> None:
        if cleanly:
            for log in self.writers.logs:
                log.close()
        else:
            self.writers.kill()
        self.writers = Writers(self.writers.home, number)

    @invariant()
    def what_is_stored_is_there_once(self) -> None:
        stored = self.writers.stored()
        assert len(stored) == len(set(stored))
        assert set(stored) <= set(self.sent)

    @invariant()
    def users_have_done_what_was_acknowledged(self) -> None:
        done = {name for user in range(12) for name in self._names(user)}
        assert self.acknowledged <= done <= set(self.sent)

    def _names(self, user: int) -> Iterator[str]:
        return (f"e{pin}" for pin in self.writers.state(user).recents.pin_ids.tolist())

    def teardown(self) -> None:
        if not hasattr(self, "writers"):
            return
        try:
            self.writers.flush()
            stored = self.writers.stored()
            assert len(stored) == len(set(stored))
            assert self.acknowledged <= set(stored)
        finally:
            self.writers.kill()
            self._folder.cleanup()


@pytest.mark.fuzz
class TestAnyOrder(AnyOrder.TestCase):  # type: ignore[misc, name-defined]
    settings = settings(max_examples=examples(20), stateful_step_count=15, deadline=None)
