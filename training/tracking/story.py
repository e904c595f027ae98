"""One version of a ranker as an experiment tracker wants it: parameters, figures, figures by step, tags. Pure.

All of it comes from the version's manifest and the history of its fit, so that it can also be told long after training.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from training.registry.details import Details
from training.registry.differences import flat

MEASURED = "metrics"
"""What of a manifest is figures; all else that it says was chosen, or counted before."""
GATE = "gate"
SHARE = "share_of_gain"
"""Of all splits of the trees, by feature."""
LONGEST = 500
"""Characters of a value; more of it is cut."""
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_./ -]")


@dataclass(frozen=True)
class Story:
    """`steps`: name of a figure → its value after each round or epoch."""

    kind: str
    version: str
    params: Mapping[str, str]
    figures: Mapping[str, float]
    steps: Mapping[str, tuple[float, ...]]
    tags: Mapping[str, str]

    @property
    def name(self) -> str:
        """Of the run."""
        return f"{self.kind} {self.version}"


def story_of(details: Details) -> Story:
    """What is to be told of a version. The few figures that tell versions of its kind apart have short names.

    Names keep letters, digits and `_ - . /`; `@` becomes `_at_`. The mean of a figure has the figure's name, beside
    `/low` and `/high` of its interval.
    """
    version = details.version
    chosen = {name: value for name, value in version.meta.items() if name not in (MEASURED, GATE)}
    params = {
        plain(name): f"{value:.6g}" if isinstance(value, float) else str(value)[:LONGEST]
        for name, value in flat(chosen)
        if value is not None
    }
    measured = flat({**version.meta.get(MEASURED, {}), SHARE: details.importance})
    figures = {
        plain(name.removesuffix(".mean").replace(".", "/")): float(value)  # trackers group figures by what is before /
        for name, value in (*measured, *version.figures.items())
        if isinstance(value, (int, float)) and math.isfinite(value)
    }
    steps = {plain(f"{curve.over}/{curve.name}"): curve.values for curve in details.curves}
    gate = version.meta.get(GATE, {})
    tags = {
        "pinfunnel.kind": version.kind,
        "pinfunnel.version": version.version,
        "pinfunnel.gate": str(gate.get("reason", "")),
    }
    return Story(version.kind, version.version, params, figures, steps, tags)


def plain(name: str) -> str:
    """A name that trackers take."""
    return NOT_IN_NAMES.sub("_", name.replace("@", "_at_"))
