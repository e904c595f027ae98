"""Packages that only an extra of `pinfunnel` brings: what is said where one is missing, with what installs it."""

import importlib
import importlib.util

from cluster.errors import MissingPackageError

FULL = "full"
"""The extra of whatever computes networks."""


def require(package: str, extra: str, what: str) -> None:
    """Import `package`, which `what` needs. Raises MissingPackageError, in one line, where it is not installed."""
    try:
        importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:  # it is there, and lacks something itself
            raise
        raise MissingPackageError(
            f"{what} needs {package}, which is not installed: pip install 'pinfunnel[{extra}]'"
        ) from None


def require_torch(what: str = "the full ranker") -> None:
    """As `require`, of the package that networks are computed with: seconds and 200 MB of a process."""
    require("torch", FULL, what)


def torch_there() -> bool:
    """Whether torch is installed. Does not import it."""
    try:
        return importlib.util.find_spec("torch") is not None
    except (ImportError, ValueError):
        return False
