"""The full ranker from a synthetic log: rows in the agreed layout, a published model, a gate that keeps the better."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from cluster.catalog.build import Tables, build_catalog_in_memory
from cluster.data.schema import IMPRESSED, RANKED
from cluster.errors import BundleError, DataError
from cluster.features.assemble import FeatureSet
from cluster.hashing import hash_ids
from cluster.kinds import GRAPH
from cluster.settings.project import DEFAULT_ACTIONS, FeatureSettings
from cluster.store.bundles import BundleStore
from cluster.store.logs import LogStore
from tests.worlds.logs import LogsWorld, make_world
from tests.worlds.training import joined_table, requests
from training.full.gating import judge
from training.full.margins import cross_fitted, margins_of, serving_trees
from training.full.rows import Contents, MakeRows, ranker_schema
from training.full.train import train_full_ranker
from training.judge.gate import Gate
from training.judge.orders import Order, visit_count
from training.lightweight.train import train_lightweight
from training.log.arrays import Request, read_requests
from training.log.attribution import as_datetime64
from training.log.requests import join_logs
from training.log.windows import windows_of
from training.ranker.batch import RequestBatch
from training.ranker.scorer import FullScorer


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    return make_world(tmp_path_factory.mktemp("logs"), requests=240, n=40)


@pytest.fixture(scope="module")
def store(world: LogsWorld, tmp_path_factory: pytest.TempPathFactory) -> BundleStore:
    """A graph of the first 4,900 of the world's 5,000 pins, with topics."""
    store = BundleStore(tmp_path_factory.mktemp("bundles"))
    rng = np.random.default_rng(0)
    known = np.arange(4900)
    edges = pa.table({"board_id": rng.integers(0, 300, 4900), "pin_id": known})
    pins = pa.table({"pin_id": known, "topics": pa.array([[f"t{i % 7}"] for i in known])})
    with store.write(GRAPH, {"schema_hash": world.features.schema_hash}) as (folder, version):
        build_catalog_in_memory(Tables(edges, pins), world.project, folder, version=version)
    return store


FEATURES = FeatureSet.of(FeatureSettings(history_actions=DEFAULT_ACTIONS))
"""Of a project that says nothing of them, as the world's is."""


DENSE = [at for at, name in enumerate(FEATURES.candidate) if name not in FEATURES.categorical]


def make(store: BundleStore, unimpressed: int = 0, **orders: Order) -> MakeRows:
    contents = Contents(store.root, str(store.current(GRAPH)))
    return MakeRows(contents, FEATURES, 3, unimpressed, orders=orders)


def by_what_was_done(requests: Sequence[Request]) -> list[np.ndarray]:
    """An order that no ranker can beat: what the users did later."""
    return [r.actions[:, 0] + r.actions.sum(axis=1) for r in requests]


def upside_down(requests: Sequence[Request]) -> list[np.ndarray]:
    return [-score for score in by_what_was_done(requests)]


def test_rows_hold_the_shown_candidates_as_they_were_logged(world: LogsWorld, store: BundleStore) -> None:
    table = joined_table(world, "homefeed")
    rows = make(store)(table)
    width = make(store).contents.width()
    schema = ranker_schema(world.features, tuple(world.clients), world.project.actions, width, 3, scored=False)
    batch = RequestBatch.from_table(rows, schema)
    logged = requests(world, "homefeed")
    assert batch.n_requests == len(logged) == rows.num_rows
    assert batch.labels is not None
    assert batch.position is not None
    at = 0
    for i, request in enumerate(logged):
        shown = request.stage == IMPRESSED
        part = slice(at, at + int(shown.sum()))
        np.testing.assert_array_equal(batch.candidates[part], request.candidates[shown][:, DENSE])
        np.testing.assert_array_equal(batch.shared[i], request.shared)
        np.testing.assert_array_equal(batch.labels[part], request.actions[shown])
        ids = np.asarray(table.column("pin_id")[request.row].as_py())[shown]
        np.testing.assert_array_equal(batch.candidate_pin[part], hash_ids(ids))
        known = batch.candidate_vector[part].any(axis=1)
        np.testing.assert_array_equal(known, ids < 4900)
        at = part.stop
    assert (batch.position >= 0).all()
    assert (batch.sequence_pin != 0).sum() == 3 * len(logged)


