"""The endpoints that start, change, stop and tell of experiments. Whether one may run is not decided here.

What a source of candidates is (its class, or the service that it calls) cannot be told over HTTP: a key does not say
which code a server imports, nor where it sends its users' ids.
"""

from collections.abc import Mapping

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from cluster.errors import ConfigError
from cluster.experiments.definition import Experiment
from cluster.experiments.overrides import changed_client, origin_of
from cluster.experiments.register import Kept, Register
from cluster.settings.clients import Client, SourceSettings
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from cluster.store.home import bundles_root, control_root
from serving.experiments.checks import check_experiment
from serving.http.guard import OF_A_BODY, needs
from serving.http.storing import stored


class KeptExperiment(BaseModel):
    """An experiment that was started; its definition is the last one that was told."""

    experiment: Experiment
    started: str = Field(description="ISO 8601, UTC")
    changed: str
    stopped: str | None = Field(None, description="absent: it runs")


class KeptExperiments(BaseModel):
    """All that were ever started, in the order of their first start."""

    experiments: list[KeptExperiment]


class ExperimentDoor:
    """Holds in every process within seconds, without a restart, and until it is stopped."""

    def __init__(self, project: Project, clients: Mapping[str, Client]):
        self._project = project
        self._clients = clients
        self._register = Register(control_root(project.home, project.control))

    def add_to(self, router: APIRouter) -> None:
        """The routes."""
        add = router.add_api_route
        path = "/v1/experiments"
        add(path, self.all, methods=["GET"], summary="Experiments that run, and those that ended", **needs("admin"))
        add(
            path,
            self.start,
            methods=["POST"],
            summary="Start an experiment, or change the traffic of one",
            **needs("admin", *OF_A_BODY, 503),
        )
        add(
            f"{path}/{{name}}/stop",
            self.stop,
            methods=["POST"],
            summary="Stop an experiment",
            **needs("admin", 404, 503),
        )

    def all(self) -> KeptExperiments:
        """In a thread of its own, as a file is read."""
        return KeptExperiments(experiments=[_told(one) for one in self._register.kept().values()])

    async def start(self, body: Experiment) -> KeptExperiment:
        """Checked like the file of experiments. One that runs may change its part of the layer, and what it reports."""
        try:
            return _told(await stored(self._started, body))
        except ConfigError as error:
            raise HTTPException(422, str(error)) from error

    async def stop(self, name: str) -> KeptExperiment:
        """Its users are answered like all others from then on."""
        try:
            return _told(await stored(self._register.stop, name))
        except ConfigError as error:
            raise HTTPException(404, str(error)) from error

    def _started(self, experiment: Experiment) -> Kept:
        store = BundleStore(bundles_root(self._project.home))
        self._check_sources(experiment)
        check_experiment(experiment, self._register.running(), self._project, self._clients, store)
        return self._register.start(experiment)

    def _check_sources(self, experiment: Experiment) -> None:
        known = {_what(name, source) for client in self._clients.values() for name, source in client.sources.items()}
        for name, arm in experiment.arms.items():
            origin = origin_of(experiment, name)
            for client in experiment.clients:
                if client not in self._clients:
                    continue  # the check names it
                changed = changed_client(self._clients[client], arm.set, origin)
                for entry, source in changed.sources.items():
                    own = ":" in source.use or (source.use or entry) == "external"
                    if own and _what(entry, source) not in known:
                        raise ConfigError(
                            f"{origin}: set.sources.{entry}: no client's file has this source, and what a source "
                            "imports or calls is not told over HTTP: start it from the file of experiments"
                        )


def _what(name: str, source: SourceSettings) -> tuple[str, str]:
    return source.use or name, repr(source.settings)


def _told(kept: Kept) -> KeptExperiment:
    return KeptExperiment(experiment=kept.experiment, started=kept.started, changed=kept.changed, stopped=kept.stopped)
