"""The check of the pins input: ids, repeats, numbers and times."""

import numpy as np
import pyarrow as pa

from cluster.catalog.nodes import ON_NO_BOARD
from cluster.data.cleaning import Tally, clean_pins
from cluster.data.reading import Input
from cluster.graph.ids import IdMap
from cluster.validate.examination import Examination


def check_pins(source: Input, run: Examination) -> IdMap | None:
    """Fills in the report; returns the ids that edges may name, or None when not all pins could be read."""

    def rules(table: pa.Table, tally: Tally) -> pa.Table:
        return clean_pins(table, run.now, tally)

    pins = run.apply(source, rules)
    return None if run.report.tables[source.name].errors else IdMap.from_ids(pins["pin_id"])


def note_unreachable(run: Examination, pins: IdMap, saved: IdMap) -> None:
    """Remarks how many pins no edge of the graph names; `saved` are those that one does."""
    ids = pins.ids_of(np.arange(len(pins), dtype=np.int32))
    if cold := int((saved.index_of(ids) < 0).sum()):
        run.report.tables["pins"].remark = f"{cold:,} {ON_NO_BOARD}"