def test_pins_of_one_topic_have_one_vector(store: BundleStore) -> None:
    contents = make(store).contents
    a = contents.vectors(None, np.array([7, 14, 8, 4999]))
    np.testing.assert_array_equal(a[0], a[1])
    assert a[0] @ a[2] == 0
    assert not a[3].any()
    np.testing.assert_array_equal(contents.vectors("a version that is gone", np.array([7])), a[:1])


def test_sampled_survivors_stand_for_all_that_were_not_shown(world: LogsWorld, store: BundleStore) -> None:
    table = joined_table(world, "homefeed").slice(0, 20)
    rows = make(store, unimpressed=4)(table)
    for weights, positions in zip(rows.column("weights").to_pylist(), rows.column("position").to_pylist(), strict=True):
        assert len(weights) == 14
        assert sum(w for w, p in zip(weights, positions, strict=True) if p < 0) == pytest.approx(
            10
        )  # 20 ranked, 10 shown
    sampled = table.set_column(
        table.column_names.index("kept_rate"), "kept_rate", pa.array([0.5] * len(table), pa.float32())
    )
    twice = make(store, unimpressed=4)(sampled)  # each survivor that was logged stands for two
    for weights, once in zip(twice["weights"].to_pylist(), rows["weights"].to_pylist(), strict=True):
        assert weights == [w if w == 1.0 else pytest.approx(2 * w) for w in once]


def test_replayed_requests_bring_negatives_unless_told_how_many(world: LogsWorld, store: BundleStore) -> None:
    table = joined_table(world, "homefeed").slice(0, 20)
    logged = list(read_requests(table))
    nothing_shown = pa.array([[-1] * r.n for r in logged], pa.list_(pa.int16()))
    acted = [(r.actions > 0).any(axis=1) for r in logged]
    stage = pa.array([np.where(a, IMPRESSED, RANKED).tolist() for a in acted], pa.list_(pa.int8()))
    for name, column in (("position", nothing_shown), ("stage", stage)):
        table = table.set_column(table.column_names.index(name), name, column)
    usual = MakeRows(make(store).contents, FEATURES, 3)
    for of, each, all_of in (
        (usual, 60, False),
        (replace(usual, unimpressed_replayed=7), 7, False),
        (replace(usual, unimpressed=3, unimpressed_replayed=None), 0, True),
    ):
        for weights, a in zip(of(table).column("weights").to_pylist(), acted, strict=True):
            rest = int((~a).sum())
            assert len(weights) == a.sum() + (rest if all_of else min(each, rest))
            assert sum(weights) == pytest.approx(len(a))  # they stand for all candidates


def test_rows_hold_the_lightweight_scores_of_their_time(world: LogsWorld, store: BundleStore) -> None:
    def margins(request: Request, at: np.datetime64) -> np.ndarray:
        return request.visit_score + at.astype("datetime64[s]").astype(np.int64) % 1000

    table = joined_table(world, "homefeed").slice(0, 20)
    scored = make(store)
    rows = replace(scored, scores={"homefeed": margins})(table)
    width = len(ranker_schema(world.features, (), (), 0, 0).candidate)
    at = table.column("requested_at").to_pylist()
    for request, values in zip(read_requests(table), rows.column("candidates").to_pylist(), strict=True):
        shown = request.stage == IMPRESSED
        got = np.array(values).reshape(-1, width)
        np.testing.assert_array_equal(got[:, :-1], request.candidates[shown][:, DENSE])
        expected = request.visit_score[shown] + int(at[request.row].timestamp()) % 1000
        np.testing.assert_allclose(got[:, -1], expected, rtol=1e-6)
    others = replace(scored, scores={"another": margins})(table)
    assert np.isnan(np.array(others.column("candidates")[0].as_py()).reshape(-1, width)[:, -1]).all()


def test_rows_to_judge_hold_the_order_without_a_full_ranker(world: LogsWorld, store: BundleStore) -> None:
    table = joined_table(world, "homefeed").slice(0, 20)
    assert make(store)(table).column("order_score").null_count == 20
    rows = make(store, homefeed=visit_count)(table)
    for request, score in zip(read_requests(table), rows.column("order_score").to_pylist(), strict=True):
        np.testing.assert_array_equal(score, request.visit_score[request.stage == IMPRESSED])


