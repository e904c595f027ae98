"""Forgetting a user deletes what Redis has of them, under the id and under the pseudonym, and of nobody else."""

from pathlib import Path

import pytest

from apps.project import open_project
from cluster.settings.events import EventSettings, StateSettings
from cluster.settings.logs import LogSettings
from serving.deploy.forget import forget_users
from serving.deploy.process import Process
from serving.logs.redis_client import key_of_user
from serving.logs.state_bytes import pack_state
from serving.request.ask import UserState
from tests.worlds.redis_server import RedisServer
from tests.worlds.toy import toy_project


def test_no_copy_is_left_and_others_keep_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_KEY", "k" * 32)
    with RedisServer(tmp_path / "redis") as redis:
        opened = open_project(toy_project(tmp_path / "site"))
        events = EventSettings(state=StateSettings(redis=redis.settings))
        logs = LogSettings(pseudonym_key_env="LOG_KEY")
        process = Process(opened.project.model_copy(update={"events": events, "logs": logs}), opened.clients)
        names = process.pseudonyms
        for user in (7, names.of(7), 8, names.of(8)):
            redis.client.set(key_of_user(redis.settings, user), pack_state(UserState(hidden=(1,)), "tag"))
        forget_users(process, [7])
        left = {user: redis.client.get(key_of_user(redis.settings, user)) for user in (7, names.of(7), 8, names.of(8))}
    assert [value is None for value in left.values()] == [True, True, False, False]
