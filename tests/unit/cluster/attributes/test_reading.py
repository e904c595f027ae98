"""From JSON to a filter: every form, every kind's values, and every fault by its path."""

from typing import Any

import pytest

from cluster.attributes.faults import CONDITIONS, VALUES, FilterError
from cluster.attributes.filters import (
    Between,
    Conjunction,
    Disjunction,
    Filter,
    HasValue,
    Negation,
    NumberAmong,
    TextAmong,
)
from cluster.attributes.reading import DEPTH, read_filter
from cluster.settings.attributes import AttributeKind, attribute_kinds

KINDS = attribute_kinds(
    {"price": "number", "brand": "category", "tags": "list", "ends": "time", "in.stock": "category"}
)


def one(name: str, **operators: Any) -> dict[str, Any]:
    return {"attribute": name, **operators}


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (one("price", **{"<=": 20}), Between("price", high=20.0)),
        (one("price", **{"<": 20}), Between("price", high=20.0, below=True)),
        (one("price", **{">": -0.0}), Between("price", low=0.0, above=True)),
        (
            one("price", **{">=": 5, "<": 2.5}),
            Conjunction((Between("price", low=5.0), Between("price", high=2.5, below=True))),
        ),
        (one("price", **{"=": 7}), NumberAmong("price", (7.0,))),
        (one("price", **{"in": [3, 1, 3.0]}), NumberAmong("price", (1.0, 3.0))),
        (one("brand", **{"=": "a"}), TextAmong("brand", ("a",))),
        (one("brand", **{"in": ["b", "a", "b"]}), TextAmong("brand", ("a", "b"))),
        (one("brand", **{"=": True}), TextAmong("brand", ("true",))),
        (one("brand", **{"in": [5, ""]}), TextAmong("brand", ("", "5"))),
        (one("tags", contains="x"), TextAmong("tags", ("x",))),
        (one("topics", any_of=["x", "y"]), TextAmong("topics", ("x", "y"))),
        (one("tags", all_of=["x", "y", "x"]), Conjunction((TextAmong("tags", ("x",)), TextAmong("tags", ("y",))))),
        (one("tags", all_of=["x"]), TextAmong("tags", ("x",))),
        (one("in.stock", exists=True), HasValue("in.stock")),
        (one("price", exists=False), Negation(HasValue("price"))),
        (one("ends", **{">=": "1970-01-01T00:00:01Z"}), Between("ends", low=1e6)),
        (one("created_at", **{"<": 1.5}), Between("created_at", high=1.5e6, below=True)),
        (one("ends", **{"=": "1970-01-01T01:00:00.000001+01:00"}), NumberAmong("ends", (1.0,))),
        ({"and": [one("brand", exists=True)]}, HasValue("brand")),
        (
            {"or": [one("brand", exists=True), {"not": one("tags", exists=True)}]},
            Disjunction((HasValue("brand"), Negation(HasValue("tags")))),
        ),
    ],
)
def test_what_json_says(raw: Any, read: Filter) -> None:
    assert read_filter(raw, KINDS) == read
    assert hash(read_filter(raw, KINDS)) == hash(read)


def nested(depth: int) -> dict[str, Any]:
    raw: dict[str, Any] = one("price", exists=True)
    for _ in range(depth - 1):
        raw = {"not": raw}
    return raw