@pytest.mark.usefixtures("ray_session")
def test_the_model_is_trained_published_and_guarded(world: LogsWorld, store: BundleStore, tmp_path: Path) -> None:
    steps: list[str] = []
    out = train_full_ranker(
        world.project,
        world.clients,
        store,
        world.logs,
        num_workers=0,
        progress=lambda stage, share: steps.append(stage),
    )
    assert out.published, out.reason
    assert steps[0] == "join"
    assert steps[-1] == "evaluate"
    assert out.requests == {"train": 326, "valid": 58, "held": 96}
    bundle = store.open("full").require_schema(world.features)
    scorer = FullScorer.open(bundle.path)
    assert scorer.schema.clients == tuple(world.clients)
    assert bundle.version == out.version
    assert out.metrics["differences"]["visit_count"]["all"]["mean"] > 0
    assert out.metrics["actions"]["full"]["save"]["auc"] > 0.6
    assert not list((Path(world.project.home) / "train").glob("*"))  # nothing is left behind
    assert out.plan == bundle.meta["plan"]
    assert (out.plan["name"], out.plan["fit"]["epochs"]) == ("debug", 12)
    assert out.plan["reason"] == "debug: the only plan for this log"
    assert scorer.config.to_dict() == out.plan["model"]

    refused = train_full_ranker(
        world.project, world.clients, store, world.logs, num_workers=0, gate=Gate(min_requests=10**6)
    )
    model, perfect = bundle.path, {"homefeed": by_what_was_done, "notifications": upside_down}
    rows = pa.concat_tables([make(store, **perfect)(joined_table(world, name)) for name in world.clients])
    report, decision, incumbent = judge(
        scorer.schema, world.features, world.clients, BundleStore(tmp_path), model, rows, None
    )
    assert incumbent is None
    assert report.ndcg["without_full"]["homefeed"].mean > report.ndcg["full"]["homefeed"].mean
    assert decision.publish
    assert decision.held_back == ("homefeed",)  # better served without it, although it beats visit count
    assert report.differences["visit_count"]["homefeed"].low > 0

    assert refused.incumbent == out.version
    assert "incumbent" in refused.metrics["ndcg@10"]
    assert not refused.published
    assert store.current("full") == out.version


def test_what_is_missing_is_named(world: LogsWorld, store: BundleStore, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="build the graph first"):
        train_full_ranker(world.project, world.clients, BundleStore(tmp_path), world.logs)
    with pytest.raises(DataError, match="serve, simulate or backfill"):
        train_full_ranker(world.project, world.clients, store, LogStore(tmp_path))


@pytest.mark.usefixtures("ray_session")
def test_scores_are_those_of_trees_that_never_saw_the_request(
    world: LogsWorld, store: BundleStore, tmp_path: Path
) -> None:
    own = BundleStore(tmp_path / "bundles")
    shutil.copytree(Path(store.root) / "graph", tmp_path / "bundles" / "graph")
    light = train_lightweight(world.project, world.clients["homefeed"], own, world.logs, gate=Gate(min_requests=1))
    assert light.published, light.reason
    trees = serving_trees(own, world.clients, world.features, world.project.gbdt)
    assert {name: one.version for name, one in trees.items()} == {"homefeed": light.version}
    joined = join_logs(world.project, world.logs, ["homefeed"])
    before, held = windows_of(joined, ["homefeed"], 0.2)
    margins = cross_fitted(joined, world.clients, before, trees)["homefeed"]
    serving = margins_of(trees["homefeed"].model, world.features)
    table = joined_table(world, "homefeed")
    when = as_datetime64(table.column("requested_at"))
    later = when >= held["homefeed"].since
    for request in read_requests(table):
        at = when[request.row]
        assert np.array_equal(margins(request, at), serving(request, at)) == later[request.row]

    out = train_full_ranker(world.project, world.clients, own, world.logs, num_workers=0, gate=Gate(min_requests=1))
    bundle = own.open("full", out.version)
    assert bundle.meta["lightweight"] == {"homefeed": light.version}
    scorer = FullScorer.open(bundle.path)
    assert scorer.schema.reads_score
    assert scorer.model.residual is not None
    assert (scorer.model.residual.slope.weight[1] != 0).any()
