"""The stage sequence: cold start, swaps, degradation, exploration, and logged features that equal recomputed ones."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost as xgb

from apps.project import Opened
from cluster.data.schema import IMPRESSED, RANKED, WALKED
from cluster.errors import BundleError
from serving.forest.engine import scoring
from serving.http.responses import to_response
from serving.lightweight.features import request_features
from serving.logs.impressions import log_row, rows_to_table
from tests.worlds.funnel import ask, opened_world, publish_full, publish_lightweight, some_user
from training.ranker.attribution import ACTIONS, CLIENT, CONTENT, PIN


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    return opened_world(tmp_path)


def test_cold_start_answers_in_visit_count_order(world: Opened) -> None:
    process = world.new_process()
    answer = process.funnel.recommend_now(ask(user_id=some_user(world)), by_visits=True)
    size = world.clients["homefeed"].sizes.answer
    assert answer.shown.tolist() == list(range(size))
    assert answer.ranked is not None
    assert answer.ranked.version is None
    assert [s.stage for s in answer.stages] == ["walk", "lightweight"]
    reached = answer.stage_reached()
    assert (reached[:size] == IMPRESSED).all()
    assert (reached[size : world.clients["homefeed"].sizes.lightweight] == RANKED).all()
    assert (reached[world.clients["homefeed"].sizes.lightweight :] == WALKED).all()


def test_scores_equal_xgboost_and_order_the_answer(world: Opened) -> None:
    process = world.new_process()
    version = publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    watcher = process.watcher()
    assert set(watcher.poll()) == {"graph", "lightweight/homefeed"}
    answer = process.funnel.recommend_now(ask(user_id=some_user(world)), explain=True)
    ranked = answer.ranked
    assert ranked is not None
    assert ranked.version == version
    model = process.store.open("lightweight/homefeed").path / "model.ubj"
    rows = np.concatenate([np.tile(ranked.shared, (len(ranked.candidates), 1)), ranked.candidates], axis=1)
    matrix = xgb.DMatrix(rows, feature_names=list(process.features.names))
    expected = xgb.Booster(model_file=str(model)).predict(matrix, output_margin=True)
    assert (ranked.scores == expected).all()
    assert ranked.scores[ranked.survivors[0]] == expected.max()
    assert len(answer.contributions) == len(answer.shown)
    assert all("graph_rank" in c for c in answer.contributions)


def test_requests_are_scored_by_the_kernel_not_by_xgboost(world: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    process = world.new_process()
    publish_lightweight(process.store, process.features, "homefeed", "graph_lift")
    process.watcher().poll()
    asked = ask(user_id=some_user(world))
    candidates = process.sources.candidates(asked)
    block = request_features(
        process.catalogs.current, candidates, asked, world.clients["homefeed"], process.project.negative_actions
    )
    booster = xgb.Booster(model_file=str(process.store.open("lightweight/homefeed").path / "model.ubj"))
    matrix = xgb.DMatrix(block.matrix(), feature_names=list(process.features.names))
    expected = booster.predict(matrix, output_margin=True)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("XGBoost was asked within a request")

    monkeypatch.setattr(xgb.Booster, "predict", refuse)
    monkeypatch.setattr(xgb.Booster, "inplace_predict", refuse)
    ranked = process.lightweight.rank(asked, candidates)
    assert (ranked.scores == expected).all()
    size = world.clients["homefeed"].sizes.lightweight
    assert ranked.survivors.tolist() == np.argsort(-expected, kind="stable")[:size].tolist()


def test_a_model_is_compiled_before_it_serves(world: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica's constructor polls its watcher, so health waits for this."""
    process, serving_then = world.new_process(), []
    native = scoring.score_request

    def noted(*arguments: Any) -> Any:
        serving_then.append(process.lightweight.versions())
        return native(*arguments)

    monkeypatch.setattr(scoring, "score_request", noted)
    version = publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    process.watcher("lightweight").start().stop()
    assert serving_then
    assert all(versions == {} for versions in serving_then)
    assert process.lightweight.versions() == {"homefeed": version}


def test_a_swap_changes_the_next_answer_without_a_restart(world: Opened) -> None:
    process, user = world.new_process(), some_user(world)
    watcher = process.watcher()
    watcher.poll()
    before = process.funnel.recommend_now(ask(user_id=user))
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    assert watcher.poll() == ["lightweight/homefeed"]
    after = process.funnel.recommend_now(ask(user_id=user))
    assert before.ranked is not None
    assert after.ranked is not None
    assert before.ranked.version is None
    assert after.ranked.version is not None
    assert before.shown.tolist() != after.shown.tolist()


