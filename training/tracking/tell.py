"""Tells a tracking server of trained rankers, where one is set.

It never fails training: one warning counts what is untold, and says why.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from cluster.errors import in_short
from cluster.kinds import FULL, lightweight
from cluster.settings.project import Project
from cluster.settings.telemetry import MlflowSettings
from cluster.store.bundles import BundleStore
from training.registry.details import read_details
from training.registry.versions import PUBLISHED, find_version, read_kind
from training.tracking.mlflow_server import MlflowServer
from training.tracking.story import Story, story_of

log = logging.getLogger(__name__)

Named = tuple[str, str]
"""(kind, version)"""


class TrackingServer(Protocol):
    """Whoever keeps runs."""

    address: str

    def tell(self, story: Story, folder: Path, published: bool) -> str:
        """The id of the run."""
        ...


@dataclass(frozen=True)
class Told:
    """What came of it. `reason`: why the rest is `untold`; the first failure ends it, as each may take long."""

    runs: Mapping[Named, str] = field(default_factory=dict)
    untold: tuple[Named, ...] = ()
    reason: str = ""


def tell_versions(
    project: Project, store: BundleStore, versions: Iterable[Named], server: TrackingServer | None = None
) -> Told:
    """Tell the project's server, or `server`, of versions of rankers. Raises nothing; warns once of what is untold."""
    settings = project.telemetry.mlflow
    wanted = [one for one in versions if is_ranker(one[0])]
    if not wanted or (settings is None and server is None):
        return Told()
    runs: dict[Named, str] = {}
    reason = ""
    try:
        server = server or MlflowServer(settings or MlflowSettings())
        known = {kind: read_kind(store, kind) for kind in dict(wanted)}
        for kind, name in wanted:
            version = find_version(store, known[kind], name)
            story = story_of(read_details(store, version))
            runs[kind, name] = server.tell(story, store.open(kind, name).path, version.state == PUBLISHED)
    except Exception as error:  # of a network, of MLflow, of what a server answers: the model is published all the same
        reason = in_short(error)
    untold = tuple(one for one in wanted if one not in runs)
    if untold:
        log.warning(
            "%d of %d trained version(s) untold to MLflow (%s): `pinfunnel models track` tells them later",
            len(untold),
            len(wanted),
            reason,
        )
    return Told(runs, untold, reason)


def is_ranker(kind: str) -> bool:
    """Whether a kind of bundle is trained from logs with parameters and figures; graphs are not."""
    return kind == FULL or kind.startswith(lightweight(""))
