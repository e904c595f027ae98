"""What a server is started with: how many processes answer, which shape decides, and whether Serve traces."""

import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from apps import serve
from apps.project import Opened, open_project
from cluster.errors import ConfigError
from cluster.settings.access import AccessSettings
from cluster.settings.project import ServingSettings
from cluster.settings.telemetry import TelemetrySettings
from tests.worlds.keys import KeyFiles
from tests.worlds.toy import toy_project


@pytest.mark.parametrize(
    ("shape", "said", "processes"),
    [("separate", None, 1), ("colocated", None, 3), ("colocated", "separate", 1), ("separate", "colocated", 3)],
)
def test_the_shape_that_is_started_decides_how_many_answer(
    monkeypatch: pytest.MonkeyPatch, shape: str, said: str | None, processes: int
) -> None:
    class Settings:
        serving = ServingSettings.model_validate({"shape": shape, "host": "127.0.0.1", "port": 8123})
        telemetry = TelemetrySettings()

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


def test_replicas_ask_for_what_the_arguments_say_of_their_deployment(tmp_path: Path) -> None:
    opened = open_project(toy_project(tmp_path))
    asked = {"walk": {"memory_heavy": 0.01}, "full": {"accelerator_type:A10G": 0.01}}
    args = serve.FunnelArgs.model_validate({"shape": "separate", "full_gpus": 0.25, "resources": asked})
    planned = serve.replicas_of(args, opened)
    assert {name: one.custom for name, one in planned.items() if one.custom} == asked
    assert {name: one.gpus for name, one in planned.items() if one.gpus} == {"full": 0.25}
    plain = serve.replicas_of(serve.FunnelArgs.model_validate({"shape": "separate"}), opened)
    assert all(one.options()["ray_actor_options"] == {"num_cpus": 0.1} for one in plain.values())


def test_a_graph_in_parts_has_a_deployment_for_the_walk_over_each(tmp_path: Path) -> None:
    opened = open_project(toy_project(tmp_path, settings={"graph": {"shards": 3}}))
    args = {"shape": "separate", "walker_replicas": 2, "resources": {"walk": {"memory_heavy": 0.01}}}
    planned = serve.replicas_of(serve.FunnelArgs.model_validate(args), opened)
    heavy = {name: one.count for name, one in planned.items() if one.custom}
    assert heavy == {"walk-1": 2, "walk-2": 2, "walk-3": 2}
    assert "walk" not in planned
    colocated = serve.replicas_of(serve.FunnelArgs.model_validate({"shape": "colocated"}), opened)
    assert list(colocated) == ["ingress", "events"]
    with pytest.raises(ConfigError, match=r"args\.resources\.walk-1: no such deployment.*did you mean 'walk'"):
        serve.replicas_of(
            serve.FunnelArgs.model_validate({**args, "resources": {"walk-1": {"memory_heavy": 1}}}), opened
        )


@pytest.mark.parametrize(("shape", "name"), [("separate", "wlak"), ("colocated", "walk")])
def test_resources_of_a_deployment_that_there_is_not_are_refused(tmp_path: Path, shape: str, name: str) -> None:
    opened = open_project(toy_project(tmp_path))
    args = serve.FunnelArgs.model_validate({"shape": shape, "resources": {name: {"memory_heavy": 1}}})
    with pytest.raises(ConfigError, match=rf"args\.resources\.{name}: no such deployment.*: have ingress, events"):
        serve.replicas_of(args, opened)


def test_traces_need_the_extra_and_nothing_is_loaded_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    config = serve.tracing(0.25)
    assert config is not None
    assert (config.enabled, config.sampling_ratio) == (True, 0.25)
    module, function = config.exporter_import_path.split(":")
    processors = getattr(import_module(module), function)()
    assert len(processors) == 2, "one takes queries out of spans, one sends them"
    for processor in processors:
        processor.shutdown()
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    assert serve.tracing(0.0) is None
    with pytest.raises(ConfigError, match=r"pinfunnel\[otel\]"):
        serve.tracing(0.25)


def test_the_console_is_there_behind_keys_and_on_this_machine_alone(tmp_path: Path) -> None:
    opened = open_project(toy_project(tmp_path))

    def there(loopback: bool, **access: Any) -> bool:
        settings = AccessSettings(**access)
        project = opened.project.model_copy(update={"access": settings})
        return serve.console_of(Opened(project, opened.clients), loopback) is not None

    files = KeyFiles(tmp_path)
    assert there(loopback=False, keys=str(files.path))
    assert there(loopback=True)
    assert not there(loopback=False)
    assert not there(loopback=True, open=True)
    assert not there(loopback=True, console=False)
    assert not there(loopback=False, keys=str(files.path), console=False)
    assert there(loopback=False, open=True, console=True)
