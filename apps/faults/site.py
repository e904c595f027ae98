"""A small site of which every bundle is there twice, A and B, and what an undisturbed funnel answers with each mix.

The two differ in content: a graph that lacks edges, trees that prefer the contrary, a network of other weights. So an
answer that was made of other versions than it names is not the answer that is expected.
"""

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import xgboost as xgb

from apps.project import Opened, open_project
from apps.world.in_process import URL, InProcess
from apps.world.world import World
from cluster import kinds
from cluster.catalog.build import build_catalog
from cluster.extras import require_torch
from serving.deploy.process import Process
from serving.deploy.replica import one_thread_a_request
from training.full.rows import ranker_schema
from training.ranker.config import ModelConfig

CLIENT = "homefeed"
KINDS = (kinds.GRAPH, kinds.lightweight(CLIENT), kinds.FULL)
STAGES = ("graph", "lightweight", "full")
"""What an answer calls the versions of `KINDS`, in their order."""
QUESTIONS = 16
LIVING = 12
"""Users that events and hidden pins are of; the fixed questions are of others, so that their answers stay."""
ANSWER = 25

Answered = tuple[tuple[int, float], ...]
"""The pins of an answer, best first, with their scores."""


@dataclass
class FaultSite:
    """A published project, and what is expected of it."""

    path: Path
    opened: Opened
    versions: dict[str, tuple[str, str]]  # A and B of each kind
    questions: list[dict[str, Any]]
    living: list[int]
    pins: list[int]
    expected: Mapping[tuple[int, str], Answered] = field(default_factory=dict)  # by question and letters, like "ABA"

    @classmethod
    def make(cls, folder: Path) -> "FaultSite":
        """Build and publish it in `folder`, and ask an undisturbed funnel for what is expected. A is published.

        Raises MissingPackageError without torch.
        """
        require_torch("a site with a full ranker")
        one_thread_a_request()
        world = World.make(pins=3_000, boards=800, users=200)
        usual = {"deadline_ms": 2000, "queue_ms": 1000, "shape": "colocated"}
        settings = {"home": str(folder / "home"), "serving": usual, "similarity": {"neighbours": 8}}
        path = world.write(folder, settings)
        opened = open_project(path)
        process = opened.new_process()
        graphs = _graphs(opened, process, folder / "edges" / "part-0.parquet")
        process.watcher("graph").poll()
        versions = {
            kinds.GRAPH: graphs,
            kinds.lightweight(CLIENT): (_trees(process, 1.0), _trees(process, -1.0)),
            kinds.FULL: (_network(opened, process, 1), _network(opened, process, 2)),
        }
        users = [int(user) for user in world.user_ids]
        at = world.moment(0.5).isoformat()
        questions = [{"user_id": user, "at": at} for user in users[LIVING : LIVING + QUESTIONS]]
        site = cls(path, opened, versions, questions, users[:LIVING], [int(pin) for pin in world.pin_ids])
        site.expected = dict(asyncio.run(site._answers()))
        site.publish("AAA")
        return site

    def publish(self, letters: str) -> None:
        """Point every kind at one of its two first versions."""
        store = self.opened.new_process().store
        for kind, letter in zip(KINDS, letters, strict=True):
            store.publish(kind, self.versions[kind]["AB".index(letter)])

    async def _answers(self) -> list[tuple[tuple[int, str], Answered]]:
        found = []
        with InProcess(self.opened) as app:
            async with httpx.AsyncClient(transport=app.transport, base_url=URL) as http:
                for letters in map("".join, itertools.product("AB", repeat=len(KINDS))):
                    self.publish(letters)
                    app.swap()
                    for at, question in enumerate(self.questions):
                        answer = await http.post(f"/v1/{CLIENT}/recommendations", json=question)
                        found.append(((at, letters), pins_of(answer.raise_for_status().json())))
        return found


def pins_of(answer: Mapping[str, Any]) -> Answered:
    """Pins and scores of a response's body."""
    return tuple((pin["pin_id"], pin["score"]) for pin in answer["pins"])


def _graphs(opened: Opened, process: Process, edges: Path) -> tuple[str, str]:
    """The whole graph, and one without a quarter of the edges. The whole one is published."""
    whole = pq.read_table(edges)
    pq.write_table(whole.filter(np.arange(len(whole)) % 4 > 0), edges)
    fewer = build_catalog(opened.project, process.store, in_memory=True)
    pq.write_table(whole, edges)
    return build_catalog(opened.project, process.store, in_memory=True), fewer


def _trees(process: Process, sign: float) -> str:
    """Trees that order candidates by their rank in the walk, or by the contrary."""
    features = process.features
    rng = np.random.default_rng(0)
    matrix = rng.normal(2.0, 3.0, (4000, len(features.names))).astype(np.float32)
    label = (sign * matrix[:, features.names.index("graph_rank")] > sign * 2.0).astype(np.float32)
    data = xgb.DMatrix(matrix, label, feature_names=list(features.names))
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 4, "tree_method": "hist"}, data, 20)
    with process.store.write(kinds.lightweight(CLIENT), {"schema_hash": features.schema_hash}) as (folder, version):
        booster.save_model(folder / "model.ubj")
    return version


def _network(opened: Opened, process: Process, seed: int) -> str:
    """An untrained network of the smallest size."""
    import torch

    from training.ranker.model import FullRanker
    from training.ranker.scorer import FullScorer

    torch.manual_seed(seed)
    width = process.catalogs.current.pins.topics.shape[1]
    schema = ranker_schema(process.features, tuple(opened.clients), opened.project.actions, width, 8, True)
    scorer = FullScorer(schema, ModelConfig.debug(), FullRanker(schema.widths, ModelConfig.debug()))
    with process.store.write(kinds.FULL, {"schema_hash": process.features.schema_hash}) as (folder, version):
        scorer.save(folder)
    return version