FAULTS: dict[str, tuple[Any, str]] = {
    "no object": ([], "filter: expected an object, found a list"),
    "text": ("price < 5", "filter: expected an object, found 'price < 5'"),
    "nothing": ({}, "filter: expected one of the keys 'attribute', 'and', 'or', 'not'"),
    "unknown": (one("prise", **{"=": 1}), "filter.attribute: no attribute 'prise'; did you mean 'price'?"),
    "nowhere near": (one("zzz"), "filter.attribute: no attribute 'zzz'; there are created_at, locale, topics, price"),
    "no name": (one(7), "filter.attribute: expected the name of an attribute, found 7"),  # type: ignore[arg-type]
    "no operator": (one("price"), "filter.price: says nothing of the attribute: give one of =, in, <"),
    "operator of another kind": (one("brand", **{"<": "b"}), "filter.brand: an attribute of the kind category has no"),
    "no such operator": ({"not": one("price", **{"!=": 1})}, "filter.not.price: .* no operator '!=': there are =, in"),
    "text for a number": (
        {"and": [one("brand", exists=True), one("price", **{"in": [1, "2"]})]},
        "filter.and.1.price.in.1: expected a number, found '2'",
    ),
    "truth for a number": (one("price", **{"=": True}), "filter.price.=: expected a number, found True"),
    "NaN": (one("price", **{"<": float("nan")}), "filter.price.<: expected a finite number"),
    "huge": (one("price", **{"<": 10**400}), "filter.price.<: expected a finite number"),
    "no list": (one("brand", **{"in": "a"}), "filter.brand.in: expected a list of at least one value"),
    "empty list": (one("tags", any_of=[]), "filter.tags.any_of: expected a list of at least one value"),
    "null": (one("brand", **{"=": None}), "filter.brand.=: expected a text, found null"),
    "fraction for a text": (one("brand", **{"=": 0.5}), "filter.brand.=: expected a text, found 0.5"),
    "long text": (one("brand", **{"=": "é" * 129}), "filter.brand.=: longer than 256 bytes"),
    "long number": (one("brand", **{"=": 10**300}), "filter.brand.=: expected a text, found a number of more"),
    "surrogate": (one("tags", contains="\ud800"), "filter.tags.contains: not valid Unicode"),
    "list in a list": (one("brand", **{"in": [["a"]]}), "filter.brand.in.0: expected a text, found a list"),
    "no time": (one("ends", **{"<": "soon"}), "filter.ends.<: expected a time like 2026-01-31T12:00:00Z, found 'soon'"),
    "no zone": (one("ends", **{"<": "2026-01-31"}), "filter.ends.<: has no time zone"),
    "not of exists": (one("price", exists=1), "filter.price.exists: expected true or false, found 1"),
    "beside": ({"and": [one("price", exists=True)], "attribute": "brand"}, "filter: 'and' stands alone"),
    "empty and": ({"and": []}, "filter.and: expected a list of at least one filter"),
    "and of no list": ({"or": one("price")}, "filter.or: expected a list of at least one filter"),
    "not of a list": ({"not": [one("price")]}, "filter.not: expected an object, found a list"),
    "deep": (nested(DEPTH + 1), rf"filter(\.not){{{DEPTH}}}: nested more than {DEPTH} deep"),
    "wide": ({"or": [one("price", exists=True)] * CONDITIONS}, f"filter.or.{CONDITIONS - 1}: more than {CONDITIONS}"),
    "many values": (
        {"or": [one("price", **{"in": [1] * (VALUES // 2 + 1)})] * 2},
        f"filter.or.1.price.in: .* {VALUES}",
    ),
}


@pytest.mark.parametrize(("raw", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_told_with_its_path(raw: Any, message: str) -> None:
    with pytest.raises(FilterError, match=message):
        read_filter(raw, KINDS)


def test_the_bounds_themselves_are_let_pass() -> None:
    read_filter(nested(DEPTH), KINDS)
    read_filter({"or": [one("price", exists=True)] * (CONDITIONS - 1)}, KINDS)
    read_filter(one("price", **{"in": list(range(VALUES))}), KINDS)


def test_a_list_a_thousand_deep_is_named_not_shown() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for raw in (deep, one("price", **{"=": deep}), one("brand", **{"in": [deep]}), {"not": deep}):
        with pytest.raises(FilterError, match="found a list"):
            read_filter(raw, KINDS)


def test_kinds_are_those_of_every_project_and_its_own() -> None:
    own: dict[str, AttributeKind] = {"price": "number"}
    assert attribute_kinds(own) == {"created_at": "time", "locale": "category", "topics": "list", "price": "number"}
