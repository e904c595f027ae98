"""One server for all tests of this folder: keys, traces and every log line, each stage a deployment of its own."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from apps.faults.server import ServerUnderFault
from apps.project import open_project
from cluster.catalog.build import build_catalog
from tests.worlds.keys import KeyFiles
from tests.worlds.outside import Collector, Seen, soon
from tests.worlds.toy import toy_project


@pytest.fixture(scope="package")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    folder = tmp_path_factory.mktemp("seen")
    files = KeyFiles(folder)
    keys = {scope: files.add(scope, scope) for scope in ("recommend", "events", "admin")}
    settings = {
        "serving": {"shape": "separate", "deadline_ms": 30_000},
        "access": {"keys": "keys.yaml"},
        "telemetry": {"log_share": 1.0, "trace_share": 1.0},
    }
    path = toy_project(folder, settings=settings)
    opened = open_project(path)
    build_catalog(opened.project, opened.new_process().store, in_memory=True)
    collector = Collector()
    ray = Path(tempfile.mkdtemp(dir="/tmp", prefix="pf"))  # the path of a socket may have 107 characters
    environment = {
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "RAY_TMPDIR": str(ray),
        "RAY_metrics_report_interval_ms": "1000",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_SERVICE_NAME": "toy-site",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with pytest.MonkeyPatch.context() as patch:  # as a user's shell has it, whatever Ray has set for this process
        for name in list(os.environ):
            if name.startswith(("RAY_", "PINFUNNEL_")):
                patch.delenv(name)
        server = ServerUnderFault(path, {}, environment)
    made = Seen(opened, server, keys, ray, collector)
    try:
        server.up()  # an ingress is ready while a stage still starts: then it is `degraded`
        soon(lambda: made.get("/readyz").json()["status"], lambda status: status == "ok", 300.0)
        yield made
    finally:
        server.stop()
        collector.close()
        shutil.rmtree(ray, ignore_errors=True)
