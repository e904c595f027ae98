"""The one exception tree: errors a user can cause, each one line of text that says what to do."""


class PinfunnelError(Exception):
    """Base of all errors that the command line prints without a traceback (exit code 1)."""


class ConfigError(PinfunnelError, ValueError):
    """A YAML file or an argument is wrong."""


class DataError(PinfunnelError, ValueError):
    """Input data breaks the data contract (docs/data.md)."""


class BundleError(PinfunnelError):
    """A bundle is missing, damaged, or made for other features than the reader's."""


class ModelError(PinfunnelError, ValueError):
    """A model cannot be trained, loaded or scored as asked."""
