"""What a server is started with: how many processes answer, which shape decides, and whether Serve traces."""

import os
import sys
from importlib import import_module

import pytest

from apps import serve
from cluster.errors import ConfigError
from cluster.settings.project import ServingSettings
from cluster.settings.telemetry import TelemetrySettings


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
