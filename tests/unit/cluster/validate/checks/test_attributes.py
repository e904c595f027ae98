"""Attributes that no pin has a value of, and texts that no request can name."""

import pyarrow as pa

from cluster.validate.checks.attributes import check_attributes


def test_columns_without_values_and_long_texts_are_noted() -> None:
    pins = pa.table(
        {
            "price": pa.array([None, None], pa.float64()),
            "tags": pa.array([[], [None]], pa.list_(pa.string())),
            "brand": pa.array(["b" * 256, "é" * 129]),
            "labels": pa.array([["x" * 300, "y"], ["z" * 300]]),
            "stock": pa.array([1.0, None]),
        }
    )
    kinds = {"price": "number", "tags": "list", "brand": "category", "labels": "list", "stock": "number"}
    found = list(check_attributes(pins, kinds))  # type: ignore[arg-type]
    assert [(finding.column, finding.count, finding.kind) for finding in found] == [
        ("price", 1, "noted"),
        ("tags", 1, "noted"),
        ("brand", 1, "noted"),
        ("labels", 2, "noted"),
    ]
    assert "no value in any row" in found[0].what
    assert "longer than 256 bytes" in found[2].what
