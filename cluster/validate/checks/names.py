"""Names that were meant to meet and do not: interests and topics, locales of users and pins, policy rules and values.

Also how many values of a categorical column share a code with another: features hash them
(cluster/features/columns.py), policy labels do not.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.catalog.labels import no_such_value, plain
from cluster.features.columns import category_code
from cluster.settings.clients import Client
from cluster.validate.report import Finding

TOLD = 10
"""Pairs of names that one finding lists."""
MEET = (("users", "interests", "pins", "topics"), ("users", "locale", "pins", "locale"))


@dataclass(frozen=True)
class Names:
    """The distinct values of text columns, by table and column."""

    columns: Mapping[tuple[str, str], frozenset[str]]

    @classmethod
    def of(cls, tables: Mapping[str, pa.Table], wanted: Iterable[tuple[str, str]]) -> "Names":
        """Of cleaned tables in contract columns; what a table lacks is left out."""
        found = {}
        for table, column in wanted:
            if table in tables and column in tables[table].column_names:
                values = tables[table][column]
                values = pc.list_flatten(values) if pa.types.is_list(values.type) else values
                found[table, column] = frozenset(pc.unique(values.drop_null()).to_pylist())
        return cls(found)


def check_names(
    tables: Mapping[str, pa.Table], categorical: Mapping[str, tuple[str, ...]], clients: Mapping[str, Client]
) -> Iterator[Finding]:
    """Findings over the cleaned `tables`; `categorical` names the configured text columns of pins and users."""
    wanted = [(table, column) for table, columns in categorical.items() for column in columns]
    names = Names.of(tables, [*wanted, *((m[0], m[1]) for m in MEET), *((m[2], m[3]) for m in MEET)])
    for table, column, other, theirs in MEET:
        yield from _missed(names, table, column, other, theirs)
    for table, column in wanted:
        if (table, column) in names.columns:
            yield from _nearly_same(table, column, names.columns[table, column])
            yield from _shared_codes(table, column, names.columns[table, column])
    yield from _rules(names, clients)


def _missed(names: Names, table: str, column: str, other: str, theirs: str) -> Iterator[Finding]:
    mine = names.columns.get((table, column), frozenset())
    known = names.columns.get((other, theirs), frozenset())
    by_plain = {plain(name): name for name in sorted(known)}
    pairs = [(name, by_plain[plain(name)]) for name in sorted(mine - known) if plain(name) in by_plain]
    if pairs:
        what = f"{column} that no pin has as {theirs} but for case or spaces: {_listed(pairs)}"
        yield Finding("noted", table, what, "write both alike: these never match", column=column, count=len(pairs))


def _nearly_same(table: str, column: str, values: frozenset[str]) -> Iterator[Finding]:
    groups: dict[str, list[str]] = {}
    for value in sorted(values):
        groups.setdefault(plain(value), []).append(value)
    pairs = [(group[0], group[1]) for group in groups.values() if len(group) > 1]
    if pairs:
        what = f"{column} holds values that differ in case or spaces only: {_listed(pairs)}"
        yield Finding("noted", table, what, "write them alike if they are one", column=column, count=len(pairs))


def _shared_codes(table: str, column: str, values: frozenset[str]) -> Iterator[Finding]:
    codes = category_code(np.array(sorted(values), dtype=object))
    _, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    shared = int((counts[inverse] > 1).sum())
    if shared:
        what = f"{column}: {shared:,} of {len(values):,} values share a feature code with another"
        yield Finding(
            "noted", table, what, "nothing to do: policy labels are told by value", column=column, count=shared
        )


def _rules(names: Names, clients: Mapping[str, Client]) -> Iterator[Finding]:
    for client in clients.values():
        rules = [*client.policy.forbid.items(), *((column, tuple(d)) for column, d in client.policy.demote.items())]
        for column, values in rules:
            known = names.columns.get(("pins", column))
            if known is None:
                continue
            for value in values:
                if value not in known:
                    what = f"client {client.name}: policy: {no_such_value(column, value, sorted(known))}"
                    yield Finding("noted", "pins", what, "correct the rule: it holds for no pin", column=column)


def _listed(pairs: list[tuple[str, str]]) -> str:
    shown = ", ".join(f"{a!r} and {b!r}" for a, b in pairs[:TOLD])
    return shown + (f" and {len(pairs) - TOLD} more" if len(pairs) > TOLD else "")
