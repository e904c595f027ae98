"""All that one version tells of itself: its manifest, how its fit went round by round, which features its trees use."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.kinds import lightweight
from cluster.store.bundles import BundleStore
from cluster.store.damage import opening
from training.registry.versions import Version

HISTORY = "history.json"
"""A file of the bundle: one object a round or an epoch, or nothing."""

COUNTED = ("epoch", "step", "seconds")
"""What a row says beside its figures."""


@dataclass(frozen=True)
class Curve:
    """A figure of the fit, after each round or epoch."""

    name: str
    over: str  # what is counted: rounds or epochs
    values: tuple[float, ...]


@dataclass(frozen=True)
class Details:
    """`importance`: feature → share of the gain of all splits, the greatest first; empty where there are no trees."""

    version: Version
    curves: tuple[Curve, ...]
    importance: Mapping[str, float]
    files: Mapping[str, int]  # name → bytes


def read_details(store: BundleStore, version: Version) -> Details:
    """Opens the version, checksums compared. Raises BundleError when it is damaged."""
    bundle = store.open(version.kind, version.version)
    trees = version.kind.startswith(lightweight(""))
    paths = sorted(path for path in bundle.path.rglob("*") if path.is_file())
    return Details(
        version,
        tuple(_curves(bundle.path / HISTORY, "rounds" if trees else "epochs", bundle.meta.get("actions", ()))),
        gain_shares(bundle.path / "model.ubj") if trees else {},
        {str(path.relative_to(bundle.path)): path.stat().st_size for path in paths},
    )


def gain_shares(model: Path) -> dict[str, float]:
    """Feature → its share of the gain of all splits of the trees, the greatest first. Raises BundleError."""
    import xgboost as xgb

    with opening(str(model), "publish another version"):
        booster = xgb.Booster(model_file=model)
        gains = {str(name): float(gain) for name, gain in booster.get_score(importance_type="total_gain").items()}
    total = sum(gains.values()) or 1.0
    return dict(sorted(((name, gain / total) for name, gain in gains.items()), key=lambda one: -one[1]))


def _curves(path: Path, over: str, actions: Sequence[str]) -> Sequence[Curve]:
    """The figures of a history's rows by name; one that has a number for each action is as many curves."""
    if not path.is_file():
        return ()
    with opening(str(path), "publish another version"):
        rows = json.loads(path.read_text())
        names = dict.fromkeys(name for row in rows for name in row if name not in COUNTED)
        found: list[Curve] = []
        for name in names:
            values = [row[name] for row in rows if name in row]
            if all(isinstance(one, list) for one in values):
                parts = zip(*values, strict=True)
                found += [
                    Curve(f"{name}, {a}", over, tuple(map(float, p))) for a, p in zip(actions, parts, strict=False)
                ]
            else:
                found.append(Curve(name, over, tuple(map(float, values))))
    return found
