"""What lies where below a project's `home`, a local folder or a URI, and beside it."""

from cluster.settings.project import Project
from cluster.store.logs import LogStore


def bundles_root(home: str) -> str:
    """Where a project's bundles lie (cluster.store.bundles)."""
    return f"{home}/bundles"


def control_root(home: str, control: str | None = None) -> str:
    """Where that lies what was asked for by hand, and must outlive bundles and logs (cluster.control)."""
    return control or f"{home}/control"


def logs_root(home: str) -> str:
    """Where a project's logs lie (cluster.store.logs)."""
    return f"{home}/logs"


def logs_of(project: Project, ids: str | None = None) -> LogStore:
    """A project's logs. `ids` as for `LogStore`."""
    return LogStore(logs_root(project.home), ids, logs_root(project.local_home))


def lost_with_local(project: Project) -> str | None:
    """What is lost when the disk of `local` is, in one line; None where `home` holds all."""
    if project.local is None:
        return None
    return (
        f"{project.local} holds what {project.home} cannot: if it is one node's own disk, its loss takes acknowledged "
        "events that are not Parquet yet, what was taken down, who was forgotten, and fresh pins; no other node sees "
        "them: let it be a mount that all nodes share"
    )
