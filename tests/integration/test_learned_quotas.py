"""`pinfunnel train quotas` on a replayed log of two sources: learned, judged on later requests, stored."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from apps.backfill.backfill import backfill
from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.cli import app
from apps.project import Opened
from cluster.errors import ModelError
from cluster.kinds import quotas
from cluster.settings.clients import SourceSettings
from tests.worlds.funnel import opened_world
from training.quotas import learn
from training.quotas.learn import learn_quotas, read_seen
from training.quotas.learned import LearnedQuotas

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """The toy world's past, replayed through the walk and popular pins."""
    world = opened_world(tmp_path_factory.mktemp("quotas"))
    sources = {"walk": SourceSettings(quota=300), "popular": SourceSettings(quota=300)}
    clients = {**world.clients, "homefeed": world.clients["homefeed"].model_copy(update={"sources": sources})}
    replay = Replay(Opened(world.project, clients))
    backfill(replay, "homefeed", ReplayPlan(graphs=1, every=2, min_history=0, horizon_hours=480.0))
    return replay


def test_quotas_are_learned_from_the_log_and_judged_on_later_requests(
    replay: Replay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learn, "LEAST_WANTED", 10)
    opened, process = replay.opened, replay.process
    client = opened.clients["homefeed"]
    seen = read_seen(opened.project, client, process.logs)
    assert seen.sources == ("walk", "popular")
    assert seen.requests > 20
    assert seen.wanted.sum() > 20
    outcome = learn_quotas(opened.project, client, process.store, process.logs, keep=0.9)
    assert outcome.requests == seen.requests
    assert 0.0 < outcome.cost <= outcome.full_cost
    assert 0.0 <= outcome.kept.low <= outcome.kept.mean <= outcome.kept.high <= 1.0
    assert set(outcome.curves) == {"learned", "static", "calibrated", "fusion", "round_robin"}
    bundle = process.store.open(quotas("homefeed"), outcome.version)
    table = LearnedQuotas.open(bundle.path)
    assert table.sources == ("walk", "popular")
    assert bundle.meta["reason"] == outcome.reason
    assert (process.store.current(quotas("homefeed")) == outcome.version) == outcome.published


def test_a_short_log_and_requests_at_other_quotas_teach_nothing(replay: Replay, tmp_path: Path) -> None:
    opened, process = replay.opened, replay.process
    more = {"walk": SourceSettings(quota=400), "popular": SourceSettings(quota=300)}
    client = opened.clients["homefeed"].model_copy(update={"sources": more})
    with pytest.raises(ModelError, match="0 wanted candidates in 0 requests at full quotas"):
        learn_quotas(opened.project, client, process.store, process.logs)
    project = Path(opened.project.home).parent / "pinfunnel.yaml"
    out = tmp_path / "out.json"
    result = CliRunner().invoke(
        app, ["train", "quotas", "--client", "homefeed", "-p", str(project), "--json", str(out)]
    )
    assert result.exit_code != 0
    assert "let the log grow" in result.output
    assert not out.exists() or json.loads(out.read_text()) == {}
