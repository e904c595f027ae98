"""Policy labels: which pins a client must not show, or shows with a lower score. Knows nothing of scores and requests.

A label is a value of one of the project's categorical pin columns (`features.pin_categorical`), so labels travel with
the user's own data: a `rating` column with `adult` in it, a `licence` column with `withdrawn`.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from cluster.catalog.catalog import Catalog
from cluster.errors import ConfigError
from cluster.features.columns import category_code
from cluster.settings.clients import Client, PolicySettings
from serving.request.per_graph import PerGraph

log = logging.getLogger(__name__)

MOST = 62
"""Labels of one client: bits of a signed 64-bit integer."""


@dataclass(frozen=True)
class LabelRules:
    """Bit i of a pin's label set says whether its column `columns[i]` holds the value `values[i]`."""

    columns: tuple[str, ...]  # of features.pin_categorical
    values: tuple[str, ...]
    forbidden: int  # bit set
    demoted: tuple[tuple[int, float], ...]  # (bit set, factor)
    forbidden_in: Mapping[str, int] = field(default_factory=dict)  # bit set by locale, beyond `forbidden`

    @classmethod
    def of(cls, policy: PolicySettings) -> "LabelRules":
        """The rules of a client's `policy.forbid`, `policy.forbid_in` and `policy.demote`."""
        everywhere = _labels(policy.forbid)
        by_locale = {locale: _labels(forbid) for locale, forbid in policy.forbid_in.items()}
        demoted = {(column, value): f for column, values in policy.demote.items() for value, f in values.items()}
        named = list(dict.fromkeys([*everywhere, *demoted, *(label for each in by_locale.values() for label in each)]))
        if len(named) > MOST:
            raise ConfigError(f"policy: {len(named)} labels in forbid, forbid_in and demote: at most {MOST} fit")
        bit = {label: 1 << at for at, label in enumerate(named)}
        return cls(
            tuple(column for column, _ in named),
            tuple(value for _, value in named),
            sum(bit[label] for label in everywhere),
            tuple((bit[label], factor) for label, factor in demoted.items()),
            {locale: sum(bit[label] for label in labels) for locale, labels in by_locale.items()},
        )

    def bits(self, catalog: Catalog, pins: np.ndarray) -> np.ndarray | None:
        """Label sets of `pins` (indices), int64[n]; None without rules."""
        if not self.columns:
            return None
        out = np.zeros(len(pins), np.int64)
        for i, (column, value) in enumerate(zip(self.columns, self.values, strict=True)):
            out |= _holds(catalog, column, value, pins).astype(np.int64) << i
        return out

    def forbidden_pins(self, catalog: Catalog, locale: str | None = None) -> np.ndarray:
        """All pins of a catalog that may not be shown to users of a locale, int32, sorted; None: of no known one."""
        mask = self.forbidden | self.forbidden_in.get(locale or "", 0)
        bits = self.bits(catalog, np.arange(catalog.graph.n_pins)) if mask else None
        return np.empty(0, np.int32) if bits is None else np.flatnonzero(bits & mask).astype(np.int32)

    def unknown(self, catalog: Catalog) -> list[str]:
        """What to say of rules on values that no pin has: they hold for nothing."""
        labels = catalog.pins.labels
        if labels is None:
            return []
        told = (labels.unknown(column, value) for column, value in zip(self.columns, self.values, strict=True))
        return [text for text in told if text]


class Forbidden:
    """The pins that a client's policy forbids, worked out once for each of the last catalogs. Thread-safe."""

    def __init__(self, client: Client):
        self.rules = LabelRules.of(client.policy)
        self._name = client.name
        self._pins = {
            locale: PerGraph(partial(self._worked_out, locale), keep=3) for locale in (None, *self.rules.forbidden_in)
        }

    @property
    def by_locale(self) -> bool:
        """Whether it makes a difference which locale's users ask."""
        return bool(self.rules.forbidden_in)

    def of(self, catalog: Catalog, locale: str | None = None) -> np.ndarray:
        """int32, sorted: for users of a locale, by its name."""
        return self._pins[locale if locale in self._pins else None].of(catalog)

    def _worked_out(self, locale: str | None, catalog: Catalog) -> np.ndarray:
        for text in self.rules.unknown(catalog) if locale is None else ():
            log.warning("client %s: policy: %s", self._name, text)
        return self.rules.forbidden_pins(catalog, locale)


def _labels(forbid: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((column, value) for column, values in forbid.items() for value in values))


def _holds(catalog: Catalog, column: str, value: str, pins: np.ndarray) -> np.ndarray:
    labels = catalog.pins.labels
    if labels is not None:
        return labels.holds(column, value, pins)
    # A bundle of version 0.1 knows the column's hash only: the next build keeps the values.
    code = category_code(np.array([value], dtype=object))[0]
    feature = catalog.feature_set.pin.index(f"pin_{column}")
    return np.asarray(catalog.pins.static[pins, feature] == code)


def check_labels(clients: Mapping[str, Client], pin_categorical: Iterable[str]) -> None:
    """Raises ConfigError when a client's policy names a column that the project does not read."""
    known = tuple(pin_categorical)
    for client in clients.values():
        policy = client.policy
        in_locales = [column for forbid in policy.forbid_in.values() for column in forbid]
        for key, columns in (("forbid", policy.forbid), ("demote", policy.demote), ("forbid_in", in_locales)):
            unknown = sorted(set(columns) - set(known))
            if unknown:
                raise ConfigError(
                    f"client {client.name}: policy.{key}: {unknown[0]!r} is not among features.pin_categorical "
                    f"({', '.join(known) or 'none'}): add the column to pinfunnel.yaml"
                )
