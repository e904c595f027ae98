"""Which pins and weights a command line names: ids with colons stay whole."""

import pytest

from apps.commands.walk import check_weights, query_pins
from cluster.errors import ConfigError, DataError
from cluster.graph.ids import IdMap

TEXTS = IdMap.from_ids(["urn:li:5", "urn:li", "plain", "a[x]"])
NUMBERS = IdMap.from_ids([5, 12])


@pytest.mark.parametrize(
    ("known", "text", "pin", "weight"),
    [
        (TEXTS, "urn:li:5", "urn:li:5", 1.0),
        (TEXTS, "urn:li:5:0.5", "urn:li:5", 0.5),
        (TEXTS, "urn:li:7", "urn:li", 7.0),
        (TEXTS, "plain", "plain", 1.0),
        (TEXTS, "plain:2", "plain", 2.0),
        (TEXTS, "a[x]:3", "a[x]", 3.0),
        (NUMBERS, "12", 12, 1.0),
        (NUMBERS, "5:0.25", 5, 0.25),
    ],
)
def test_an_id_is_cut_only_where_the_whole_is_none(known: IdMap, text: str, pin: int | str, weight: float) -> None:
    assert query_pins(known, [text], None) == ([pin], [weight])


@pytest.mark.parametrize(
    ("known", "text", "says"),
    [
        (TEXTS, "urn:x:5", "urn:x:5 is not in the graph"),
        (TEXTS, "plain:nan", "plain:nan is not in the graph"),
        (TEXTS, "plain:-1", "plain:-1 is not in the graph"),
        (TEXTS, "\udc80", "is not in the graph"),
        (NUMBERS, "abc", "pin ids are int64"),
        (NUMBERS, "abc:2", "abc:2: this project's pin ids are int64"),
        (NUMBERS, str(2**64 + 5), "is not in the graph"),
    ],
)
def test_what_names_no_pin_is_said_as_it_was_given(known: IdMap, text: str, says: str) -> None:
    with pytest.raises(DataError, match="--pin") as refused:
        query_pins(known, [text], None)
    assert says in str(refused.value)


def test_with_weights_of_their_own_no_id_is_cut() -> None:
    assert query_pins(TEXTS, ["urn:li:5", "plain"], [2.0, 0.5]) == (["urn:li:5", "plain"], [2.0, 0.5])
    with pytest.raises(DataError, match="plain:2 is not in the graph"):
        query_pins(TEXTS, ["plain:2"], [1.0])


@pytest.mark.parametrize("weights", [[1.0], [1.0, 0.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_weights_that_fit_no_pins_are_refused(weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="--weight"):
        check_weights(["a", "b"], weights)
