"""The check of what requests may filter by: columns without values, and texts that no request can name."""

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from cluster.attributes.faults import TEXT_BYTES
from cluster.settings.attributes import AttributeKind
from cluster.validate.report import Finding


def check_attributes(pins: pa.Table, declared: Mapping[str, AttributeKind]) -> Iterator[Finding]:
    """Findings over the cleaned pins input."""
    for name in declared:
        values = pins[name]
        if pa.types.is_list(values.type):
            values = pc.list_flatten(values)
        values = values.drop_null()
        if not len(values):
            what = f"attribute {name} has no value in any row"
            yield Finding("noted", "pins", what, "fill the column, or take it out of `attributes`", column=name)
        elif pa.types.is_string(values.type):
            long = pc.sum(pc.greater(pc.binary_length(values), TEXT_BYTES)).as_py()
            if long:
                what = f"texts of attribute {name} are longer than {TEXT_BYTES} bytes"
                fix = "shorten them: no request can ask for these"
                yield Finding("noted", "pins", what, fix, column=name, count=long)
