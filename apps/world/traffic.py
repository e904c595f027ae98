"""What a simulation counted, per client, arm and user; it goes to JSON and back. NumPy only."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cluster.errors import DataError


@dataclass
class Traffic:
    """Counts over C clients, R arms and U users (`users` holds world indices). `expected` sums true probabilities."""

    clients: tuple[str, ...]
    arms: tuple[str, ...]
    actions: tuple[str, ...]
    users: np.ndarray  # int64[U]
    requests: np.ndarray = field(repr=False)  # int64[C, R, U]
    shown: np.ndarray = field(repr=False)  # int64[C, R, U]
    did: np.ndarray = field(repr=False)  # int64[C, R, U, A]
    expected: np.ndarray = field(repr=False)  # float64[C, R, U, A]
    milliseconds: list[float] = field(default_factory=list, repr=False)  # per answer, seen from the front end
    degraded: dict[str, int] = field(default_factory=dict)  # answers by the reason they were degraded
    sources: dict[str, int] = field(default_factory=dict)  # answers by source: walk or popular
    versions: dict[str, dict[str, int]] = field(default_factory=dict)  # stage -> version -> answers
    seconds: float = 0.0
    retried: int = 0

    @classmethod
    def empty(
        cls, clients: tuple[str, ...], arms: tuple[str, ...], actions: tuple[str, ...], users: np.ndarray
    ) -> "Traffic":
        """All counts at zero."""
        size = (len(clients), len(arms), len(users))
        whole = (*size, len(actions))
        return cls(
            clients,
            arms,
            actions,
            np.asarray(users, np.int64),
            np.zeros(size, np.int64),
            np.zeros(size, np.int64),
            np.zeros(whole, np.int64),
            np.zeros(whole),
        )

    def note_answer(self, milliseconds: float, source: str, degraded: str, versions: dict[str, str | None]) -> None:
        """Count one answer's circumstances."""
        self.milliseconds.append(milliseconds)
        self.sources[source] = self.sources.get(source, 0) + 1
        if degraded:
            self.degraded[degraded] = self.degraded.get(degraded, 0) + 1
        for stage, version in versions.items():
            seen = self.versions.setdefault(stage, {})
            seen[str(version)] = seen.get(str(version), 0) + 1

    def quantile(self, share: float) -> float:
        """Milliseconds within which this share of the answers came; NaN before the first."""
        return float(np.quantile(self.milliseconds, share)) if self.milliseconds else float("nan")

    def rate(self, client: str, arm: str, action: str) -> float:
        """Actions per impression; NaN when nothing was shown."""
        at = self.clients.index(client), self.arms.index(arm)
        shown = int(self.shown[at].sum())
        return float(self.did[at][:, self.actions.index(action)].sum() / shown) if shown else float("nan")

    def save(self, path: str | Path) -> None:
        """Write as JSON."""
        body: dict[str, Any] = dict(vars(self))
        for name in ("users", "requests", "shown", "did", "expected"):
            body[name] = body[name].tolist()
        Path(path).write_text(json.dumps(body))

    @classmethod
    def load(cls, path: str | Path) -> "Traffic":
        """Read what `save` wrote. Raises DataError on anything else."""
        try:
            body = json.loads(Path(path).read_text())
            for name in ("clients", "arms", "actions"):
                body[name] = tuple(body[name])
            for name in ("users", "requests", "shown", "did"):
                body[name] = np.array(body[name], np.int64)
            body["expected"] = np.array(body["expected"], np.float64)
            return cls(**body)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise DataError(f"{path}: not a traffic file written by `pinfunnel simulate` ({error})") from None
