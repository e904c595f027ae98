"""A step of the clock of a server's own processes, by libfaketime, which stands between them and the C library.

Monotonic clocks go on, as they do when a machine's clock is set. The machine's own clock is left alone.
"""

import importlib.util
from pathlib import Path

from apps.faults.fault import CannotFault, Ground, ServerFault

WHERE = "vendor/libfaketime/src/libfaketime.so.1"
STEP_FILE = "clock-step"


class ClockStep(ServerFault):
    """The server's clock jumps, and jumps back after `hold`."""

    ground = "clock"
    hold = 8.0

    def __init__(self, step: str, words: str):
        self.step = step
        self.name = f"clock{step}"
        self.about = f"the server's clock jumps {words}, and back after {self.hold:.0f} s"

    def make(self, ground: Ground) -> str:
        """Jump."""
        set_step(ground.site.path.parent, self.step)
        return ""

    def mend(self, ground: Ground) -> str:
        """Jump back."""
        set_step(ground.site.path.parent, "+0")
        return ""


def environment(folder: Path) -> dict[str, str]:
    """Variables of a server whose clock `set_step` moves. Raises CannotFault without the library."""
    found = importlib.util.find_spec("libfaketime")
    library = Path(found.origin).parent / WHERE if found and found.origin else None
    if library is None or not library.exists():
        raise CannotFault("no library stands between a process and its clock: pip install 'pinfunnel[faults]'")
    set_step(folder, "+0")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(folder / STEP_FILE),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_NO_CACHE": "0",
    }


def set_step(folder: Path, step: str) -> None:
    """Seconds to be added to the clock, like `+3600`; processes see it within a second."""
    aside = folder / f".{STEP_FILE}"
    aside.write_text(f"{step}\n")
    aside.replace(folder / STEP_FILE)
