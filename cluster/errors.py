"""The one exception tree: errors a user can cause, each one line that says what to do. And any error in a line."""


class PinfunnelError(Exception):
    """Base of all errors that the command line prints without a traceback (exit code 1)."""


class ConfigError(PinfunnelError, ValueError):
    """A YAML file or an argument is wrong."""


class DataError(PinfunnelError, ValueError):
    """Input data breaks the data contract (docs/data.md)."""


class BundleError(PinfunnelError):
    """A bundle is missing, damaged, or made for other features than the reader's."""


class StorageError(PinfunnelError, OSError):
    """An object store cannot be reached, or refuses: to who writes and reads files, what a disk raises."""


class ModelError(PinfunnelError, ValueError):
    """A model cannot be trained, loaded or scored as asked."""


class MissingPackageError(PinfunnelError):
    """What was asked for needs a package that is not installed (cluster/extras.py)."""


def in_short(error: BaseException) -> str:
    """An error in one line of at most 300 characters; of one that is not ours, its type too."""
    text = " ".join(str(error).split())
    if isinstance(error, PinfunnelError) and text:
        return text[:300]
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__
