"""The Serve application: `build` for `serve deploy` and `serve run`, `start` for a server in this process's cluster."""

import logging
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application
from ray.serve.schema import TracingConfig
from starlette.types import ASGIApp

from apps.project import Opened, open_project, project_of
from apps.server import APP as APP
from apps.server import Server as Server
from apps.web.app import console_app
from cluster.errors import ConfigError
from cluster.ports import is_loopback
from cluster.settings.clients import WALK
from cluster.settings.parsing import near
from cluster.settings.project import ServingSettings
from cluster.settings.resources import CustomResources, GpuShare
from cluster.store.home import lost_with_local
from serving.deploy.deployments import source_deployments
from serving.deploy.process import Process
from serving.deploy.replicas import (
    EventsDeployment,
    FullDeployment,
    IngressDeployment,
    LightweightDeployment,
    SourceDeployment,
)
from serving.deploy.reserved import Replicas
from serving.deploy.tracing import EXPORTER
from serving.http.auth import Authorizer
from serving.http.inside import Inside
from serving.logs.kafka_client import check_kafka
from serving.logs.redis_client import check_redis
from serving.logs.shard import shards_of

log = logging.getLogger(__name__)

CHECKOUT = Path(__file__).parents[1]
"""The folder that the launchers copy to every node, with what a user keeps in it."""
COLOCATED_SLOTS = 2
"""Of an ingress that computes itself: one request in compiled code, one in Python."""
SEPARATE_SLOTS = 16
"""Of an ingress that waits for other processes."""
MOST_PROCESSES = 4


class FunnelArgs(BaseModel):
    """Arguments of the application (`args:` in serve.yaml)."""

    model_config = ConfigDict(extra="forbid")

    project: str | dict[str, Any] = Field(
        "pinfunnel.yaml",
        description="path of the project file on the node that builds the application, if relative from the checkout "
        "there; or the settings themselves, which `pinfunnel deploy` writes in its stead",
    )
    shape: Literal["separate", "colocated"] | None = Field(None, description="default: the project's")
    ingress_replicas: int = Field(1, ge=1, description="processes that answer HTTP; colocated they compute, too")
    slots: int | None = Field(
        None, ge=1, description="requests that an ingress answers at a time; default: 2 colocated, else 16"
    )
    walker_replicas: int = Field(1, ge=1, description="of the source `walk`, of each part of the graph")
    source_replicas: int = Field(1, ge=1, description="of each other source of candidates")
    lightweight_replicas: int = Field(1, ge=1, description="of the lightweight ranker")
    full_replicas: int = Field(1, ge=1, description="of the full ranker")
    cpus: float = Field(0.1, ge=0, description="CPUs that each replica reserves; 1 on a cluster, little on a laptop")
    full_gpus: GpuShare = Field(0.0, description="GPUs that each full replica reserves; 0.25: four share one")
    resources: dict[str, CustomResources] = Field(
        {}, description="deployment, as `walk` or `full` -> custom resources that each replica of it reserves"
    )
    loopback: bool = Field(False, description="the port is reached from this machine alone, so that it needs no keys")


def build(args: FunnelArgs) -> Application:
    """Compose ingress, sources, lightweight and full. Raises ConfigError when the project file is wrong."""
    opened = project_of(args.project) if isinstance(args.project, dict) else open_project(_found(args.project))
    project = opened.project
    clients = opened.clients
    check_access(opened, args.loopback)
    if risk := lost_with_local(project):
        log.warning(risk)
    if project.events.kafka is not None:
        check_kafka(project.events.kafka)
    if project.events.state.redis is not None:
        check_redis(project.events.state.redis)
    planned = replicas_of(args, opened)
    events = [
        EventsDeployment.options(**planned[shard.named("events")].options()).bind(project, clients, shard.index)
        for shard in shards_of(project.events.writers)
    ]
    ingress = IngressDeployment.options(**planned["ingress"].options())
    among = (args.ingress_replicas, args.loopback, console_of(opened, args.loopback))
    if _shape(args, opened) == "colocated":
        return ingress.bind(project, clients, events, None, args.slots or COLOCATED_SLOTS, *among)
    stages = {
        **{
            name: SourceDeployment.options(**planned[name].options()).bind(project, clients, *source)
            for name, source in sources_of(opened).items()
        },
        "lightweight": LightweightDeployment.options(**planned["lightweight"].options()).bind(project, clients),
        "full": FullDeployment.options(**planned["full"].options()).bind(project, clients),
    }
    return ingress.bind(project, clients, events, stages, args.slots or SEPARATE_SLOTS, *among)


