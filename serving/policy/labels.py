"""Policy labels: which pins a client must not show, or shows with a lower score. Knows nothing of scores and requests.

A label is a value of one of the project's categorical pin columns (`features.pin_categorical`), so labels travel with
the user's own data: a `rating` column with `adult` in it, a `licence` column with `withdrawn`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cluster.errors import ConfigError
from cluster.features.columns import category_code
from cluster.settings.clients import Client, PolicySettings

MOST = 62
"""Labels of one client: bits of a signed 64-bit integer."""


@dataclass(frozen=True)
class LabelRules:
    """Bit i of a pin's label set says whether its column `columns[i]` holds `codes[i]`."""

    columns: tuple[str, ...]  # of FeatureSet.pin
    codes: tuple[float, ...]
    forbidden: int  # bit set
    demoted: tuple[tuple[int, float], ...]  # (bit set, factor)

    @classmethod
    def of(cls, policy: PolicySettings) -> "LabelRules":
        """The rules of a client's `policy.forbid` and `policy.demote`."""
        named: list[tuple[str, str, float | None]] = []
        named += [(column, value, None) for column, values in policy.forbid.items() for value in values]
        named += [(column, value, f) for column, values in policy.demote.items() for value, f in values.items()]
        if len(named) > MOST:
            raise ConfigError(f"policy: {len(named)} labels in forbid and demote: at most {MOST} fit")
        codes = category_code(np.array([value for _, value, _ in named], dtype=object))
        return cls(
            tuple(f"pin_{column}" for column, _, _ in named),
            tuple(codes.tolist()),
            sum(1 << i for i, (_, _, factor) in enumerate(named) if factor is None),
            tuple((1 << i, factor) for i, (_, _, factor) in enumerate(named) if factor is not None),
        )

    def bits(self, static: np.ndarray, names: Sequence[str], pins: np.ndarray) -> np.ndarray | None:
        """Label sets of `pins`, int64[n], from the static features of all pins, columns `names`; None without rules."""
        if not self.columns:
            return None
        out = np.zeros(len(pins), np.int64)
        for i, (column, code) in enumerate(zip(self.columns, self.codes, strict=True)):
            out |= (static[pins, names.index(column)] == np.float32(code)).astype(np.int64) << i
        return out


def check_labels(clients: Mapping[str, Client], pin_categorical: Iterable[str]) -> None:
    """Raises ConfigError when a client's policy names a column that the project does not read."""
    known = tuple(pin_categorical)
    for client in clients.values():
        for key in ("forbid", "demote"):
            unknown = sorted(set(getattr(client.policy, key)) - set(known))
            if unknown:
                raise ConfigError(
                    f"client {client.name}: policy.{key}: {unknown[0]!r} is not among features.pin_categorical "
                    f"({', '.join(known) or 'none'}): add the column to pinfunnel.yaml"
                )
