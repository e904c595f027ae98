"""The demo's folder: emptied by the next run, and never one that holds anything else."""

import shutil
from pathlib import Path

from cluster.errors import ConfigError

MARK = ".pinfunnel-demo"


def claim(folder: Path) -> None:
    """Empty an earlier demo's folder; refuse one that holds anything else. Raises ConfigError."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).exists():
        raise ConfigError(f"{folder} holds files that no demo wrote: name an empty or new folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).write_text("Written by `pinfunnel demo`, which empties this folder when it runs again.\n")
