"""The pinned list of built-in features, with their values of one small input.

`python -m tests.unit.cluster.features.golden` writes the list anew, unless a feature changed under its version.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from cluster.features.assemble import FeatureSet, build_features, fill_pin_columns
from cluster.settings.project import FeatureSettings
from tests.unit.cluster.features.given import pins, random_request

FILE = Path(__file__).with_name("golden_features.json")
COMMAND = "python -m tests.unit.cluster.features.golden"
ACTIONS = ("save", "hide")
SEED, WIDTH = 2332, 3  # a request in which most is known, and one candidate has no locale and one no vector
Entry = dict[str, Any]


def present() -> list[Entry]:
    """All built-in features in the order of their registration: name, side, type, version, and the values."""
    features = FeatureSet.of(FeatureSettings(pin_vector_width=WIDTH, history_actions=ACTIONS))
    request = random_request(
        seed=SEED, n=4, queries=2, recents=3, topics=4, width=WIDTH, own=0, static=len(features.pin)
    )
    block = build_features(features, request)
    values = dict(zip(features.shared, block.shared[:, None], strict=True))
    values |= dict(zip(features.candidate, block.candidates.T, strict=True))
    static = np.zeros((4, len(features.pin)), np.float32)
    fill_pin_columns(features, pins(), static)
    values |= dict(zip(features.pin, static.T, strict=True))
    return [
        {
            "name": f.name,
            "side": f.side,
            "type": f.dtype,
            "version": f.version,
            "values": [None if np.isnan(value) else float(f"{value:.6g}") for value in values[f.name]],
        }
        for f in features.features
    ]


def stored() -> list[Entry]:
    """What the file pins."""
    return list(json.loads(FILE.read_text(encoding="utf-8")))


def changed_under_its_version(before: list[Entry], after: list[Entry]) -> list[str]:
    """One line for each feature whose side, type or values changed while its version stayed."""
    now = {entry["name"]: entry for entry in after}
    lines = []
    for old in before:
        new = now.get(old["name"])
        if new is None or new["version"] != old["version"]:
            continue
        for key in ("side", "type", "values"):
            if not _same(old[key], new[key]):
                lines.append(
                    f"{old['name']}: {key} was {old[key]} and is {new[key]}, both as version {old['version']}: "
                    f"raise the version in cluster/features/{new['side']}.py, or take the change back"
                )
    return lines


def moved(before: list[Entry], after: list[Entry]) -> list[str]:
    """What else differs: features that came, went, changed their version or their column."""
    was, now = ([f"{entry['name']} (version {entry['version']})" for entry in entries] for entries in (before, after))
    lines = [f"new: {name}" for name in now if name not in was] + [f"gone: {name}" for name in was if name not in now]
    if not lines and was != now:
        lines = ["the order of the columns"]
    return lines


def _same(old: Any, new: Any) -> bool:
    if not isinstance(old, list):
        return bool(old == new)
    left, right = (np.array(values, dtype=float) for values in (old, new))
    return left.shape == right.shape and np.allclose(left, right, rtol=1e-4, atol=1e-6, equal_nan=True)


def write(entries: list[Entry]) -> None:
    """Pins `entries`, one a line."""
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    changed = changed_under_its_version(stored() if FILE.exists() else [], present())
    if changed:
        sys.exit("\n".join(changed))
    write(present())
    print(f"wrote {FILE}")
