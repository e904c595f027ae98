"""What lies where below a project's `home`, a local folder or a URI."""


def bundles_root(home: str) -> str:
    """Where a project's bundles lie (cluster.store.bundles)."""
    return f"{home}/bundles"


def control_root(home: str, control: str | None = None) -> str:
    """Where that lies what was asked for by hand, and must outlive bundles and logs (cluster.control)."""
    return control or f"{home}/control"


def logs_root(home: str) -> str:
    """Where a project's logs lie (cluster.store.logs)."""
    return f"{home}/logs"
