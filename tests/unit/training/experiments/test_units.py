"""Requests become units: counted in any pieces as a plain loop over the rows would, by user, by window, by day."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster.store.replays import REPLAYED
from training.experiments.columns import UnitColumns
from training.experiments.finish import ByArm, ByLength, Finished, Pack
from training.experiments.labels import GONE, NOBODY, ByDay, ByUser, ByWindow, Label
from training.experiments.trial import TrialSettings
from training.experiments.units import CountBefore, CountUnits, UnitRows, joined

ACTIONS = ("save", "hide")
START = datetime(2026, 3, 1, tzinfo=UTC)
ARMS = ("control", "treatment")
COLUMNS = UnitColumns(ACTIONS)
SCHEMA = pa.schema(
    [
        ("request_id", pa.string()), ("user_id", pa.int64()), ("requested_at", pa.timestamp("us", tz="UTC")),
        ("experiment", pa.string()), ("exposure", pa.list_(pa.string())), ("milliseconds", pa.float32()),
        ("degraded", pa.string()),
        ("position", pa.list_(pa.int16())), ("sequence_action", pa.list_(pa.string())),
        ("sequence_age_hours", pa.list_(pa.float32())), ("team", pa.list_(pa.int8())),
        ("actions", pa.large_list(pa.float32())),
    ]
)  # fmt: skip


def request(user: int | None, minute: float, arm: str | None = "control", **changes: Any) -> dict[str, Any]:
    """Four candidates, two of them shown, the first of which was saved."""
    return {
        "request_id": f"r{user}-{minute}", "user_id": user, "requested_at": START + timedelta(minutes=minute),
        "experiment": "", "exposure": [] if arm is None else ["else/b", f"more/{arm}"], "milliseconds": 10.0,
        "degraded": "",
        "position": [-1, 0, 1, -1], "sequence_action": ["save", "hide"], "sequence_age_hours": [1.0, 500.0],
        "team": [], "actions": [0, 0, 1, 0, 0, 0, 1, 1],
    } | changes  # fmt: skip


def table(*rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), SCHEMA)


def some_rows(rng: np.random.Generator, n: int = 400) -> list[dict[str, Any]]:
    rows = []
    for at in rng.permutation(n).tolist():
        user = int(rng.integers(0, 40)) if rng.random() < 0.95 else None
        size = int(rng.integers(0, 6))
        shown = rng.permutation(size)[: rng.integers(0, size + 1)] if size else np.empty(0, int)
        position = np.full(size, -1)
        position[shown] = np.arange(len(shown))
        known = int(rng.integers(0, 4))
        rows.append(
            request(
                user, float(at), None if rng.random() < 0.2 or user is None else ARMS[user % 2],
                milliseconds=None if rng.random() < 0.1 else float(rng.integers(1, 50)),
                degraded="full: late" if rng.random() < 0.3 else "", position=position.tolist(),
                sequence_action=["save"] * known, sequence_age_hours=rng.uniform(0, 400, known).tolist(),
                actions=(rng.random(size * 2) < 0.3).astype(float).tolist(),
            )
        )  # fmt: skip
    return rows


def by_hand(rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    out: dict[str, np.ndarray] = {}
    for row in sorted(rows, key=lambda row: row["requested_at"]):
        if row["user_id"] is None or not row["exposure"]:
            continue
        new = str(row["user_id"]) not in out
        unit = out.setdefault(str(row["user_id"]), np.zeros(len(COLUMNS.names)))
        did = np.array(row["actions"]).reshape(-1, 2)
        shown = np.array(row["position"], int) >= 0
        unit[COLUMNS.at("requests")] += 1
        unit[COLUMNS.at("shown")] += shown.sum()
        unit[COLUMNS.at("timed")] += row["milliseconds"] is not None
        unit[COLUMNS.at("milliseconds")] += row["milliseconds"] or 0
        unit[COLUMNS.at("degraded")] += row["degraded"] != ""
        for number, action in enumerate(ACTIONS):
            unit[COLUMNS.at(f"did {action}")] += did[shown, number].sum()
        if new:
            unit[COLUMNS.at("known")] = len(row["sequence_action"])
            unit[COLUMNS.at("known lately")] = np.sum(np.array(row["sequence_age_hours"]) < 168)
    return out


def counted(rows: list[dict[str, Any]], label: Label, columns: UnitColumns = COLUMNS, pieces: int = 1) -> UnitRows:
    count = CountUnits(label, columns, 8)
    tables = [count(table(*rows[at::pieces])) for at in range(pieces)]
    return joined([UnitRows.read(part) for part in tables], columns)


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_users_are_counted_as_a_loop_would_in_any_pieces(pieces: int) -> None:
    rows = some_rows(np.random.default_rng(0))
    known = by_hand(rows)
    found = counted(rows, ByUser("more", ARMS), pieces=pieces).added(COLUMNS)
    assert sorted(found.unit) == sorted(known)
    for unit, values, arm in zip(found.unit, found.values, found.arm, strict=True):
        np.testing.assert_allclose(values, known[unit])
        assert arm == int(unit) % 2


def test_groups_of_units_add_up_to_all_of_them() -> None:
    rows = counted(some_rows(np.random.default_rng(1)), ByUser("more", ARMS), pieces=3)
    whole = ByArm()(rows, COLUMNS)
    packed = rows.table(8)
    buckets = [packed.filter(pa.compute.equal(packed.column("bucket"), number)) for number in range(8)]
    parts = [Finished.read(Pack(ByArm(), COLUMNS).group(bucket)) for bucket in buckets]
    together = Finished.added(parts)
    assert together.arms.keys() == whole.arms.keys() == {0, 1}
    for arm, moments in whole.arms.items():
        assert together.arms[arm].n == moments.n == 20
        np.testing.assert_allclose(together.arms[arm].products, moments.products)


def test_a_user_of_two_arms_counts_in_none_and_is_named() -> None:
    rows = [request(1, 0), request(2, 1, "treatment"), request(3, 2), request(3, 3, "treatment")]
    found = ByArm()(counted(rows, ByUser("more", ARMS), pieces=2), COLUMNS)
    assert {arm: of.n for arm, of in found.arms.items()} == {0: 1, 1: 1}
    assert (found.in_two, found.examples) == (1, ("3",))


def test_an_arm_that_the_definition_lacks_is_kept_apart() -> None:
    found = ByArm()(counted([request(1, 0), request(2, 1, "old")], ByUser("more", ARMS)), COLUMNS)
    assert {arm: of.n for arm, of in found.arms.items()} == {GONE: 1, 0: 1}


def test_another_experiment_of_a_longer_name_is_another_one() -> None:
    row = request(1, 0, exposure=["more_boards/control", "evermore/control"])
    assert not len(counted([row], ByUser("more", ARMS)).unit)


def test_windows_hold_all_requests_of_their_time_but_the_carry_over() -> None:
    rows = [request(1, 0), request(None, 59, "control"), request(2, 61, "treatment"), request(3, 70, "treatment")]
    label = TrialSettings("more", ("homefeed",), dict.fromkeys(ARMS, 1.0), "save", "switchback", minutes=60).label(5.0)
    assert isinstance(label, ByWindow)
    found = counted(rows, label).added(COLUMNS)
    first = int(START.timestamp()) // 3600
    assert found.unit.tolist() == [str(first), str(first + 1)]
    assert found.arm.tolist() == [0, 1]
    assert found.values[:, COLUMNS.at("requests")].tolist() == [1.0, 1.0]


def test_what_users_did_before_is_theirs() -> None:
    begun = np.datetime64(START.replace(tzinfo=None), "us")
    before = CountBefore(COLUMNS, begun - np.timedelta64(2, "D"), begun, 8)
    events = pa.table(
        {
            "user_id": pa.array([1, 1, 1, 2, 9, 1], pa.int64()),
            "action": ["save", "hide", "save", "save", "save", "else"],
            "occurred_at": pa.array(
                [START + timedelta(hours=h) for h in (-1, -47, -49, 1, -1, -1)], pa.timestamp("us", tz="UTC")
            ),
        }
    )
    rows = joined(
        [before.rows(events.to_batches()[0]), counted([request(1, 0), request(2, 1)], ByUser("more", ARMS))], COLUMNS
    )
    found = ByArm()(rows, COLUMNS).arms
    assert set(found) == {0}
    assert found[0].n == 2, "whoever only did something before is not in the experiment"
    named = [COLUMNS.at(name) for name in ("before save", "before hide", "before", "known")]
    assert found[0].total[named].tolist() == [1.0, 1.0, 2.0, 4.0]
    whole = rows.added(COLUMNS)
    assert (whole.arm == NOBODY).sum() == 2


def test_teams_are_credited_for_their_pins_of_the_answer() -> None:
    columns = UnitColumns(ACTIONS, drafted=True)
    rows = [
        request(7, 0, "interleaved", team=[-1, 1, 0, -1]),
        request(7, 1, "interleaved"),  # one order alone answered: nobody's credit
        request(None, 2, "interleaved", team=[-1, 0, 1, 1]),
    ]
    found = counted(rows, ByUser("more", or_request=True), columns).added(columns)
    assert found.unit.tolist() == ["7", "rNone-2"]
    names = ("team 0 save", "team 1 save", "team 0 shown", "team 1 shown", "did save")
    assert found.values[:, [columns.at(name) for name in names]].tolist() == [[0, 1, 1, 1, 2], [1, 0, 1, 1, 1]]


def test_days_add_up_user_by_user() -> None:
    begun = np.datetime64(START.replace(tzinfo=None), "us")
    rows = [request(1, 10), request(1, 1500), request(2, 1600), request(3, -10), request(3, 3000)]
    rows.append(request(4, 20, experiment=REPLAYED))
    found = ByLength((1, 2, 3))(counted(rows, ByDay(begun)), COLUMNS).arms
    assert [found[days].n for days in (1, 2, 3)] == [1, 2, 3]
    assert [found[days].total[COLUMNS.at("requests")] for days in (1, 2, 3)] == [1, 3, 4]
    assert found[2].products[0, 0] == 2**2 + 1


def test_no_row_is_no_fault() -> None:
    nothing = counted([], ByUser("more", ARMS))
    assert ByArm()(nothing, COLUMNS).arms == {}
    assert ByLength((2,))(nothing, COLUMNS).arms[2].n == 0
    assert Finished.read(Finished({}).table()) == Finished({})
