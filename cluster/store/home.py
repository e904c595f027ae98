"""What lies where below a project's `home`, a local folder or a URI."""


def bundles_root(home: str) -> str:
    """Where a project's bundles lie (cluster.store.bundles)."""
    return f"{home}/bundles"


def logs_root(home: str) -> str:
    """Where a project's logs lie (cluster.store.logs)."""
    return f"{home}/logs"
