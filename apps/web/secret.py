"""What sessions of the console are signed with: 32 random bytes beside the project's orders, the same for all replicas.

Hashes of keys would do for it, but whoever reads the file of keys could then make sessions, and is to gain nothing.
"""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from cluster.errors import ConfigError

FILE = "console.secret"
BYTES = 32


def read_secret(folder: str | Path) -> bytes:
    """The project's secret, made by whoever asks first. Raises ConfigError where it cannot be kept."""
    path = Path(folder) / FILE
    try:
        if not path.exists():
            _make(path)
        found = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}: the console keeps the secret of its sessions there") from None
    if len(found) != BYTES:
        raise ConfigError(f"{path}: not {BYTES} bytes: remove it, and everybody signs in again")
    return found


def _make(path: Path) -> None:
    """Of several that come at once, the first one's holds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{FILE}.{secrets.token_hex(8)}")
    made = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(made, "wb") as file:
            file.write(secrets.token_bytes(BYTES))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(aside, path)
    finally:
        aside.unlink()