def test_a_broken_bundle_keeps_the_old_one(world: Opened) -> None:
    process = world.new_process()
    good = publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    watcher = process.watcher()
    watcher.poll()
    bad = publish_lightweight(process.store, process.features, "homefeed", "graph_visits")
    (Path(process.store.root) / "lightweight/homefeed" / bad / "model.ubj").write_bytes(b"nonsense")
    assert watcher.poll() == []
    (problem,) = watcher.problems()
    assert (problem.kind, problem.version, problem.serving) == ("lightweight/homefeed", bad, good)
    assert "model.ubj is missing or damaged" in problem.reason
    assert process.lightweight.versions() == {"homefeed": good}
    assert watcher.poll() == []


def test_a_model_of_other_features_is_refused(world: Opened) -> None:
    process = world.new_process()
    with process.store.write("lightweight/homefeed", {"schema_hash": "other"}) as (folder, version):
        (folder / "model.ubj").write_bytes(b"x")
    with pytest.raises(BundleError, match="feature schema other"):
        process.lightweight.load("homefeed", version)


def test_replayed_features_equal_the_logged_ones(world: Opened) -> None:
    """Parity: what was logged is what the bundle, the request and the walk give again."""
    process, user = world.new_process(), some_user(world)
    answer = process.funnel.recommend_now(ask(user_id=user))
    row = log_row(answer, "r1", process.features.schema_hash, "", None)
    table = rows_to_table([row], "int64", process.features)
    logged = np.array(table["candidate_features"][0].as_py(), np.float32).reshape(len(answer.candidates.pins), -1)
    candidates = process.sources.candidates(ask(user_id=user))
    catalog = process.catalogs.get(table["graph_version"][0].as_py())
    block = request_features(
        catalog, candidates, ask(user_id=user), world.clients["homefeed"], world.project.negative_actions
    )
    assert table["pin_id"][0].as_py() == candidates.pin_ids.tolist()
    np.testing.assert_array_equal(logged, block.candidates)
    np.testing.assert_array_equal(np.array(table["shared_features"][0].as_py(), np.float32), block.shared)


def test_the_log_row_says_what_was_shown_where(world: Opened) -> None:
    process = world.new_process()
    answer = process.funnel.recommend_now(ask(user_id=some_user(world)))
    table = rows_to_table([log_row(answer, "r", "h", "arm", "xx")] * 2, "int64", process.features)
    position = np.array(table["position"][1].as_py())
    stage = np.array(table["stage"][1].as_py())
    assert (position[answer.shown] == np.arange(len(answer.shown))).all()
    assert ((position >= 0) == (stage == IMPRESSED)).all()
    assert table["explored"][0].as_py().count(True) == world.clients["homefeed"].sizes.explore
    assert table["experiment"].to_pylist() == ["arm", "arm"]
    assert table["exposure"].to_pylist() == table["team"].to_pylist() == [[], []]


def test_the_log_row_says_which_arms_were_in_force_and_which_placed_what(world: Opened) -> None:
    process = world.new_process()
    answer = process.funnel.recommend_now(ask(user_id=some_user(world)))
    answer.exposure = ("ranker/control", "ranker/treatment")
    answer.team = np.arange(len(answer.shown), dtype=np.int8) % 2
    answer.milliseconds = 12.5
    row = rows_to_table([log_row(answer, "r", "h", "", None)], "int64", process.features).to_pylist()[0]
    assert row["exposure"] == ["ranker/control", "ranker/treatment"]
    assert row["milliseconds"] == 12.5
    placed = [row["team"][at] for at in answer.shown.tolist()]
    assert placed == answer.team.tolist()
    assert set(np.delete(row["team"], answer.shown)) == {-1}


def test_what_the_lightweight_stage_dropped_is_shown_by_chance_and_marked(world: Opened) -> None:
    sizes = {"lightweight": 40, "answer": 10, "explore": 4, "explore_dropped": 0.5}
    client = world.clients["homefeed"]
    world.clients["homefeed"] = client.model_copy(update={"sizes": client.sizes.model_copy(update=sizes)})
    process, user = world.new_process(), some_user(world)
    publish_full(process, world.clients)
    process.watcher().poll()
    first = process.funnel.recommend_now(ask(user_id=user))
    assert first.ranked is not None
    excluded = tuple(np.delete(first.candidates.pin_ids, first.ranked.survivors)[::2].tolist())
    counts = []
    for seed in range(12):
        answer = process.funnel.recommend_now(ask(user_id=user, seed=seed, exclude=excluded))
        assert answer.ranked is not None
        assert not set(answer.candidates.pin_ids[answer.shown].tolist()) & set(excluded)
        table = rows_to_table([log_row(answer, "r", "h", "", None)], "int64", process.features)
        marked = np.flatnonzero(table["explored_dropped"][0].as_py())
        assert set(marked) == set(answer.shown.tolist()) - set(answer.ranked.survivors.tolist())
        assert set(marked) <= set(answer.shown[answer.explored].tolist())
        most = len(answer.candidates.pins) - len(answer.ranked.survivors)
        assert table["dropped_rate"][0].as_py() == pytest.approx(2 / most)
        counts.append((len(marked), int(answer.explored.sum())))
    assert counts == [(2, 4)] * 12
    assert log_row(first, "r", "h", "", None)["dropped_rate"] is not None


