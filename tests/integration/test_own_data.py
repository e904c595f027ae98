"""Bring your own data: other column names, string ids, user, item and vector columns, and not a line of code.

The folder holds Parquet as a music service may have it; settings, commands and calls are those of docs/start.md.
"""

import asyncio
import contextlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from apps.cli import app
from apps.project import Opened, open_project
from apps.world.in_process import URL, InProcess
from cluster.features.assemble import FeatureSet
from cluster.hashing import hash_ids
from tests.architecture.repository import ROOT
from tests.architecture.test_printed_commands import in_blocks
from tests.unit.serving.http.faces import Face
from tests.worlds.training import joined_table
from training.full.margins import margins_of, serving_trees
from training.full.rows import Contents, MakeRows
from training.full.train import train_full_ranker
from training.ranker.batch import RequestBatch
from training.ranker.scorer import FullScorer

LISTENERS, TRACKS, PLAYLISTS, WIDTH = 120, 400, 150, 4
START = 1_700_000_000
PAGE = (ROOT / "docs" / "start.md").read_text()
YAML = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[0]
SMALL = """
graph: {partitions: 2}
ranker: {size: debug, epochs: 6}
gbdt: {rounds: 20}
"""
"""What a test cannot wait for."""
ELSEWHERE = ("train full", "serve")
"""Commands of the page that have a worker or a port of their own: here the same is done in this process."""


def write(folder: Path) -> Path:
    """Listeners play tracks near their taste, a point in the space of the tracks' embeddings."""
    rng = np.random.default_rng(0)
    place = rng.normal(size=(TRACKS, WIDTH))
    names, people = np.array([f"t-{i}" for i in range(TRACKS)]), np.array([f"u/{i}" for i in range(LISTENERS)])
    taste = rng.normal(size=(LISTENERS, WIDTH))

    def near(points: np.ndarray, each: int) -> np.ndarray:
        noise = rng.gumbel(size=(len(points), TRACKS))
        return np.argsort(-(points @ place.T * 2 + noise), axis=1)[:, :each]

    def at(n: int) -> pa.Array:
        return pa.array(START + rng.integers(0, 90 * 86_400, n)).cast(pa.timestamp("s"))

    def text(rows: np.ndarray, letter: str) -> pa.Array:
        return pa.array([f"{letter}{row.argmax()}" for row in rows])

    saved = near(rng.normal(size=(PLAYLISTS, WIDTH)), 15)
    lists = np.repeat([f"p{i}" for i in range(PLAYLISTS)], 15)
    tables = {
        "playlists": {"playlist": lists, "track": names[saved.ravel()], "added_at": at(saved.size)},
        "tracks": {
            "track": names, "genres": pa.array([[f"g{row.argmax()}"] for row in place]), "embedding": place.tolist(),
            "bpm": rng.normal(120, 20, TRACKS), "record_label": text(rng.random((TRACKS, 5)), "l"),
        },
        "listeners": {
            "listener": people, "likes": pa.array([[f"g{row.argmax()}"] for row in taste]),
            "age": rng.integers(16, 80, LISTENERS), "plan": text(rng.random((LISTENERS, 3)), "plan "),
        },
        "plays": {
            "listener": np.repeat(people, 40), "track": names[near(taste, 40).ravel()],
            "what": rng.choice(["save", "click"], LISTENERS * 40), "at": at(LISTENERS * 40),
        },
    }  # fmt: skip
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    (folder / "pinfunnel.yaml").write_text(YAML + SMALL)
    return folder / "pinfunnel.yaml"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> Opened:
    """The project after the page's commands, from `validate` to `models list`."""
    path = write(tmp_path_factory.mktemp("mine"))
    lines = [line.removeprefix("pinfunnel ") for line in in_blocks(PAGE)]
    assert set(ELSEWHERE) < set(lines)
    assert len(lines) >= 8
    with contextlib.chdir(path.parent):
        for line in lines:
            if line not in ELSEWHERE:
                app(line.split(), standalone_mode=False)
    opened = open_project(path)
    process = opened.new_process()
    out = train_full_ranker(opened.project, opened.clients, process.store, process.logs, num_workers=0)
    process.store.publish("full", out.version)  # whatever the gate says of so small a log
    return opened


