"""The funnel that a user would otherwise write: FastAPI and uvicorn workers, a NumPy walk, XGBoost's own predict,
eager torch.

It reads the same bundles and answers the same requests, without a log, a deadline, filters or a policy. Features are
ours: they are NumPy in both, so that only the walk, the scoring and the server differ.

    python -m apps.bench.serving.handwritten pinfunnel.yaml --port 8100 --workers 2
"""

import os
import time
from typing import Annotated, Any

import numpy as np
import torch
import typer
import uvicorn
import xgboost as xgb
from fastapi import FastAPI
from pydantic import BaseModel

from apps.bench.walk.peers import numpy_levels
from apps.project import open_project
from cluster import kinds
from serving.candidates.mixer import mix
from serving.lightweight.features import request_features
from serving.policy.labels import LabelRules
from serving.request.ask import WalkAsk
from serving.request.found import FoundPins, Origin, Visits
from serving.request.ranked import Ranked

CLIENT = "homefeed"
PROJECT = "PINFUNNEL_HANDWRITTEN_PROJECT"


class HandwrittenFunnel:
    """Walk, trees and network of one worker."""

    def __init__(self, path: str):
        torch.set_num_threads(1)
        opened = open_project(path)
        self.process = opened.new_process()
        self.client = opened.clients[CLIENT]
        self.process.watcher().poll()
        self.full = self.process.full
        assert self.full._loaded is not None
        self.full._loaded.scorer._folded = None  # the network as torch has it
        store, version = self.process.store, self.process.lightweight.versions()[CLIENT]
        self.booster = xgb.Booster(model_file=str(store.open(kinds.lightweight(CLIENT), version).path / "model.ubj"))
        self.booster.set_param({"nthread": 1})

    def recommend(self, user: int) -> list[int]:
        """The best pins of one user."""
        ask = WalkAsk(CLIENT, user, (), (), None, int(time.time() * 1e6), user)
        query = self.process.sources.query(ask)
        found = self._walk(query.pins, self.client.walk.steps, query.catalog.graph)
        candidates = mix(query, {"walk": found}, {"walk": len(found.pins)}, LabelRules.of(self.client.policy))
        block = request_features(query.catalog, candidates, ask, self.client, ("hide",))
        scores = self.booster.predict(xgb.DMatrix(block.matrix(), feature_names=self.booster.feature_names))
        kept = np.argsort(-scores)[: self.client.sizes.lightweight].astype(np.int32)
        ranked = Ranked("", kept, scores, block.shared, block.candidates, np.empty(0), None, None)
        utility = self.full.score(ask, candidates, ranked).utility
        best = kept[np.argsort(-utility)[: self.client.sizes.answer]]
        return [int(pin) for pin in candidates.pin_ids[best]]

    def _walk(self, pins: np.ndarray, steps: int, graph: Any) -> FoundPins:
        rng = np.random.default_rng(0)
        walks = max(int(steps * self.client.walk.restart / max(len(pins), 1)), 1)
        columns = []
        for pin in pins:
            visited = [graph.board_pins[to] for _, _, _, to in numpy_levels(graph, np.full(walks, pin), rng)]
            columns.append(np.unique(np.concatenate(visited), return_counts=True))
        reached, where = np.unique(np.concatenate([p for p, _ in columns]), return_inverse=True)
        by_query = np.zeros((len(reached), len(pins)), np.uint32)
        start = 0
        for at, (some, counts) in enumerate(columns):
            by_query[where[start : start + len(some)], at] = counts
            start += len(some)
        score = (np.sqrt(by_query).sum(axis=1) ** 2).astype(np.float32)
        best = np.argsort(-score, kind="stable")[: self.client.sizes.walk]
        by_query = by_query[best]
        visits = Visits(by_query.sum(axis=1).astype(np.int32), (by_query > 0).sum(axis=1).astype(np.int16), by_query)
        origin = Origin("query_pin", by_query.argmax(axis=1).astype(np.int32))
        return FoundPins(reached[best].astype(np.int32), score[best], origin, visits)


class HandwrittenBody(BaseModel):
    user_id: int


def app() -> FastAPI:
    """One worker's application."""
    funnel = HandwrittenFunnel(os.environ[PROJECT])
    for user in range(20):
        funnel.recommend(user)
    out = FastAPI()

    @out.post("/v1/homefeed/recommendations")
    def recommendations(body: HandwrittenBody) -> dict[str, Any]:
        return {"pins": [{"pin_id": pin} for pin in funnel.recommend(body.user_id)], "degraded": ""}

    @out.get("/readyz")
    def readyz() -> dict[str, str]:
        return {"status": "ok"}

    return out


def main(project: str, port: int = 8100, workers: Annotated[int, typer.Option(min=1)] = 2) -> None:
    """Serve until stopped."""
    os.environ[PROJECT] = project
    uvicorn.run(
        "apps.bench.serving.handwritten:app",
        factory=True,
        port=port,
        workers=workers,
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    typer.run(main)
