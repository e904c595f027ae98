"""A user's history is what the graph knows and what came since, merged: newest first, nothing twice, nothing later."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.features.assemble import FeatureSet
from cluster.graph.ids import IdMap
from cluster.settings.project import FeatureSettings
from serving.request.ask import Recents, WalkAsk
from serving.request.history import history_of

PINS = ["a", "b", "c", "d"]
ACTIONS = ("save", "hide")
ROWS = st.lists(
    st.tuples(st.sampled_from([*PINS, "gone"]), st.sampled_from([*ACTIONS, "odd"]), st.integers(0, 9)),
    max_size=8,
    unique=True,
)
AT = 8


def recents(rows: list[tuple[Any, str, int]]) -> Recents:
    """Newest first, as the event log tells them."""
    rows = sorted(rows, key=lambda row: -row[2])
    pins = np.array([*(row[0] for row in rows), None], object)[:-1]
    names = np.array([*(row[1] for row in rows), None], object)[:-1]
    return Recents(pins, names, np.full(len(rows), "", object), np.array([row[2] for row in rows], np.int64))


def slow(stored: list[tuple], live: list[tuple], length: int) -> list[tuple]:
    """The same by sets and a sort: of one moment, live rows first."""
    seen: list[tuple] = []
    ordered = sorted(recent_rows(live) + recent_rows(stored), key=lambda row: -row[2])
    for row in ordered:
        if row[2] < AT and row[0] in PINS and row not in seen:
            seen.append(row)
    return [(row[0], row[1]) for row in seen[:length]]


def recent_rows(rows: list[tuple]) -> list[tuple]:
    return sorted(rows, key=lambda row: -row[2])


@settings(max_examples=200, deadline=None)
@given(stored=ROWS, live=ROWS, length=st.integers(1, 6), integers=st.booleans())
def test_a_history_is_the_union_of_both(stored: list, live: list, length: int, integers: bool) -> None:
    number = {pin: at for at, pin in enumerate([*PINS, "gone"])}

    def own(pin: str) -> int | str:
        return number[pin] if integers else pin

    ids = IdMap.from_ids([own(pin) for pin in PINS])
    stored = [row for row in stored if row[0] in PINS]  # the graph keeps no others
    before = recents([(own(pin), action, at) for pin, action, at in stored])
    graph_pins = ids.index_of(before.pin_ids) if stored else np.empty(0, np.int32)
    user = SimpleNamespace(pins=graph_pins, actions=before.actions, occurred_at=before.occurred_at)
    features = FeatureSet.of(FeatureSettings(history_actions=ACTIONS, history_length=length))
    static = np.arange(len(PINS) * 3, dtype=np.float32).reshape(-1, 3)
    catalog: Any = SimpleNamespace(
        graph=SimpleNamespace(pin_ids=ids), feature_set=features, pins=SimpleNamespace(static=static)
    )
    since = recents([(own(pin), action, at) for pin, action, at in live])
    ask = WalkAsk("homefeed", 1, (), (), None, AT, 0, since)

    got = history_of(catalog, user, ask, liked={"save"})  # type: ignore[arg-type]

    expected = slow(stored, live, length)
    codes = {"save": 0, "hide": 1, "odd": -1}
    assert sorted(zip(got.pins.tolist(), got.action.tolist(), strict=True)) == sorted(
        (PINS.index(pin), codes[action]) for pin, action in expected
    )
    assert got.liked.tolist() == (got.action == 0).tolist()
    np.testing.assert_array_equal(got.static, static[got.pins])