def test_the_full_ranker_orders_the_answer_except_for_clients_held_back(world: Opened) -> None:
    process, user = world.new_process(), some_user(world)
    version = publish_full(process, world.clients, held_back=("ads",))
    process.watcher().poll()
    answer = process.funnel.recommend_now(ask(user_id=user))
    assert answer.scored is not None
    assert answer.scored.version == version
    utilities = answer.scored.utility[np.argsort(-answer.scored.utility, kind="stable")]
    shown = answer.full_scores()[answer.shown[~answer.explored]]
    assert set(shown.tolist()) <= set(utilities.tolist())
    assert answer.scored.probabilities.shape[1] == len(world.project.actions)
    ads = process.funnel.recommend_now(
        ask("ads", user_id=user, query_pins=((int(answer.candidates.pin_ids[0]), None),))
    )
    assert ads.scored is not None
    assert ads.scored.version is None
    assert ads.shown[~ads.explored].tolist() == sorted(ads.shown[~ads.explored].tolist())


def test_reasons_add_up_to_the_probabilities_that_were_served(world: Opened) -> None:
    process = world.new_process()
    publish_full(process, world.clients)
    process.watcher().poll()
    answer = process.funnel.recommend_now(ask(user_id=some_user(world)), explain=True)
    ranked, scored = answer.ranked, answer.scored
    assert ranked is not None
    assert scored is not None
    assert len(answer.reasons) == len(answer.shown)
    names = {*process.features.names, PIN, CONTENT, ACTIONS, CLIENT}
    for row, reasons in zip(answer.shown.tolist(), answer.reasons, strict=True):
        p = scored.probabilities[ranked.survivors.tolist().index(row)]
        assert tuple(reasons) == scored.actions
        for why, log_odds in zip(reasons.values(), np.log(p / (1 - p)).tolist(), strict=True):
            assert why.baseline + sum(why.inputs.values()) + why.others == pytest.approx(log_odds, abs=1e-3)
            sizes = [abs(value) for value in why.inputs.values()]
            assert sizes == sorted(sizes, reverse=True)
            assert len(sizes) == 5
            assert set(why.inputs) <= names
            assert abs(why.others) < 40 * sizes[-1] + 0.01  # none of the others is larger than the last one named


def test_reasons_of_a_model_that_was_swapped_meanwhile_are_not_given(world: Opened) -> None:
    process = world.new_process()
    version = publish_full(process, world.clients)
    process.watcher().poll()
    asked = ask(user_id=some_user(world))
    candidates = process.sources.candidates(asked)
    ranked = process.lightweight.rank(asked, candidates).only(np.arange(60))
    candidates = candidates.only(np.arange(60))
    whole = process.full.explain(asked, candidates, ranked, version)
    assert len(whole) == 60
    assert all(whole)
    assert process.full.explain(asked, candidates, ranked, version, seconds=0.0) == [{}] * 60
    process.full.load(publish_full(process, world.clients))
    assert process.full.explain(asked, candidates, ranked, version) == []


def test_what_there_was_no_time_to_explain_is_said(world: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    process = world.new_process()
    publish_full(process, world.clients)
    process.watcher().poll()
    explain = process.full.explain
    monkeypatch.setattr(process.full, "explain", lambda *args: [*explain(*args)[:3], *[{}] * (len(args[1].pins) - 3)])
    answer = process.funnel.recommend_now(ask(user_id=some_user(world)), explain=True)
    assert [bool(reasons) for reasons in answer.reasons] == [True] * 3 + [False] * (len(answer.shown) - 3)
    assert answer.faults == [f"explain_full: 3 of {len(answer.shown)} pins explained within the deadline"]


def test_an_explained_answer_says_how_many_candidates_each_policy_step_removed(world: Opened) -> None:
    answer = world.new_process().funnel.recommend_now(ask(user_id=some_user(world)))
    answer.removed = {"min_visits": 3}
    assert to_response(answer, "r", True, 1.0).removed == {"min_visits": 3}
    assert to_response(answer, "r", False, 1.0).removed is None
