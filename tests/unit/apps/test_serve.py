"""How many processes of a server answer, and which shape decides."""

import os

import pytest

from apps import serve
from cluster.settings.project import ServingSettings


@pytest.mark.parametrize(
    ("shape", "said", "processes"),
    [("separate", None, 1), ("colocated", None, 3), ("colocated", "separate", 1), ("separate", "colocated", 3)],
)
def test_the_shape_that_is_started_decides_how_many_answer(
    monkeypatch: pytest.MonkeyPatch, shape: str, said: str | None, processes: int
) -> None:
    class Settings:
        serving = ServingSettings.model_validate({"shape": shape, "host": "127.0.0.1", "port": 8123})

    class Opened:
        project = Settings

    started: list[serve.FunnelArgs] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr(serve, "open_project", lambda _: Opened)
    monkeypatch.setattr(serve, "build", started.append)
    monkeypatch.setattr(serve.serve, "start", lambda **_: None)
    monkeypatch.setattr(serve.serve, "run", lambda *_, **__: None)
    serve.start("pinfunnel.yaml", **({} if said is None else {"shape": said}))
    assert [args.ingress_replicas for args in started] == [processes]
