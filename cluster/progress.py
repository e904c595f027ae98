"""How far a long piece of work has come, told to whoever shows it: one signature for the whole project."""

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""(name of the step, share of it done from 0 to 1); a step keeps its name from its first report to its last"""


def silent(step: str, share: float) -> None:
    """The default: nobody is shown anything."""


Counted = Callable[[int, int], None]
"""(done, in all) of work whose pieces are alike; the first report tells what was done before this run"""


def uncounted(done: int, total: int) -> None:
    """Counts for nobody."""