def test_the_calls_of_the_page_are_answered(opened: Opened) -> None:
    page = PAGE.replace("'$(date -u +%FT%TZ)'", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
    calls = re.findall(r"curl -s http://127.0.0.1:8000(/\S+) .*? -d '(.*?)'", page)
    assert [path for path, _ in calls] == ["/v1/homefeed/recommendations", "/v1/events"]
    with InProcess(opened) as local:
        face = Face(local.app)
        asked, told = (face.post(path, json=json.loads(body)) for path, body in calls)
    assert len(asked.json()["pins"]) == 5
    assert asked.json()["pins"][0]["explanation"]["reached_from"]
    assert told.json() == {"accepted": 1, "refused": [], "not_in_graph": []}


def rows_of(opened: Opened) -> tuple[pa.Table, FullScorer]:
    """The logged requests as rows for the full ranker, and the published one."""
    process, features = opened.new_process(), FeatureSet.of(opened.project.features)
    contents = Contents(process.store.root, str(process.store.current("graph")))
    table = joined_table(SimpleNamespace(logs=process.logs, project=opened.project), "homefeed")
    scorer = FullScorer.open(process.store.open("full").path)
    trees = serving_trees(process.store, ["homefeed"], features, opened.project.gbdt)
    margins = {name: margins_of(one.model, features) for name, one in trees.items()}
    scores = margins if scorer.schema.reads_score else None
    return MakeRows(contents, features, opened.project.features.sequence_length, scores=scores)(table), scorer


@pytest.fixture(scope="module")
def logged(opened: Opened) -> tuple[RequestBatch, FullScorer]:
    rows, scorer = rows_of(opened)
    return RequestBatch.from_table(rows, scorer.schema), scorer


def test_every_column_of_mine_is_a_feature(logged: tuple[RequestBatch, FullScorer], opened: Opened) -> None:
    schema = logged[1].schema
    assert {"user_age", "pin_tempo"} <= {*schema.shared, *schema.candidate}
    assert schema.categorical == (
        ("user_plan", "shared"),
        ("pin_record_label", "candidate"),
        ("source_first", "candidate"),
    )
    assert schema.n_topics == WIDTH + 4  # embeddings and four genres
    assert {"cross_query_vector", "cross_best_vector", "cross_history_vector"} <= set(schema.candidate)
    assert "cross_tempo_apart" in schema.candidate
    trained = next(Path(opened.project.home, "bundles", "lightweight", "homefeed").glob("*/features.json"))
    assert {"user_age", "pin_tempo", "cross_history_vector"} <= set(trained.read_text().split('"'))


def test_the_full_ranker_heeds_users_items_vectors_and_sequences(logged: tuple[RequestBatch, FullScorer]) -> None:
    batch, scorer = logged
    schema = scorer.schema
    usual = scorer.score(batch)
    age, tempo = schema.shared.index("user_age"), schema.candidate.index("pin_tempo")
    older, faster = batch.shared.copy(), batch.candidates.copy()
    older[:, age] += 30
    faster[:, tempo] += 60
    changed = {
        "a user's number": replace(batch, shared=older),
        "a user's category": replace(batch, shared_category=batch.shared_category * 0),
        "an item's number": replace(batch, candidates=faster),
        "an item's category": replace(batch, candidate_category=batch.candidate_category * 0),
        "an item's vector": replace(batch, candidate_vector=-batch.candidate_vector),
        "the sequence": replace(batch, sequence_pin=batch.sequence_pin[:, ::-1], sequence_age=batch.sequence_age + 99),
        "the sequence's vectors": replace(batch, sequence_vector=-batch.sequence_vector),
    }
    for what, other in changed.items():
        assert np.abs(scorer.score(other) - usual).max() > 1e-5, what


def test_what_is_served_is_what_training_reads(opened: Opened) -> None:
    """A served answer's probabilities again, from the row of the log that it left."""

    async def ask(local: InProcess) -> dict:
        async with httpx.AsyncClient(transport=local.transport, base_url=URL) as http:
            asked = await http.post("/v1/homefeed/recommendations", json={"user_id": "u/7", "explain": True})
            return asked.json()

    with InProcess(opened) as local:
        answer = asyncio.run(ask(local))
    assert len(answer["pins"]) == 25, answer
    rows, scorer = rows_of(opened)
    row = rows.filter(pc.equal(rows["request_id"], answer["request_id"]))
    again = scorer.score(RequestBatch.from_table(row, scorer.schema))
    by_pin = dict(zip(row["pin_hash"][0].as_py(), again, strict=True))
    assert len(by_pin) == 25
    for pin in answer["pins"]:
        served = [pin["explanation"]["probabilities"][action] for action in scorer.schema.actions]
        assert served == pytest.approx(by_pin[int(hash_ids([pin["pin_id"]])[0])], abs=1e-4)
