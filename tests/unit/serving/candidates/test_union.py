"""Several sources' pins in one pass, against a slow twin."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.candidates.union import unite
from serving.request.found import FoundPins

N = 40


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_each_pin_once_without_what_may_not_be_shown(data: st.DataObject) -> None:
    pins = st.integers(0, N - 1)
    given_ = [data.draw(st.lists(pins, max_size=30), label=f"source {i}") for i in range(data.draw(st.integers(0, 3)))]
    barred = data.draw(st.lists(pins, max_size=4, unique=True), label="barred")
    exclude = sorted(data.draw(st.lists(pins, max_size=8, unique=True), label="exclude"))
    allowed = data.draw(st.none() | st.lists(st.booleans(), min_size=N, max_size=N), label="allowed")
    found = [FoundPins(np.array(one, np.int32), np.arange(len(one), 0, -1).astype(np.float32)) for one in given_]
    out = unite(
        found,
        N,
        np.array(barred, np.int32),
        np.array(exclude, np.int32),
        None if allowed is None else np.array(allowed),
    )
    order: list[int] = []
    ranks: list[dict[int, tuple[int, float, int]]] = []
    for one in given_:
        mine: dict[int, tuple[int, float, int]] = {}
        for at, pin in enumerate(one):
            if pin in barred or pin in exclude or pin in mine or (allowed is not None and not allowed[pin]):
                continue
            mine[pin] = (len(mine), float(len(one) - at), at)
            if pin not in order:
                order.append(pin)
        ranks.append(mine)
    assert out.pins.tolist() == order
    for row, pin in enumerate(order):
        for column, mine in enumerate(ranks):
            rank, score, at = mine.get(pin, (-1, None, -1))
            assert (out.rank[row, column], out.at[row, column]) == (rank, at)
            assert np.isnan(out.score[row, column]) if score is None else out.score[row, column] == score
    again = unite(found, N, np.empty(0, np.int32), np.empty(0, np.int32), None)
    assert set(again.pins.tolist()) == {pin for one in given_ for pin in one}, "nothing is left of the last request"
