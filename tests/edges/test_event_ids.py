"""An event id is one event's: another event with it is told, not lost; the same one again is taken once."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cluster.contract.moments import MomentContract
from cluster.data.cleaning import Tally, now_us
from cluster.data.events import EMPTY_EVENT_ID, clean_events
from cluster.data.schema import TIMESTAMP
from cluster.settings.project import DEFAULT_ACTIONS
from cluster.store.logs import LogStore
from serving.logs.contract import EventContract
from serving.logs.events import EventLog
from serving.logs.known_events import TAKEN
from serving.logs.owned_folder import OwnedFolder
from serving.logs.user_state import UserStates

Open = Callable[[], EventLog]
OTHERS: list[dict[str, Any]] = [{"user_id": 8}, {"pin_id": 9}, {"action": "hide"}]


def click(event_id: str = "1", **changes: Any) -> dict[str, Any]:
    moment = datetime.now(UTC) - timedelta(hours=1)
    fields = {"user_id": 1, "pin_id": 2, "action": "click", "client": None, "request_id": None, "occurred_at": moment}
    return {"event_id": event_id, **fields, **changes}


@pytest.fixture
def reopened(tmp_path: Path) -> Iterator[Open]:
    """Opens the log of one folder; a call again closes the log before, as a restart does."""
    logs: list[EventLog] = []

    def reopen() -> EventLog:
        while logs:
            logs.pop().close()
        contract = EventContract.of("int64", DEFAULT_ACTIONS, MomentContract(timedelta(days=90), True))
        logs.append(
            EventLog(OwnedFolder(tmp_path / "wal"), LogStore(tmp_path / "logs"), contract, UserStates(("hide",)))
        )
        return logs[0]

    yield reopen
    while logs:
        logs.pop().close()


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: next(iter(other)))
@pytest.mark.parametrize("when", ["in one batch", "later", "after a restart"])
def test_another_event_with_an_id_that_is_taken_is_refused_by_row(reopened: Open, other: Any, when: str) -> None:
    first, second = click(), click(**other)
    log = reopened()
    if when == "in one batch":
        receipt = log.append([first, second])
    else:
        log.append([first])
        log = reopened() if when == "after a restart" else log
        receipt = log.append([click("fine"), second])
    assert [(refusal.row, refusal.reason) for refusal in receipt.refused] == [(1, TAKEN)]
    assert receipt.accepted == 1
    assert log.state(8).hidden == log.state(1).hidden == ()


def test_the_same_event_again_is_acknowledged_and_stored_once_even_with_a_new_time(reopened: Open) -> None:
    log = reopened()
    assert log.append([click(), click()]).accepted == 2
    assert log.append([click(occurred_at=datetime.now(UTC))]).accepted == 1
    assert reopened().append([click()]).refused == []
    assert len(reopened().state(1).recents.pin_ids) == 1


def test_events_whose_id_is_empty_are_not_taken_for_one_event() -> None:
    moments = pa.array([datetime(2025, 1, day, tzinfo=UTC) for day in (1, 2, 3, 4)], TIMESTAMP)
    fields = {"user_id": [1, 2, 3, 4], "pin_id": [1, 2, 3, 4], "action": ["save"] * 4, "occurred_at": moments}
    tally = Tally()
    clean = clean_events(pa.table({**fields, "event_id": ["", "", "a", None]}), DEFAULT_ACTIONS, now_us(), tally)
    assert clean["event_id"].to_pylist() == [None, None, "a", None]
    assert dict(tally.changed) == {EMPTY_EVENT_ID: 2}
