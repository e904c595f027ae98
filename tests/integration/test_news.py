"""A news site's own impressions, through the README's commands: what nobody clicked becomes impressed negatives."""

import json
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from apps.backfill.backfill import backfill
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.cli import app
from apps.project import Opened, open_project
from tests.worlds.news import SLOTS, News, write_news
from tests.worlds.replay import written
from tests.worlds.training import joined_table
from training.full.margins import margins_of, serving_trees
from training.full.rows import Contents, MakeRows
from training.full.train import train_full_ranker
from training.lightweight.strategies.strategy import CLASSES, SEEN
from training.ranker.batch import RequestBatch
from training.ranker.scorer import FullScorer

CLIENT = "front"
PLAN = ReplayPlan(min_history=2)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, ray_session: None) -> tuple[Opened, News, Path]:
    """The site after the README's commands, the last of them without a worker of its own."""
    folder = tmp_path_factory.mktemp("news")
    news = write_news(folder)
    for line in (
        "validate",
        "build-graph",
        f"backfill --client {CLIENT} --min-history {PLAN.min_history} --workers 2",
        f"train lightweight --client {CLIENT}",
    ):
        told = folder / f"{line.split()[0]}.json"
        app([*line.split(), "--project", str(folder / "pinfunnel.yaml"), "--json", str(told)], standalone_mode=False)
    opened = open_project(folder / "pinfunnel.yaml")
    process = opened.new_process()
    # on so small a log a residual would stay where it starts, at the trees' order, and learn nothing of positions
    ranker = opened.project.ranker.model_copy(update={"model": {"residual": False}})
    project = opened.project.model_copy(update={"ranker": ranker})
    out = train_full_ranker(project, opened.clients, process.store, process.logs, num_workers=0)
    process.store.publish("full", out.version)  # whatever the gate says of so small a log
    return opened, news, folder


def test_validation_tells_how_many_clicks_answer_what_was_shown(site: tuple[Opened, News, Path]) -> None:
    _, news, folder = site
    report = json.loads((folder / "validate.json").read_text())
    assert report["ok"]
    labels = sum(map(len, news.slow_labels().values()))
    answers = f"{labels} of {len(news.clicks)} events answer one of {len(news.shown)} requests"
    assert report["tables"]["impressions"]["remark"] == answers


def test_workers_write_the_rows_of_one_process(site: tuple[Opened, News, Path], tmp_path: Path) -> None:
    write_news(tmp_path)
    alone = Replay(open_project(tmp_path / "pinfunnel.yaml"))
    done = backfill(alone, CLIENT, PLAN)
    assert written(alone, CLIENT) == written(Replay(site[0]), CLIENT)
    assert json.loads((site[2] / "backfill.json").read_text())[CLIENT] == {**asdict(done), "reach": done.reach}


def test_what_was_shown_and_not_clicked_is_a_negative_of_the_trees(site: tuple[Opened, News, Path]) -> None:
    opened, _, folder = site
    told = json.loads((folder / "train.json").read_text())[CLIENT]
    counts = opened.new_process().store.open(f"lightweight/{CLIENT}", told["version"]).meta["examples"]["train"]
    replayed = json.loads((folder / "backfill.json").read_text())[CLIENT]
    assert counts[CLASSES[SEEN]] > 3 * counts["action"] > 100
    assert sum(counts.values()) < replayed["shown"] - replayed["shown_unknown"]


def test_the_full_ranker_sees_shown_pins_with_their_positions_and_learns_from_both_classes(
    site: tuple[Opened, News, Path],
) -> None:
    opened, news, _ = site
    process = opened.new_process()
    contents = Contents(process.store.root, str(process.store.current("graph")))
    table = joined_table(SimpleNamespace(logs=process.logs, project=opened.project), CLIENT)  # type: ignore[arg-type]
    scorer = FullScorer.open(process.store.open("full").path)
    trees = serving_trees(process.store, [CLIENT], process.features, opened.project.gbdt)
    scores = {name: margins_of(one.model, process.features) for name, one in trees.items()}
    length = opened.project.features.sequence_length
    reads = scorer.schema.reads_score
    rows = MakeRows(contents, process.features, length, scores=scores if reads else None)(table)
    batch = RequestBatch.from_table(rows, scorer.schema)
    assert batch.labels is not None
    assert batch.position is not None
    clicked = batch.labels[:, 0] > 0
    assert set(np.unique(batch.position)) == set(range(SLOTS))
    by_slot = [clicked[batch.position == slot].mean() for slot in range(SLOTS)]
    shown = np.zeros(SLOTS)
    for articles, labels in ((n[2], news.slow_labels()[view]) for view, n in news.shown.items()):
        shown += [article in labels for article in articles]
    assert 0 < clicked.mean() < 0.3
    assert np.corrcoef(by_slot, shown)[0, 1] > 0.8  # the slots that were clicked most are those here
    odds = scorer.position_odds(batch)[:, 0]
    assert odds[batch.position == 0].mean() > odds[batch.position == SLOTS - 1].mean()  # so they debias
    probability = scorer.score(batch)[:, 0]
    assert probability[clicked].mean() > probability[~clicked].mean()
    assert probability.mean() < 0.5  # a log of positives alone gives every candidate 1
    assert pa.compute.all(pa.compute.is_valid(rows["weights"])).as_py()