def console_of(opened: Opened, loopback: bool) -> Callable[[Process, Inside], ASGIApp] | None:
    """What makes the console of each ingress; None where there is to be none: `access.console` decides, if it is said.

    Else it is there behind a file of keys, and without keys where only this machine reaches the server.
    """
    access = opened.project.access
    usual = access.keys is not None or (loopback and Authorizer(access, opened.clients).open and not access.open)
    return console_app if (usual if access.console is None else access.console) else None


def replicas_of(args: FunnelArgs, opened: Opened) -> dict[str, Replicas]:
    """The replicas of each deployment of the application, by its name.

    Raises ConfigError where `resources` names a deployment that it does not have.
    """
    counts = {"ingress": args.ingress_replicas}
    counts |= {shard.named("events"): 1 for shard in shards_of(opened.project.events.writers)}
    if _shape(args, opened) == "separate":
        counts |= {
            name: args.walker_replicas if source == WALK else args.source_replicas
            for name, (source, _) in sources_of(opened).items()
        }
        counts |= {"lightweight": args.lightweight_replicas, "full": args.full_replicas}
    gpus = {"full": args.full_gpus}
    sources = sources_of(opened)
    asks = {name: sources[name][0] if name in sources else name for name in counts}
    known = dict.fromkeys(asks.values())
    for name in args.resources:
        if name not in known:
            raise ConfigError(f"args.resources.{name}: no such deployment{near(name, known)}: have {', '.join(known)}")
    return {
        name: Replicas(name, count, args.cpus, gpus.get(name, 0.0), args.resources.get(asks[name], {}))
        for name, count in counts.items()
    }


def sources_of(opened: Opened) -> dict[str, tuple[str, int | None]]:
    """The deployments of all clients' sources of candidates: of which source, and of which part of the graph if any."""
    return source_deployments(opened.project, opened.clients)


def _shape(args: FunnelArgs, opened: Opened) -> str:
    return args.shape or opened.project.serving.shape


def _found(project: str) -> Path:
    """A relative path from here, else from the checkout: Serve builds an application in a folder of Ray's own."""
    here = Path(project)
    there = CHECKOUT / here
    return there if not here.exists() and there.exists() else here


def check_access(opened: Opened, loopback: bool) -> None:
    """Refuse now, with one line, keys that no ingress replica would take; and a server that is open to other machines.

    And logs without the key of their pseudonyms. Raises ConfigError.
    """
    opened.new_process().pseudonyms  # noqa: B018
    access = opened.project.access
    if Authorizer(access, opened.clients).open and not (loopback or access.open):
        raise ConfigError(
            "access: other machines reach this server, and nobody needs a key: name a file of keys in pinfunnel.yaml, "
            "`access: {keys: keys.yaml}` (`pinfunnel keys new` makes them), or say `access: {open: true}`"
        )


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
    asked = FunnelArgs(project=str(path), **args)  # type: ignore[arg-type]
    application = build(asked)
    serve.start(
        http_options={"host": host, "port": port, "request_timeout_s": 30},
        tracing_config=tracing(project.telemetry.trace_share),
    )
    serve.run(application, name=APP, route_prefix="/")
    url = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # nosec B104: only told
    return Server(url, host, port, asked.ingress_replicas)
