"""What an earlier system showed, replayed: its pins are impressed at their positions, and the clicks are theirs."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apps.backfill import jobs
from apps.backfill.backfill import backfill, make_way
from apps.backfill.ledger import Ledger
from apps.backfill.moment import ReplayPlan
from apps.backfill.piece import Backfilled
from apps.backfill.replay import Replay
from apps.project import open_project
from cluster.catalog.build import build_catalog
from cluster.data.schema import IMPRESSED, RANKED
from cluster.errors import DataError
from cluster.store.log_parts import read_part
from cluster.store.replays import REPLAYED
from tests.worlds.news import QUIET_DAYS, START_US, News, write_news
from tests.worlds.training import requests

PLAN = ReplayPlan(graphs=3, min_history=2, unseen=10)
CLIENT = "front"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Replay, News, Backfilled]:
    folder = tmp_path_factory.mktemp("news")
    news = write_news(folder)
    opened = open_project(folder / "pinfunnel.yaml")
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    replay = Replay(opened)
    return replay, news, backfill(replay, CLIENT, PLAN)


def rows(replay: Replay) -> dict[str, dict]:
    """The logged requests by page view."""
    found = {}
    for path in replay.process.logs.serving_files(CLIENT).paths:
        for row in read_part(path).to_pylist():
            view = row["request_id"].removeprefix(f"backfill-{CLIENT}-")
            assert view not in found, "written twice"
            found[view] = row
    return found


def test_every_request_is_replayed_and_what_was_shown_is_impressed_where_it_stood(
    site: tuple[Replay, News, Backfilled],
) -> None:
    replay, news, done = site
    logged = rows(replay)
    assert len(logged) == done.requests == len(news.shown) - done.passed_over
    assert done.passed_over < 5  # each reader has done enough before, and few requests showed new articles only
    missing = 0
    for view, row in logged.items():
        who, at, articles = news.shown[view]
        assert (row["user_id"], row["experiment"]) == (who, REPLAYED)
        assert row["requested_at"] == datetime.fromtimestamp(at / 1e6, UTC)
        shown = {p: i for p, i in zip(row["pin_id"], row["position"], strict=True) if i >= 0}
        assert shown == {p: i for i, p in enumerate(articles) if p in shown}
        stages = [IMPRESSED if i >= 0 else RANKED for i in row["position"]]
        assert row["stage"] == stages
        assert not any(row["explored"])
        missing += len(articles) - len(shown)
        graph = replay.process.catalogs.get(row["graph_version"]).graph
        absent = [p for p in articles if p not in shown]
        assert (graph.pin_ids.index_of(pa.array(absent, pa.string())) < 0).all()
    assert done.shown == sum(len(articles) for view, (_, _, articles) in news.shown.items() if view in logged)
    assert 0 < done.shown_unknown == missing < done.shown / 3
    assert 0 < done.shown_walked < done.shown - missing
    assert f"{missing} are left out" in done.text()


def test_actions_are_those_of_a_slow_reading_and_no_label_is_lost(site: tuple[Replay, News, Backfilled]) -> None:
    replay, news, done = site
    wanted = news.slow_labels()
    world = SimpleNamespace(logs=replay.process.logs, project=replay.opened.project)
    logged = rows(replay)
    clicks = 0
    for request in requests(world, CLIENT):  # type: ignore[arg-type]
        view = request.request_id.removeprefix(f"backfill-{CLIENT}-")
        row = logged[view]
        clicked = {row["pin_id"][i] for i in np.flatnonzero(request.actions.any(axis=1))}
        assert clicked == wanted[view] & set(row["pin_id"])
        assert all(row["position"][row["pin_id"].index(pin)] >= 0 for pin in clicked)
        clicks += len(clicked)
    assert clicks == done.actions_reached > 100
    assert done.actions == sum(len(wanted[view]) for view in logged)


def test_only_the_past_is_known_and_unreached_pins_have_features(site: tuple[Replay, News, Backfilled]) -> None:
    replay, news, _ = site
    features = replay.process.features
    visits = features.candidate.index("graph_score")
    unreached = 0
    for row in rows(replay).values():
        at = row["requested_at"].timestamp() * 1e6
        meta = replay.process.store.open("graph", row["graph_version"], verify=False).meta
        assert datetime.fromisoformat(meta["edges_before"]) <= row["requested_at"]
        known = {a for r, a, when, _ in news.clicks if r == row["user_id"] and when < at}
        assert set(row["sequence_pin_id"]) <= known
        assert all(hours > 0 for hours in row["sequence_age_hours"])
        matrix = np.array(row["candidate_features"]).reshape(len(row["pin_id"]), -1)
        assert matrix.shape[1] == len(features.candidate)
        assert (np.isnan(matrix) | np.isfinite(matrix)).all()
        zero = np.array(row["visit_score"]) == 0
        assert np.isnan(matrix[zero, visits]).all()
        assert (matrix[~zero, visits] > 0).all()
        unreached += int(zero.sum())
    assert unreached > 100


def test_of_the_rest_a_sample_is_kept_with_its_rate(site: tuple[Replay, News, Backfilled]) -> None:
    replay, _, _ = site
    sampled = 0
    for row in rows(replay).values():
        others = sum(position < 0 for position in row["position"])
        assert others <= PLAN.unseen
        if row["kept_rate"] is not None:
            assert others == PLAN.unseen
            sampled += 1
    assert sampled > 100


def test_a_replay_goes_on_where_it_was_and_is_not_doubled(
    tmp_path: Path, site: tuple[Replay, News, Backfilled], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = rows(site[0])
    write_news(tmp_path)
    replay = Replay(open_project(tmp_path / "pinfunnel.yaml"))
    monkeypatch.setattr(jobs, "PIECE_MOMENTS", 64)
    done = backfill(replay, CLIENT, PLAN)
    assert done == site[2]
    logs = replay.process.logs
    notes = sorted((logs.root / "backfill").glob("*/*/piece-*.json"))
    assert len(notes) > 3
    for note in notes[1:3]:
        note.unlink()  # as if it had been killed
    assert make_way(replay, CLIENT, PLAN, replace=False) == 0
    assert backfill(replay, CLIENT, PLAN) == done
    again = rows(replay)
    assert {v: (r["pin_id"], r["position"]) for v, r in again.items()} == {
        view: (row["pin_id"], row["position"]) for view, row in whole.items()
    }
    assert sum(json.loads(note.read_text())["requests"] for note in notes) == len(again)


def test_another_impression_is_another_replay(tmp_path: Path, site: tuple[Replay, News, Backfilled]) -> None:
    write_news(tmp_path)
    shown = pq.read_table(tmp_path / "shown.parquet")
    pq.write_table(shown.slice(1), tmp_path / "shown.parquet")
    one, other = site[0], Replay(open_project(tmp_path / "pinfunnel.yaml"))
    assert jobs.job_of(one, CLIENT, PLAN).key != jobs.job_of(other, CLIENT, PLAN).key
    hours = other.opened.project.model_copy(update={"attribution_hours": 1.0})
    changed = Replay(replace(other.opened, project=hours))
    assert jobs.job_of(other, CLIENT, PLAN).key != jobs.job_of(changed, CLIENT, PLAN).key
    assert not Ledger.of(jobs.job_of(other, CLIENT, PLAN), other.process.logs.root).begun


def test_a_client_that_showed_nothing_is_replayed_from_actions(tmp_path: Path) -> None:
    write_news(tmp_path)
    text = (tmp_path / "clients" / "front.yaml").read_text()
    (tmp_path / "clients" / "mail.yaml").write_text(text)
    replay = Replay(open_project(tmp_path / "pinfunnel.yaml"))
    assert replay.past.showed(CLIENT)
    assert not replay.past.showed("mail")
    assert [s.rows.tolist() for s in replay.slices_of("mail", PLAN)] == [s.rows.tolist() for s in replay.slices(PLAN)]
    early = replace(PLAN, until=datetime.fromtimestamp(START_US / 1e6 + 86_400 * (QUIET_DAYS - 1), UTC))
    with pytest.raises(DataError, match="no impression lies in the span"):
        replay.slices_of(CLIENT, early)


def test_users_with_too_little_history_are_counted(tmp_path: Path) -> None:
    news = write_news(tmp_path)
    replay = Replay(open_project(tmp_path / "pinfunnel.yaml"))
    done = backfill(replay, CLIENT, replace(PLAN, min_history=14))
    before = {
        view: sum(r == who and when < at for r, _, when, _ in news.clicks) for view, (who, at, _) in news.shown.items()
    }
    few = {view for view, n in before.items() if n < 14}
    assert len(few) > 100
    assert not few & set(rows(replay))
    assert done.requests == len(news.shown) - done.passed_over
    assert 0 <= done.passed_over - len(few) < 5  # and requests that showed new articles only
    late = replace(PLAN, since=datetime.fromtimestamp(START_US / 1e6 + 86_400 * 15, UTC))
    cut = START_US + 15 * 86_400 * 10**6
    assert replay.before_span(CLIENT, late) == sum(at < cut for _, at, _ in news.shown.values()) > 0
