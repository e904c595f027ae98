"""Evaluation at the lightweight stage: known orders get known figures, a trained model beats visit count."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb

from cluster.data.schema import IMPRESSED, RANKED
from cluster.settings.clients import BoostRule
from cluster.store.bundles import BundleStore
from tests.worlds.logs import LogsWorld, make_world
from tests.worlds.training import examples, fit_job, requests, split
from training.judge.lightweight import evaluate_lightweight
from training.judge.orders import boost, booster_order, visit_count
from training.lightweight.fit import fit_one
from training.lightweight.judged_requests import held_out_scored
from training.lightweight.train import judge
from training.log.arrays import Request
from training.metrics.ranking import ndcg


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    return make_world(tmp_path_factory.mktemp("logs"), ("homefeed",), requests=240, n=80)


@pytest.fixture(scope="module")
def held(world: LogsWorld) -> list[Request]:
    return requests(world, "homefeed", split(world, "homefeed")[1])


@pytest.fixture(scope="module")
def model(world: LogsWorld) -> bytes:
    window = split(world, "homefeed")[0]
    table = examples(world, "homefeed", window)
    return fit_one(fit_job(world, "homefeed", window), lambda: iter([table])).model


def report(world: LogsWorld, held: list[Request], **orders: object):  # type: ignore[no-untyped-def]
    return evaluate_lightweight(
        held,
        world.clients["homefeed"],
        world.project.actions,
        world.features,
        orders,
        teacher=lambda rs: [r.candidates[:, world.features.candidate.index("cross_history_topic")] for r in rs],
    )


def test_a_perfect_order_gets_full_marks_and_its_reverse_none(world: LogsWorld, held: list[Request]) -> None:
    topic = world.features.candidate.index("cross_history_topic")
    out = report(
        world,
        held,
        seer=lambda rs: [r.actions[:, 0] - r.actions[:, 4] for r in rs],
        teacher=lambda rs: [r.candidates[:, topic] for r in rs],
        upside_down=lambda rs: [-r.candidates[:, topic] for r in rs],
    )
    assert out.orders["seer"]["ndcg@10"].mean == pytest.approx(1.0)
    assert out.orders["seer"]["auc"].mean == pytest.approx(1.0)
    assert out.orders["seer"]["action_recall@10"].mean == pytest.approx(1.0)
    assert out.orders["teacher"]["teacher_top25@40"].mean == pytest.approx(1.0)
    assert out.orders["upside_down"]["teacher_top25@40"].mean == 0.0
    assert out.orders["seer"]["teacher_top25@20"].n == 0  # a cut inside the top says nothing
    assert out.differences["upside_down"]["ndcg@10"].low > 0
    assert out.requests == 60


def test_a_sample_of_the_candidates_does_not_say_what_the_first_of_all_are(
    world: LogsWorld, held: list[Request]
) -> None:
    sampled = [replace(request, kept_rate=0.25) for request in held]
    whole = report(world, held, visits=visit_count).orders["visits"]
    out = report(world, sampled, visits=visit_count).orders["visits"]
    assert out["ndcg@10"] == whole["ndcg@10"]  # over shown pins, which are all there
    assert whole["action_recall@10"].n > 0
    assert {name for name, interval in out.items() if "@" in name and interval.n} == {"ndcg@10"}
    mixed = report(world, [*held[:30], *sampled[30:]], visits=visit_count).orders["visits"]
    assert 0 < mixed["action_recall@10"].n < whole["action_recall@10"].n


def replayed(held: list[Request]) -> list[Request]:
    """The same requests as a backfill would log them: nothing was shown."""
    return [
        replace(
            r,
            position=np.full(r.n, -1, np.int16),
            stage=np.where((r.actions > 0).any(axis=1), IMPRESSED, RANKED).astype(np.int8),
        )
        for r in held
    ]


def test_replayed_requests_are_judged_over_all_their_candidates(world: LogsWorld, held: list[Request]) -> None:
    out = report(world, replayed(held), seer=lambda rs: [r.actions[:, 0] for r in rs], visits=visit_count)
    assert out.alike == 0
    assert out.orders["seer"]["ndcg@10"].mean == pytest.approx(1.0)
    visits = out.orders["visits"]["ndcg@10"]
    assert visits.high < 0.6  # over the acted alone it would be 1, as that of every order
    worth = np.array([world.clients["homefeed"].utility.get(a, 0.0) for a in world.project.actions])
    slow = [ndcg((r.actions @ worth)[np.argsort(-r.visit_score, kind="stable")], 10) for r in held]
    assert visits.mean == pytest.approx(np.nanmean(slow), abs=1e-6)


def test_requests_with_nothing_but_actions_cannot_tell_orders_apart(
    world: LogsWorld, held: list[Request], model: bytes, tmp_path: Path
) -> None:
    saves = world.project.actions.index("save")
    acted = [r.only(np.flatnonzero(r.actions[:, saves] > 0)) for r in replayed(held)]
    acted = [r for r in acted if r.n]
    found, decision, _ = judge(
        world.project,
        world.clients["homefeed"],
        BundleStore(tmp_path),
        held_out_scored(model, world.features.names, acted),
    )
    assert not decision.publish
    assert f"of {len(acted)} with an action, {len(acted)} have one on every candidate" in decision.reason
    assert found.alike == len(acted) == found.requests_with_action
    mixed = judge(
        world.project,
        world.clients["homefeed"],
        BundleStore(tmp_path),
        held_out_scored(model, world.features.names, [*acted, *held]),
    )
    without = judge(
        world.project,
        world.clients["homefeed"],
        BundleStore(tmp_path),
        held_out_scored(model, world.features.names, held),
    )
    assert mixed[0].orders["lightweight"]["ndcg@10"].n == without[0].orders["lightweight"]["ndcg@10"].n


def test_intervals_resample_users(world: LogsWorld, held: list[Request]) -> None:
    one_each = [replace(r, user=i) for i, r in enumerate(held)]
    of_few = [replace(r, user=i // 20) for i, r in enumerate([r for r in held for _ in range(20)])]
    alone, repeated = (report(world, rs, visits=visit_count).orders["visits"]["ndcg@10"] for rs in (one_each, of_few))
    assert repeated.n == 20 * alone.n
    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high))  # as many users, as sure


def test_shares_of_local_and_impressed_pins(world: LogsWorld, held: list[Request]) -> None:
    local = world.features.candidate.index("cross_locale_match")
    out = report(
        world,
        held,
        local=lambda rs: [r.candidates[:, local] for r in rs],
        shown=lambda rs: [(r.stage == 2).astype(np.float32) for r in rs],
        visits=visit_count,
        boosted=boost(world.features),
    )
    assert out.orders["local"]["local_share@10"].mean == 1.0
    assert out.orders["boosted"]["local_share@10"].mean > out.orders["visits"]["local_share@10"].mean
    assert out.orders["shown"]["impressed_share@10"].mean == 1.0


def test_training_beats_visit_count_and_the_bundle_says_so(
    world: LogsWorld, held: list[Request], model: bytes, tmp_path: Path
) -> None:
    store = BundleStore(tmp_path)
    client = world.clients["homefeed"]
    found, decision, incumbent = judge(world.project, client, store, held_out_scored(model, world.features.names, held))
    assert decision.publish
    assert incumbent is None
    assert found.differences["visit_count"]["ndcg@10"].low > 0
    assert 0 <= found.calibration["lightweight"] < 0.2
    assert np.isnan(found.calibration["visit_count"])

    with store.write("lightweight/homefeed", {"schema_hash": world.features.schema_hash}) as (folder, version):
        (folder / "model.ubj").write_bytes(model)
    x = np.concatenate([r.matrix() for r in held[:20]])
    names = list(world.features.names)
    noise = xgb.train(
        {"seed": 1}, xgb.DMatrix(x, label=np.random.default_rng(0).random(len(x)), feature_names=names), 5
    )
    found, decision, incumbent = judge(
        world.project, client, store, held_out_scored(bytes(noise.save_raw("ubj")), world.features.names, held)
    )
    assert incumbent == version
    assert not decision.publish
    assert "worse than what serves now" in decision.reason

    flat = xgb.train({}, xgb.DMatrix(x, label=np.ones(len(x)), feature_names=names), 1)
    assert (
        "same score"
        in judge(
            world.project, client, store, held_out_scored(bytes(flat.save_raw("ubj")), world.features.names, held)
        )[1].reason
    )
    assert (
        "let the log grow"
        in judge(world.project, client, store, held_out_scored(model, world.features.names, []))[1].reason
    )


def test_a_ranking_is_judged_by_its_order_and_has_no_probabilities(
    world: LogsWorld, held: list[Request], tmp_path: Path
) -> None:
    window = split(world, "homefeed")[0]
    table = examples(world, "homefeed", window)
    ranking = fit_one(fit_job(world, "homefeed", window, "rank:ndcg"), lambda: iter([table])).model
    found, decision, _ = judge(
        world.project,
        world.clients["homefeed"],
        BundleStore(tmp_path),
        held_out_scored(ranking, world.features.names, held),
    )
    assert decision.publish
    assert found.differences["visit_count"]["ndcg@10"].low > 0
    assert np.isnan(found.calibration["lightweight"])


def test_a_first_model_is_held_against_the_order_it_replaces(
    world: LogsWorld, held: list[Request], model: bytes, tmp_path: Path
) -> None:
    plain = world.clients["homefeed"]
    boosted = plain.model_copy(update={"boosts": (BoostRule(feature="cross_history_topic", at_least=0.5, factor=4.0),)})
    for client, order in ((plain, "visit_count"), (boosted, "boost")):
        found, decision, _ = judge(
            world.project, client, BundleStore(tmp_path), held_out_scored(model, world.features.names, held)
        )
        assert f"{found.differences[order]['ndcg@10'].mean:+.4f}" in decision.reason
        assert f"against {order.replace('_', ' ')} on" in decision.reason


def test_a_model_scores_requests_apart_as_together(held: list[Request], model: bytes, world: LogsWorld) -> None:
    score = booster_order(model, world.features.names, chunk=7)
    together = score(held)
    assert [len(s) for s in together] == [r.n for r in held]
    np.testing.assert_array_equal(together[9], score(held[9:10])[0])
