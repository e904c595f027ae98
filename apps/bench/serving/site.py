"""A project of production size to serve: a large graph, users with history, trees and a network, all published.

The trees are fitted on the features of the site's own candidates, so that they split where real ones would; the network
has the shape of a trained one and random weights, which cost the same.
"""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xgboost as xgb
import yaml

from apps.bench.graph.synthetic import Shape, draw_edges
from apps.project import Opened, open_project
from cluster import kinds
from cluster.catalog.build import Tables, build_catalog_in_memory
from cluster.features.assemble import FeatureSet
from cluster.similarity.neighbours import Neighbours
from cluster.similarity.tables import Similarity
from serving.deploy.process import Process
from serving.request.ask import WalkAsk
from training.full.plan import plans_for
from training.full.rows import ranker_schema
from training.ranker.model import FullRanker
from training.ranker.scorer import FullScorer

SHAPE = Shape(pins=2_000_000, boards=500_000, edges=42_000_000, topics=2_000)
QUICK = Shape(pins=20_000, boards=5_000, edges=300_000, topics=50)
USERS = 20_000
QUICK_USERS = 500
ACTIONS = 64
"""Actions of each user's history."""
CLIENT = "homefeed"
TREES = 300
TAUGHT = 64
"""Requests whose candidates the trees are fitted on."""
HISTORY = 30 * 86_400
NEIGHBOURS = 32
"""Similar pins of each pin. Drawn at random: to measure likeness of two million pins takes one core hours, and a
request reads rows of the same width from the same files.
"""
ABOUT = "bench.yaml"


def site(folder: Path, quick: bool = False) -> Path:
    """The path of `pinfunnel.yaml` of a published site in `folder`; one that is there already is taken."""
    path = folder / "pinfunnel.yaml"
    shape, users = (QUICK, QUICK_USERS) if quick else (SHAPE, USERS)
    about = {**shape._asdict(), "users": users}
    if (folder / ABOUT).exists() and yaml.safe_load((folder / ABOUT).read_text()) == about:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    tables = _tables(shape, users)
    _write(folder, path, tables)
    opened = open_project(path)
    process = opened.new_process()
    with process.store.write(kinds.GRAPH, {"schema_hash": process.features.schema_hash}, True) as (target, version):
        catalog = build_catalog_in_memory(tables, opened.project, target, version=version)
        _likeness(catalog.graph.n_pins).save(target / "similar")
    process.watcher(kinds.GRAPH, "sources").poll()
    _publish_trees(process, users)
    _publish_network(opened, process)
    (folder / ABOUT).write_text(yaml.safe_dump(about))
    return path


def settings(path: Path, **serving: Any) -> None:
    """Change the section `serving` of a project file."""
    project = yaml.safe_load(path.read_text())
    project["serving"] = {**project.get("serving", {}), **serving}
    path.write_text(yaml.safe_dump(project, sort_keys=False))


def _tables(shape: Shape, users: int) -> Tables:
    rng = np.random.default_rng(3)
    boards, pins, topic = draw_edges(shape)
    now = int(time.time())
    names = np.array([f"topic {at % 64}" for at in range(64)])
    topics = pa.array(names).take(pa.array(topic % 64))
    lists = pa.ListArray.from_arrays(pa.array(np.arange(shape.pins + 1, dtype=np.int32)), topics)
    # A user acts on the pins of two boards: what people do hangs together.
    starts = np.searchsorted(boards, rng.integers(0, shape.boards, (users, 2)))
    offsets = rng.integers(0, max(shape.edges // shape.boards, 2), (users, ACTIONS))
    rows = np.minimum(np.repeat(starts, ACTIONS // 2, axis=1) + offsets, len(pins) - 1)
    moments = now - rng.integers(3600, HISTORY, (users, ACTIONS))
    events = pa.table(
        {
            "user_id": np.repeat(np.arange(users), ACTIONS),
            "pin_id": pins[rows].ravel().astype(np.int64),
            "action": pa.array(np.array(["save", "click", "closeup"])[rng.integers(0, 3, users * ACTIONS)]),
            "occurred_at": pa.array((moments.ravel() * 1_000_000).astype(np.int64)).cast(pa.timestamp("us", tz="UTC")),
        }
    )
    return Tables(
        pa.table({"board_id": boards.astype(np.int64), "pin_id": pins.astype(np.int64)}),
        pa.table({"pin_id": np.arange(shape.pins), "topics": lists}),
        pa.table({"user_id": np.arange(users), "locale": pa.array(["en"] * users)}),
        events,
    )


def _write(folder: Path, path: Path, tables: Tables) -> None:
    """A project that could be built again from its files; only small ones of them are written."""
    pq.write_table(tables.edges.slice(0, 1000), folder / "edges.parquet")
    inputs = {name: {"path": str(folder / f"{name}.parquet")} for name in ("edges", "pins", "users", "events")}
    for name in ("pins", "users", "events"):
        pq.write_table(getattr(tables, name).slice(0, 1000), folder / f"{name}.parquet")
    project = {"home": str(folder / "home"), "ids": "int64", "data": inputs, "similarity": {"neighbours": 0}}
    path.write_text(yaml.safe_dump(project, sort_keys=False))


def _likeness(pins: int) -> Similarity:
    rng = np.random.default_rng(4)

    def rows() -> Neighbours:
        ids = rng.integers(0, pins, (pins, NEIGHBOURS), np.int32)
        return Neighbours(ids, -np.sort(-rng.random((pins, NEIGHBOURS), np.float32), axis=1))

    return Similarity(rows(), rows(), rows(), rows())


def asks(users: int, count: int, seed: int = 5) -> list[WalkAsk]:
    """Requests of the home feed by random users."""
    rng = np.random.default_rng(seed)
    now = int(time.time() * 1e6)
    drawn = rng.integers(0, users, count).tolist()
    return [WalkAsk(CLIENT, user, (), (), None, now, seed * 100_000 + at) for at, user in enumerate(drawn)]


def _publish_trees(process: Process, users: int) -> None:
    features: FeatureSet = process.features
    ranked = [process.funnel.recommend_now(ask).ranked for ask in asks(users, TAUGHT)]
    blocks = [np.hstack([np.tile(r.shared, (len(r.candidates), 1)), r.candidates]) for r in ranked if r is not None]
    matrix = np.vstack(blocks).astype(np.float32)
    rng = np.random.default_rng(6)
    spread = np.nan_to_num((matrix - np.nanmean(matrix, axis=0)) / (np.nanstd(matrix, axis=0) + 1e-6))
    taste = spread @ rng.normal(0.0, 0.5, matrix.shape[1])
    label = (rng.random(len(taste)) < 1.0 / (1.0 + np.exp(2.0 - taste))).astype(np.float32)
    data = xgb.QuantileDMatrix(matrix, label, feature_names=list(features.names))
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 6, "eta": 0.1, "nthread": 2}, data, TREES)
    with process.store.write(kinds.lightweight(CLIENT), {"schema_hash": features.schema_hash}, True) as (target, _):
        booster.save_model(target / "model.ubj")


def _publish_network(opened: Opened, process: Process) -> None:
    project = opened.project
    width = process.catalogs.current.pins.content_width
    length = project.features.sequence_length
    schema = ranker_schema(process.features, tuple(opened.clients), project.actions, width, length)
    [plan] = plans_for(project.ranker.model_copy(update={"size": "small"}), project.negative_actions, 1_000, True)
    scorer = FullScorer(schema, plan.model, FullRanker(schema.widths, plan.model))
    with process.store.write(kinds.FULL, {"schema_hash": process.features.schema_hash}, True) as (target, _):
        scorer.save(target)
