"""Rates of actions say what the logs say, by client, of nothing later than the build, and nothing of replays."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from cluster.catalog.rates import PRIOR, ActionRates, count_rates
from cluster.data.schema import IMPRESSED
from cluster.graph.ids import IdMap
from cluster.store.logs import LogStore
from cluster.store.replays import REPLAYED
from tests.worlds.logs import LogsWorld, make_world

PINS = IdMap.from_ids(np.arange(0, 5000, 2))  # the graph lacks every other pin of the log


@pytest.fixture
def world(tmp_path: Path) -> LogsWorld:
    return make_world(tmp_path, names=("homefeed", "search"), requests=60, n=40, days=3)


def slow(logs: LogStore, client: str, since: datetime, until: datetime) -> tuple[dict[int, int], dict[int, int]]:
    shown: dict[int, int] = {}
    acted: dict[int, set[str]] = {}
    for file in logs.serving_files(client).files:
        for row in pa.parquet.read_table(file.path, partitioning=None).to_pylist():
            if since <= row["requested_at"] < until and row["experiment"] != REPLAYED:
                for pin, stage in zip(row["pin_id"], row["stage"], strict=True):
                    shown[pin] = shown.get(pin, 0) + (stage == IMPRESSED)
    for event in logs.read_events()[0].to_pylist():
        if event["client"] == client and event["action"] != "hide" and since <= event["occurred_at"] < until:
            acted.setdefault(event["pin_id"], set()).add(event["request_id"])
    return shown, {pin: len(requests) for pin, requests in acted.items()}


@pytest.mark.parametrize("share", [0.4, 1.1])
def test_counts_are_those_of_the_logs_before_the_build(world: LogsWorld, share: float) -> None:
    times = [t for f in world.logs.serving_files().files for t in _times(f.path)]
    until = min(times) + (max(times) - min(times)) * share
    rates = count_rates(world.logs, PINS, ("hide",), until, days=2)
    assert rates.clients == ("homefeed", "search")
    for at, client in enumerate(rates.clients):
        shown, acted = slow(world.logs, client, until - timedelta(days=2), until)
        assert sum(shown.values())
        for pin in range(0, 5000, 2):
            assert rates.shown[pin // 2, at] == shown.get(pin, 0)
            assert rates.acted[pin // 2, at] == min(acted.get(pin, 0), shown.get(pin, 0))


def test_replayed_requests_do_not_count(world: LogsWorld) -> None:
    for file in world.logs.serving_files("search").files:
        table = pa.parquet.read_table(file.path, partitioning=None)
        column = table.schema.get_field_index("experiment")
        replayed = table.set_column(column, "experiment", pa.array([REPLAYED] * len(table)))
        pa.parquet.write_table(replayed, file.path)
    times = [t for f in world.logs.serving_files().files for t in _times(f.path)]
    rates = count_rates(world.logs, PINS, ("hide",), max(times) + timedelta(seconds=1), days=30)
    assert rates.clients == ("homefeed",)  # a client that only ever replayed is none: its log tells nothing
    assert rates.shown[:, 0].sum() > 0
    assert np.isnan(rates.lift("search", np.arange(3))).all()


def test_a_lift_is_the_smoothed_rate_over_the_mean(tmp_path: Path) -> None:
    shown = np.array([[100], [0], [300]], np.int32)
    rates = ActionRates(("home",), shown, np.array([[30], [0], [10]], np.int32))
    mean = 40 / 400
    expected = [
        np.log((30 + PRIOR * mean) / (100 + PRIOR) / mean),
        0.0,
        np.log((10 + PRIOR * mean) / (300 + PRIOR) / mean),
    ]
    assert rates.lift("home", np.arange(3)).tolist() == pytest.approx(expected, abs=1e-6)
    assert np.isnan(rates.lift("other", np.arange(3))).all()
    rates.save(tmp_path)
    again = ActionRates.open(tmp_path, 3)
    assert again.clients == ("home",)
    assert again.lift("home", np.arange(3)).tolist() == pytest.approx(expected, abs=1e-6)
    assert ActionRates.open(tmp_path / "none", 3).clients == ()


def _times(path: str) -> list[datetime]:
    return list(pa.parquet.read_table(path, partitioning=None)["requested_at"].to_pylist())
