"""Pass-through by source against a slow, obvious count."""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.data.schema import IMPRESSED, RANKED, WALKED
from cluster.store.replays import REPLAYED
from training.report.pass_through import COUNTS, STEPS, CountSources, share

ACTIONS = 3
GOOD = (0, 2)
NAMES = ("walk", "boards", "recent")

SCHEMA = pa.schema(
    [
        ("client", pa.string()), ("user_id", pa.int64()), ("experiment", pa.string()), ("stage", pa.list_(pa.int8())),
        ("explored_dropped", pa.list_(pa.bool_())),
        ("lightweight_score", pa.list_(pa.float32())), ("full_score", pa.list_(pa.float32())),
        ("source_name", pa.list_(pa.string())), ("source_rank", pa.list_(pa.int32())),
        ("source_score", pa.list_(pa.float32())),
        ("actions", pa.large_list(pa.float32())),
    ]
)  # fmt: skip


@st.composite
def logged(draw: st.DrawFn) -> dict[str, Any]:
    """A request with up to eight candidates of up to three sources."""
    n = draw(st.integers(0, 8))
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, 3))]

    def of_each(values: st.SearchStrategy[Any], times: int = 1) -> list[Any]:
        return draw(st.lists(values, min_size=n * times, max_size=n * times))

    scores = st.none() | st.sampled_from([0.0, 0.5, 1.0])
    return {
        "client": draw(st.sampled_from(["homefeed", "search"])),
        "user_id": draw(st.integers(1, 4)),
        "experiment": draw(st.sampled_from(["", "a", REPLAYED])),
        "stage": of_each(st.sampled_from([WALKED, RANKED, IMPRESSED])),
        "explored_dropped": draw(st.sampled_from([None, []])) if draw(st.booleans()) else of_each(st.booleans()),
        "lightweight_score": of_each(scores),
        "full_score": of_each(scores),
        "source_name": draw(st.none() | st.just(list(names))),
        "source_rank": of_each(st.integers(-1, 5), len(names)),
        "source_score": [0.0] * n * len(names),
        "actions": of_each(st.sampled_from([0.0, 1.0]), ACTIONS),
    }


def slow_count(rows: list[dict[str, Any]]) -> Counter[tuple[str, str, str]]:
    """(client, source, figure) → how many, one candidate after the other."""
    out: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        client = row["client"]
        if row["experiment"] == REPLAYED or row["source_name"] is None:
            out[client, "", "replayed" if row["experiment"] == REPLAYED else "without_sources"] += 1
            continue
        n, names = len(row["stage"]), row["source_name"]
        dropped = row["explored_dropped"] or [False] * n
        survivors = [i for i in range(n) if row["stage"][i] >= RANKED and not dropped[i]]
        low = float("-inf")

        def worth(i: int, row: dict[str, Any] = row, low: float = low) -> tuple[float, float]:
            scores = row["full_score"][i], row["lightweight_score"][i]
            full, lightweight = (low if score is None else score for score in scores)
            return -full, -lightweight

        chosen = sorted(survivors, key=worth)[: row["stage"].count(IMPRESSED)]
        for source in ("", *names):
            out[client, source, "requests"] += 1
        for i in range(n):
            by = [name for at, name in enumerate(names) if row["source_rank"][i * len(names) + at] >= 0]
            answered = row["stage"][i] == IMPRESSED
            liked = answered and any(row["actions"][i * ACTIONS + a] for a in GOOD)
            took = {"found": True, "survived": i in survivors, "chosen": i in chosen, "answered": answered}
            for figure, yes in {**took, "acted": liked}.items():
                for source in ("", *by):
                    out[client, source, figure] += yes
                    out[client, source, f"alone_{figure}"] += yes and len(by) == 1
    return +out


@settings(max_examples=150, deadline=None)
@given(st.lists(logged(), max_size=6))
def test_counts_are_those_of_a_slow_count(rows: list[dict[str, Any]]) -> None:
    counted = CountSources({"homefeed": GOOD, "search": GOOD}, ACTIONS)(pa.Table.from_pylist(rows, SCHEMA)).to_pylist()
    found: Counter[tuple[str, str, str]] = Counter()
    for row in counted:
        for figure in COUNTS:
            found[row["client"], row["source"], figure] += row[figure]
    assert +found == slow_count(rows)
    users = {(row["client"], row["user_id"]) for row in rows}
    assert len({(row["client"], row["unit"]) for row in counted}) == len(users)


def test_every_step_is_counted() -> None:
    row = {
        "client": "homefeed", "user_id": 1, "experiment": "", "explored_dropped": None,
        "stage": [WALKED, RANKED, IMPRESSED, IMPRESSED],
        "lightweight_score": [4.0, 3.0, 2.0, 1.0], "full_score": [None, 0.9, None, 0.8],
        "source_name": ["walk", "boards"], "source_rank": [0, -1, 1, 0, 2, 1, -1, 2], "source_score": [0.0] * 8,
        "actions": [0.0] * 9 + [1.0, 0.0, 0.0],
    }  # fmt: skip
    counted = CountSources({"homefeed": GOOD}, ACTIONS)(pa.Table.from_pylist([row], SCHEMA)).to_pylist()
    by_source = {one["source"]: [one[step] for step in STEPS] for one in counted}
    assert by_source == {"": [4, 3, 2, 2, 1], "walk": [3, 2, 1, 1, 0], "boards": [3, 3, 2, 2, 1]}
    alone = {one["source"]: [one[f"alone_{step}"] for step in STEPS] for one in counted}
    assert alone == {"": [2, 1, 1, 1, 1], "walk": [1, 0, 0, 0, 0], "boards": [1, 1, 1, 1, 1]}


def test_a_share_is_that_of_the_sums_and_users_make_it_wide() -> None:
    part, whole = np.array([9, 0, 0, 0]), np.array([10, 90, 0, 100])
    told = share(part, whole)
    assert told.mean == pytest.approx(9 / 200)
    assert told.low == 0.0
    assert told.high > 0.1
    assert share(part * 0, whole * 0).n == 0
