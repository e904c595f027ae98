"""`pinfunnel.open` answers as the server does, and says what is wrong in one line."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

import pinfunnel
from apps.world.in_process import URL, InProcess
from cluster.errors import BundleError, ConfigError
from cluster.experiments.assignment import arm_of
from cluster.experiments.definition import Experiment
from tests.worlds.funnel import NOW, opened_world, publish_lightweight, some_user
from tests.worlds.toy import toy_project

MOMENT = datetime.fromtimestamp(NOW / 1e6, UTC)


def test_it_answers_explains_and_walks_as_the_server_would(tmp_path: Path) -> None:
    opened = opened_world(tmp_path)
    process = opened.new_process()
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    user = some_user(opened)
    funnel = pinfunnel.open(tmp_path / "pinfunnel.yaml")
    for order, call in (("ranked", funnel.recommend), ("visit_count", funnel.walk)):
        body = {"user_id": user, "limit": 6, "order": order, "at": MOMENT.isoformat()}

        async def post(body: dict[str, object] = body) -> httpx.Response:
            with InProcess(opened) as inside:
                async with httpx.AsyncClient(transport=inside.transport, base_url=URL) as client:
                    return await client.post("/v1/homefeed/recommendations", json=body)

        theirs = asyncio.run(post()).json()["pins"]
        ours = call("homefeed", user_id=user, limit=6, at=MOMENT)
        assert [(pin.pin_id, pin.score) for pin in ours.pins] == [(pin["pin_id"], pin["score"]) for pin in theirs]
    told = funnel.explain("homefeed", user_id=user, at=MOMENT).pins[0].explanation
    assert told is not None
    assert told.lightweight_top_features


def test_it_answers_with_the_arms_that_a_server_would(tmp_path: Path) -> None:
    process = opened_world(tmp_path).new_process()
    arms = {"control": {}, "treatment": {"set": {"sizes.answer": 7}}}
    experiment = Experiment.model_validate({"name": "e", "clients": ["homefeed"], "arms": arms})
    process.experiments.start(experiment)
    funnel = pinfunnel.open(tmp_path / "pinfunnel.yaml")
    for user in range(1, 9):
        answer = funnel.recommend("homefeed", user_id=user, at=MOMENT)
        arm = list(arms)[arm_of(experiment, user, NOW)]
        assert answer.experiments == [f"e/{arm}"]
        assert (len(answer.pins) == 7) == (arm == "treatment")
    process.experiments.stop("e")
    funnel.refresh()
    assert funnel.recommend("homefeed", user_id=1, at=MOMENT).experiments is None


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    opened_world(tmp_path / "built")
    funnel = pinfunnel.open(tmp_path / "built" / "pinfunnel.yaml")
    with pytest.raises(ConfigError, match="unknown client 'nobody'"):
        funnel.recommend("nobody", user_id=1)
    with pytest.raises(ConfigError, match="user_id: ids of this project are int64"):
        funnel.recommend("homefeed", user_id="x")
    with pytest.raises(ConfigError, match="filter"):
        funnel.recommend("homefeed", user_id=1, filter={"attribute": "colour", "=": 1})
    with pytest.raises(BundleError, match="no graph"):
        pinfunnel.open(toy_project(tmp_path / "new"))
    with pytest.raises(AttributeError, match="AsyncFunnel, Funnel, open"):
        pinfunnel.close  # noqa: B018
