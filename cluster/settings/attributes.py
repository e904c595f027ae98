"""Which columns of the pins input a request may filter by: the section `attributes` of `pinfunnel.yaml`.

`attributes: {price: number, brand: category, tags: list, sale_ends: time}`. An attribute is no feature: no ranker reads
it, so that declaring one asks for a new graph and leaves every trained model as it is.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator

from cluster.contract.text import text_fault

AttributeKind = Literal["number", "category", "list", "time"]
"""A finite number · one text · several texts · a moment."""

BUILT_IN: Mapping[str, AttributeKind] = {"created_at": "time", "locale": "category", "topics": "list"}
"""Attributes of every project: columns that the data contract has anyway."""

TAKEN = ("pin_id", "updated_at", "vector", "image_url")
"""Columns of the data contract that nothing can be filtered by."""

MOST = 64
NAME_BYTES = 64


def _checked(declared: dict[str, AttributeKind]) -> dict[str, AttributeKind]:
    if len(declared) > MOST:
        raise ValueError(f"{len(declared)} attributes: at most {MOST}, as each is held for every pin")
    for name, kind in declared.items():
        if not name or text_fault(name, NAME_BYTES):
            raise ValueError(f"{name!r:.80}: an attribute needs a name of at most {NAME_BYTES} bytes")
        if name in TAKEN:
            raise ValueError(f"{name!r} is a column of the data contract that is no attribute")
        if kind != BUILT_IN.get(name, kind):
            raise ValueError(f"{name!r} is an attribute of every project, of the kind `{BUILT_IN[name]}`: leave it out")
    return declared


Attributes = Annotated[dict[str, AttributeKind], AfterValidator(_checked)]
"""Kinds of the project's own attributes, by name."""


def attribute_kinds(declared: Mapping[str, AttributeKind]) -> dict[str, AttributeKind]:
    """All that a project's pins can be filtered by: its own attributes behind those of every project."""
    return {**BUILT_IN, **declared}


def check_beside_features(
    declared: Mapping[str, AttributeKind], numeric: Iterable[str], categorical: Iterable[str]
) -> None:
    """Raises ValueError when a column that is a feature as well would have to be of two types."""
    for kind, names in (("number", numeric), ("category", categorical)):
        for name in names:
            if declared.get(name, kind) != kind:
                raise ValueError(f"attributes: {name!r} is a feature of the kind `{kind}`, not `{declared[name]}`")
