"""Two stored versions of one ranker on the same logged requests: the better one is told, with intervals of users."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from apps.backfill.backfill import backfill
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.cli import app
from cluster.errors import BundleError
from cluster.kinds import FULL
from tests.worlds.funnel import opened_world, publish_full, publish_lightweight
from training.ranker.scorer import FullScorer
from training.report.versions import compare_versions

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """The toy world, its past replayed into the logs of the home feed."""
    replay = Replay(opened_world(tmp_path_factory.mktemp("versions")))
    backfill(replay, "homefeed", ReplayPlan(graphs=1, every=4, min_history=2, horizon_hours=240.0))
    return replay


def test_the_better_lightweight_version_is_told(replay: Replay, tmp_path: Path) -> None:
    process = replay.process
    versions = [
        publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=sign) for sign in (1, -1)
    ]
    out, project = tmp_path / "out.json", Path(replay.opened.project.home).parent / "pinfunnel.yaml"
    result = CliRunner().invoke(app, ["evaluate", "model", *versions, "-p", str(project), "--json", str(out)])
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())
    assert (found["kind"], found["a"], found["b"]) == ("lightweight/homefeed", *versions)
    assert list(found["orders"]) == [versions[1], versions[0], "visit_count", "boost"]
    orders = {name: row["ndcg@10"]["mean"] for name, row in found["orders"].items()}
    difference = found["differences"][versions[0]]["ndcg@10"]
    assert difference["mean"] == pytest.approx(orders[versions[1]] - orders[versions[0]])
    assert difference["low"] > 0  # the first places are better than the last ones
    assert f"B - A, ndcg@10: {difference['mean']:+.4f}" in result.output
    assert replay.opened.project.ids == "int64"


def test_full_versions_are_judged_on_the_same_rows(replay: Replay) -> None:
    process, opened = replay.process, replay.opened
    versions = [publish_full(process, opened.clients) for _ in range(2)]
    report = compare_versions(opened.project, opened.clients, process.store, process.logs, *versions)
    assert set(report.actions) == set(versions)
    difference = report.differences[versions[0]]["all"]
    ndcg = {version: report.ndcg[version]["all"] for version in versions}
    assert difference.n == ndcg[versions[0]].n > 20
    assert difference.mean == pytest.approx(ndcg[versions[1]].mean - ndcg[versions[0]].mean)
    assert np.isfinite([difference.low, difference.high]).all()


def test_full_versions_that_read_other_rows_are_refused(replay: Replay) -> None:
    process, opened = replay.process, replay.opened
    one = publish_full(process, opened.clients)
    scorer = FullScorer.open(process.store.open(FULL, one).path)
    other = publish_full(process, {"homefeed": opened.clients["homefeed"]})
    assert scorer.schema.clients != ("homefeed",)
    with pytest.raises(BundleError, match=f"full {one} has other clients than {other}"):
        compare_versions(opened.project, opened.clients, process.store, process.logs, one, other)
