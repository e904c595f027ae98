"""The Serve application: `build` for `serve deploy` and `serve run`, `start` for a server in this process's cluster."""

import os
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application
from ray.serve.schema import TracingConfig

from apps.project import Opened, open_project
from cluster import haproxy
from cluster.closed_port import ClosedPort
from cluster.errors import ConfigError
from cluster.ports import is_loopback
from cluster.settings.project import ServingSettings
from serving.deploy.replicas import (
    EventsDeployment,
    FullDeployment,
    IngressDeployment,
    LightweightDeployment,
    SourceDeployment,
)
from serving.deploy.tracing import EXPORTER
from serving.http.auth import Authorizer
from serving.logs.kafka_client import check_kafka
from serving.logs.redis_client import check_redis
from serving.logs.shard import shards_of

APP = "pinfunnel"
COLOCATED_SLOTS = 2
"""Of an ingress that computes itself: one request in compiled code, one in Python."""
SEPARATE_SLOTS = 16
"""Of an ingress that waits for other processes."""
MOST_PROCESSES = 4


class FunnelArgs(BaseModel):
    """Arguments of the application (`args:` in serve.yaml)."""

    model_config = ConfigDict(extra="forbid")

    project: str = Field("pinfunnel.yaml", description="path of the project file, on every node")
    shape: Literal["separate", "colocated"] | None = Field(None, description="default: the project's")
    ingress_replicas: int = Field(1, ge=1)
    slots: int | None = Field(
        None, ge=1, description="requests that an ingress answers at a time; default: 2 colocated, else 16"
    )
    walker_replicas: int = Field(1, ge=1, description="of the source `walk`")
    source_replicas: int = Field(1, ge=1, description="of each other source of candidates")
    lightweight_replicas: int = Field(1, ge=1)
    full_replicas: int = Field(1, ge=1)
    cpus: float = Field(0.1, ge=0, description="CPUs that each replica reserves; 1 on a cluster, little on a laptop")
    full_gpus: float = Field(0.0, ge=0, description="GPUs that each full replica reserves")
    loopback: bool = Field(False, description="the port is reached from this machine alone, so that it needs no keys")


def build(args: FunnelArgs) -> Application:
    """Compose ingress, sources, lightweight and full. Raises ConfigError when the project file is wrong."""
    opened = open_project(args.project)
    project = opened.project
    clients = opened.clients
    check_access(opened, args.loopback)
    if project.events.kafka is not None:
        check_kafka(project.events.kafka)
    if project.events.state.redis is not None:
        check_redis(project.events.state.redis)
    cpu = {"ray_actor_options": {"num_cpus": args.cpus}}
    events = [
        EventsDeployment.options(name=shard.named("events"), **cpu).bind(project, clients, shard.index)
        for shard in shards_of(project.events.writers)
    ]
    if (args.shape or project.serving.shape) == "colocated":
        return IngressDeployment.options(num_replicas=args.ingress_replicas, **cpu).bind(
            project, clients, events, None, args.slots or COLOCATED_SLOTS, args.ingress_replicas
        )
    gpu = {"ray_actor_options": {"num_cpus": args.cpus, "num_gpus": args.full_gpus}}
    replicas = {"walk": args.walker_replicas}
    stages = {
        **{
            name: SourceDeployment.options(
                name=name, num_replicas=replicas.get(name, args.source_replicas), **cpu
            ).bind(project, clients, name)
            for name in dict.fromkeys(name for client in clients.values() for name in client.sources)
        },
        "lightweight": LightweightDeployment.options(num_replicas=args.lightweight_replicas, **cpu).bind(
            project, clients
        ),
        "full": FullDeployment.options(num_replicas=args.full_replicas, **gpu).bind(project, clients),
    }
    return IngressDeployment.options(num_replicas=args.ingress_replicas, **cpu).bind(
        project, clients, events, stages, args.slots or SEPARATE_SLOTS, args.ingress_replicas
    )


def check_access(opened: Opened, loopback: bool) -> None:
    """Refuse now, with one line, keys that no ingress replica would take; and a server that is open to other machines.

    Raises ConfigError.
    """
    access = opened.project.access
    if Authorizer(access, opened.clients).open and not (loopback or access.open):
        raise ConfigError(
            "access: other machines reach this server, and nobody needs a key: name a file of keys in pinfunnel.yaml, "
            "`access: {keys: keys.yaml}` (`pinfunnel keys new` makes them), or say `access: {open: true}`"
        )


@dataclass(frozen=True)
class Server:
    """A running application."""

    url: str
    host: str
    port: int

    def stop(self, last: bool = False) -> None:
        """Take the application down: requests under way are answered, and queued logs written.

        Serve itself stays until Ray ends, on its port: with no replica left it answers 404 to every request, which no
        client tries again. `last`: this process serves nothing more, so the port is closed first, or answers 503.
        """
        if last:
            self._close_port()
        serve.delete(APP)

    def _close_port(self) -> None:
        if haproxy.stop_listening():
            with suppress(OSError):  # a proxy holds on to it: nobody is answered then
                ClosedPort(self.host, self.port, patience=3.0)


def ingress_processes(settings: ServingSettings, shape: object) -> int:
    """How many processes answer on this machine: in the `shape` colocated one a core, as each computes."""
    if settings.processes:
        return settings.processes
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSES) if shape == "colocated" else 1


def tracing(share: float) -> TracingConfig | None:
    """Serve's settings for traces of a share of requests; None: Serve's own environment variables decide, for none.

    Raises ConfigError where the exporter is not installed.
    """
    if not share:
        return None
    try:
        import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        raise ConfigError("telemetry.trace_share needs an exporter: pip install 'pinfunnel[otel]'") from None
    return TracingConfig(enabled=True, exporter_import_path=EXPORTER, sampling_ratio=share)


def start(path: str, host: str | None = None, port: int | None = None, **args: object) -> Server:
    """Serve a project on the Ray cluster that this process has joined; returns when every stage is healthy."""
    project = open_project(path).project
    settings = project.serving
    args = {"ingress_replicas": ingress_processes(settings, args.get("shape") or settings.shape), **args}
    host, port = host or settings.host, port or settings.port
    args = {"loopback": is_loopback(host), **args}
    application = build(FunnelArgs(project=str(path), **args))  # type: ignore[arg-type]
    serve.start(
        http_options={"host": host, "port": port, "request_timeout_s": 30},
        tracing_config=tracing(project.telemetry.trace_share),
    )
    serve.run(application, name=APP, route_prefix="/")
    return Server(f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}", host, port)  # nosec B104: only told
