"""The toy world as an opened project with a built graph, and asks to put to it."""

import shutil
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from apps.project import Opened, open_project
from cluster.catalog.build import build_catalog
from cluster.features.assemble import FeatureSet
from cluster.settings.clients import Client
from cluster.store.bundles import BundleStore
from serving.deploy.process import Process
from serving.request.ask import Recents, WalkAsk
from tests.worlds.toy import toy_project
from training.full.rows import ranker_schema
from training.ranker.config import ModelConfig
from training.ranker.model import FullRanker
from training.ranker.scorer import FullScorer

NOW = int(datetime(2026, 1, 5, 12, tzinfo=UTC).timestamp() * 1e6)


def opened_world(folder: Path, **serving: Any) -> Opened:
    """A project in `folder` with its graph published."""
    opened = open_project(toy_project(folder, settings={"serving": {"simulation": True, **serving}}))
    shutil.copytree(Path(_built().name) / Path(opened.project.home).name, opened.project.home)
    return opened


@cache
def _built() -> "tempfile.TemporaryDirectory[str]":
    """The project with its graph, built once: a copy takes a tenth of the time. Deleted when the tests end."""
    folder = tempfile.TemporaryDirectory()
    opened = open_project(toy_project(Path(folder.name)))
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    return folder


def ask(client: str = "homefeed", user_id: int | None = None, **changes: Any) -> WalkAsk:
    """A request of now."""
    fields: dict[str, Any] = {
        "client": client, "user_id": user_id, "query_pins": (), "exclude": (), "locale": None, "at": NOW, "seed": 7,
        "recents": Recents.none(),
    }  # fmt: skip
    return WalkAsk(**{**fields, **changes})


def some_user(opened: Opened) -> int:
    """A user with history."""
    users = opened.new_process().catalogs.current.users
    ids = users.ids.ids_of(np.arange(len(users), dtype=np.int32))
    return next(int(i) for i in ids if len(users.row(int(i)).pin_ids) > 5)


def publish_lightweight(store: BundleStore, features: FeatureSet, client: str, column: str, sign: float = 1.0) -> str:
    """A small real model that orders candidates by one feature column; returns its version."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(2.0, 3.0, (4000, len(features.names))).astype(np.float32)
    target = (sign * matrix[:, features.names.index(column)] > sign * 2.0).astype(np.float32)
    data = xgb.DMatrix(matrix, target, feature_names=list(features.names))
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 4, "tree_method": "hist"}, data, 20)
    with store.write(f"lightweight/{client}", {"schema_hash": features.schema_hash}) as (folder, version):
        booster.save_model(folder / "model.ubj")
    return version


def publish_full(
    process: Process, clients: dict[str, Client], held_back: tuple[str, ...] = (), scored: bool = True
) -> str:
    """An untrained full ranker of the smallest size; returns its version."""
    width = process.catalogs.current.pins.topics.shape[1]
    schema = ranker_schema(process.features, tuple(clients), process.project.actions, width, 8, scored)
    scorer = FullScorer(schema, ModelConfig.debug(), FullRanker(schema.widths, ModelConfig.debug()))
    meta = {"schema_hash": process.features.schema_hash, "held_back": list(held_back)}
    with process.store.write("full", meta) as (folder, version):
        scorer.save(folder)
    return version
