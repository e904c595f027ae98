"""Whether an experiment can be answered: its clients, actions, settings and models, alone and beside those that run.

Asked before it is started, by the command and the endpoint. Reads manifests of bundles, no other data.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.errors import BundleError, ConfigError
from cluster.experiments.definition import Experiment
from cluster.experiments.overrides import changed_client, check_paths, origin_of
from cluster.features.assemble import FeatureSet
from cluster.settings.clients import Client, check_actions
from cluster.settings.parsing import near
from cluster.settings.project import Project
from cluster.store.bundles import Bundle, BundleStore
from serving.candidates.pool import SourcePool
from serving.experiments.plan import MOST, Plan
from serving.policy.checks import check_clients

FIGURES = ("milliseconds", "degraded")
"""Guardrails that are no actions."""
MOST_MEETINGS = 4096


def check_experiment(
    experiment: Experiment,
    running: Sequence[Experiment],
    project: Project,
    clients: Mapping[str, Client],
    store: BundleStore | None = None,
) -> None:
    """Raises ConfigError that names experiment, arm and field. `store`: where pinned versions are; None: not asked."""
    where = f"experiment {experiment.name}"
    for client in experiment.clients:
        if client not in clients:
            raise ConfigError(
                f"{where}: clients: unknown client {client!r}{near(client, clients)}; clients: {', '.join(clients)}"
            )
    _known(where, "action", [experiment.action], project.actions)
    _known(where, "guardrails", experiment.guardrails, (*project.actions, *FIGURES))
    for name, arm in experiment.arms.items():
        origin = origin_of(experiment, name)
        check_paths(arm.set, origin)
        for client in experiment.clients:
            _check_client(changed_client(clients[client], arm.set, origin), clients[client], project, origin)
        if store is not None:
            for kind, version in arm.versions.items():
                _check_version(store, kind, version, project, origin)
    _check_meetings(experiment, running, clients)


def _known(where: str, field: str, told: Sequence[str], known: Sequence[str]) -> None:
    for each in told:
        if each not in known:
            raise ConfigError(f"{where}: {field}: unknown {each!r}{near(each, known)}; known are {', '.join(known)}")


def _check_client(changed: Client, before: Client, project: Project, origin: str) -> None:
    check_actions(changed, project.actions, origin)
    if changed.allotment.learned and not before.allotment.learned:
        raise ConfigError(
            f"{origin}: set.allotment.learned: learned quotas are loaded where the client's file says so: say it "
            "there, and let this experiment's control set it to false"
        )
    try:
        check_clients({changed.name: changed}, project.features)
        SourcePool().sources_of(changed)
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{origin}: {error}") from None


def check_pinned(store: BundleStore, kind: str, version: str, project: Project) -> None:
    """Raises BundleError where a version is not stored, or was made for other features or ids. Opens no model."""
    meta = store.manifest(kind, version).meta
    Bundle(kind, version, Path(), meta).require_schema(FeatureSet.of(project.features)).require_ids(project.ids)


def _check_version(store: BundleStore, kind: str, version: str, project: Project, origin: str) -> None:
    try:
        check_pinned(store, kind, version, project)
    except BundleError as error:
        raise ConfigError(f"{origin}: versions.{kind}: {error}") from None


def _check_meetings(experiment: Experiment, running: Sequence[Experiment], clients: Mapping[str, Client]) -> None:
    """All arms that meet in one request must fit the client together."""
    beside = [each for each in running if each.name != experiment.name]
    plan = Plan([*beside, experiment])
    for client in experiment.clients:
        if plan.count_meetings(client) > MOST_MEETINGS:
            raise ConfigError(f"experiment {experiment.name}: {client} is in too many layers: {_SHARE}")
    met = [arm for arm in plan.settings() if arm.client in experiment.clients]
    if len(met) > MOST:
        raise ConfigError(
            f"experiment {experiment.name}: with those that run, requests would meet {len(met)} different settings, "
            f"and at most {MOST} are kept ready: {_SHARE}"
        )
    for arm in met:
        arm.applied_to(clients[arm.client])


_SHARE = "put experiments into one layer, where no user is in two of them"
