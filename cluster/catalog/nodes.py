"""The pins and users inputs as a catalog needs them: cleaned, with the names they share. No files, no Ray."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.catalog.pins import pin_rows
from cluster.catalog.pruning import require_topics
from cluster.catalog.vocabulary import Vocabulary
from cluster.data.cleaning import Tally, clean_pins, clean_users
from cluster.data.schema import pins_columns, users_columns
from cluster.graph.ids import IdMap
from cluster.settings.project import Project

ON_NO_BOARD = "pins are on no board: sources that need no edges find them, the walk does not"
NOT_YET = "pins without an edge have no `created_at` from before the cut: this graph of the past leaves them out"


@dataclass(frozen=True)
class Nodes:
    """The cleaned pins and users inputs, and the names they share."""

    pins: pa.Table | None
    users: pa.Table | None
    vocabulary: Vocabulary
    pin_map: IdMap | None

    @classmethod
    def of(
        cls,
        project: Project,
        pins: pa.Table | None,
        users: pa.Table | None,
        now: int,
        drops: dict[str, Tally],
        topics: tuple[str, ...] = (),
        locales: tuple[str, ...] | None = None,
    ) -> "Nodes":
        """Cleans both tables; what is dropped goes to `drops["pins"]` and `drops["users"]`.

        `topics` keep their columns. `locales`: the only ones that count, in the order of their codes (default: those of
        the tables). Raises ConfigError when the project prunes by topics and the pins have none.
        """
        if pins is not None:
            wanted = pa.schema(
                [(c.name, c.type) for c in pins_columns(project.ids, project.features, project.attributes)]
            )
            pins = clean_pins(conform(pins, wanted), now, drops.setdefault("pins", Tally()))
        if users is not None:
            wanted = pa.schema([(c.name, c.type) for c in users_columns(project.ids, project.features)])
            users = clean_users(conform(users, wanted), now, drops.setdefault("users", Tally()))
        pin_map = None if pins is None else IdMap.from_ids(pins["pin_id"])
        if project.graph.prunes:
            require_topics(pins)
        vocabulary = Vocabulary.of(pins, users, project.features.max_topics, topics)
        if locales is not None:
            vocabulary = replace(vocabulary, locales=locales)
        return cls(pins, users, vocabulary, pin_map)

    def listed(self, before: int | None = None) -> pa.Array | None:
        """The pins, ascending by id, that a graph holds even without an edge; None without a pins input.

        Of a graph of the past (`before`, microseconds) only those that `created_at` says there were by then: what is
        not known to have been there is not to be found there.
        """
        if self.pins is None:
            return None
        pins = self.pins
        if before is not None:
            pins = pins.filter(pc.less(pins["created_at"].cast(pa.int64()), before))
        ids: pa.Array = pins["pin_id"].combine_chunks()
        return ids.take(pc.array_sort_indices(ids))

    def locale_codes(self, pin_ids: IdMap) -> tuple[np.ndarray | None, list[str] | None]:
        """Codes of the pins and the names of all codes for `Graph.from_edges`; unknown is a last locale, ""."""
        if self.pins is None or not self.vocabulary.locales:
            return None, None
        rows = pin_rows(pin_ids, self.pins)
        named = self.vocabulary.locale_codes(self.pins["locale"])
        codes = np.where(rows >= 0, named[np.maximum(rows, 0)], -1).astype(np.int64)
        codes[codes < 0] = len(self.vocabulary.locales)
        return codes, [*self.vocabulary.locales, ""]

    def locale_names(self, pin_ids: pa.Array) -> list[str | None]:
        """The locale of each of the pins by id; None where unknown."""
        if self.pins is None or self.pin_map is None:
            return [None] * len(pin_ids)
        rows = self.pin_map.index_of(pin_ids)
        return self.pins["locale"].take(pa.array(rows, mask=rows < 0)).to_pylist()


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Columns of `schema` in its order; those that `table` lacks are null."""
    there = set(table.column_names)
    columns = [table[f.name].cast(f.type) if f.name in there else pa.nulls(len(table), f.type) for f in schema]
    return pa.table(columns, schema=schema)
