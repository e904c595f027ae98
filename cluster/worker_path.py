"""What Ray's workers import: this package as the process that started them does, whatever lies where it was called."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any


class _Paths(list[str]):
    """Paths that each worker puts before its `sys.path`, one after another: the last of them comes first."""

    def extend(self, paths: Iterable[str]) -> None:
        """Ray adds the folder of the script and the one that it was called in."""
        ours, *_ = self
        super().extend([*paths, ours])


def our_code_first() -> Any:
    """A JobConfig for `ray.init`.

    Ray 2.60 puts the folder of the call before all others (ray/_private/worker.py: connect), and a user's own `apps/`
    would be taken for ours. What only that folder has is found there still.
    """
    from ray.job_config import JobConfig

    return JobConfig(_py_driver_sys_path=_Paths([str(Path(__file__).resolve().parents[1])]))
