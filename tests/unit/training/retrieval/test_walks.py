"""Retrieval evaluation: the metrics by hand, the protocol's corner cases, and that topics are found."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.errors import ConfigError, DataError
from cluster.walk.walker import WalkParams
from training.retrieval.walks import DEFAULTS, choose_params, evaluate_retrieval, score

FAST = WalkParams(steps=2000, restart=0.8)


def edges(pairs: list) -> pa.Table:
    boards, pins = zip(*pairs, strict=True)
    return pa.table({"b": pa.array(boards), "p": pa.array(pins)})


def topical(seed: int) -> tuple[pa.Table, pa.Table]:
    """120 boards on 6 topics of 30 pins; a fifth of each board is test."""
    rng = np.random.default_rng(seed)
    boards = np.repeat(np.arange(120), 15)
    pins = boards % 6 * 30 + rng.integers(0, 30, boards.size)
    keys = np.unique(boards * 1000 + pins)
    held = rng.random(keys.size) < 0.2
    tables = [pa.table({"b": keys[part] // 1000, "p": keys[part] % 1000}) for part in (~held, held)]
    return tables[0], tables[1]


def test_metrics_by_hand() -> None:
    answers = [np.array([4, 7, 9]), np.array([1, 2]), np.array([], int)]
    expected = [np.array([7, 5]), np.array([1, 2, -1, -1]), np.array([3])]
    recall, ndcg = score(answers, expected, 3).values()
    gains = 1 / np.log2([2, 3, 4])
    assert recall == pytest.approx((1 / 2 + 2 / 4 + 0) / 3)
    assert ndcg == pytest.approx((gains[1] / gains[:2].sum() + gains[:2].sum() / gains.sum() + 0) / 3)


def test_a_perfect_answer_scores_one() -> None:
    assert score([np.array([1, 2, 3])], [np.array([3, 2, 1])], 3) == {"recall@3": 1.0, "ndcg@3": 1.0}


def test_train_pins_are_not_answered() -> None:
    train = edges([("x", "a"), ("x", "b"), ("y", "a"), ("y", "b"), ("y", "c")])
    out = evaluate_retrieval(train, edges([("x", "c")]), "b", "p", 1, FAST)
    assert (out["recall@1"], out["ndcg@1"], out["boards"]) == (1.0, 1.0, 1)


def test_unknown_boards_get_popular_pins_and_unknown_pins_count_as_missed() -> None:
    train = edges([(1, 10), (2, 10), (3, 10), (3, 11)])
    out = evaluate_retrieval(train, edges([(9, 10), (9, 99)]), "b", "p", 1, FAST)
    assert (out["recall@1"], out["ndcg@1"], out["boards"]) == (0.5, 1.0, 1)


def test_repeated_edges_change_nothing() -> None:
    train, test = topical(1)
    once = evaluate_retrieval(train, test, "b", "p", 10, FAST)
    twice = evaluate_retrieval(pa.concat_tables([train, train]), pa.concat_tables([test, test]), "b", "p", 10, FAST)
    assert all(once[key] == twice[key] for key in ("recall@10", "ndcg@10", "boards"))


def test_walks_find_the_topic_and_chosen_parameters_do_no_worse() -> None:
    train, test = topical(2)
    seen: list = []
    chosen = evaluate_retrieval(train, test, "b", "p", 20, progress=lambda *report: seen.append(report))
    assert chosen["recall@20"] > 0.8  # 30 pins a topic, about 10 of them known: 20 answers cover nearly all of the rest
    assert chosen["recall@20"] > evaluate_retrieval(train, test, "b", "p", 20, FAST)["recall@20"] - 0.05
    assert seen[-1] == ("boards", 1.0)
    assert {step for step, _ in seen} == {"choosing parameters", "boards"}


def test_a_graph_in_shards_finds_as_much() -> None:
    train, test = topical(3)
    whole, three = (evaluate_retrieval(train, test, "b", "p", 20, FAST, shards=shards) for shards in (1, 3))
    assert (whole["shards"], three["shards"]) == (1, 3)
    assert three["recall@20"] != whole["recall@20"]  # other walks: the graph was split
    assert three["recall@20"] == pytest.approx(whole["recall@20"], abs=0.05)
    with pytest.raises(ConfigError, match="parts of a graph"):
        evaluate_retrieval(train, test, "b", "p", 20, FAST, shards=0)


def test_the_choice_does_not_see_test_edges_and_falls_back_on_tiny_data() -> None:
    assert choose_params(np.array([0, 1]), np.array([0, 1]), 2, 2, 20, seed=0) == DEFAULTS


@pytest.mark.parametrize("test", [pa.table({"b": [1], "q": [1]}), pa.table({"b": pa.array([1, None]), "p": [1, 2]})])
def test_bad_tables_are_data_errors(test: pa.Table) -> None:
    with pytest.raises(DataError, match="test edges"):
        evaluate_retrieval(edges([(1, 1)]), test, "b", "p")


def test_gowalla_sample_beats_item_based_neighbours(real_data: Path) -> None:
    """150 boards of the public split. Item-based collaborative filtering reaches .157 on all boards."""
    train, test = (pq.read_table(real_data / "gowalla" / f"{part}.parquet") for part in ("train", "test"))
    kept = np.random.default_rng(3).choice(np.unique(test["board_id"].to_numpy()), 150, replace=False)
    sample = test.filter(pa.array(np.isin(test["board_id"].to_numpy(), kept)))
    params = WalkParams(steps=30_000, restart=1.0, boost=0.75, popularity_discount=0.3)
    out = evaluate_retrieval(train, sample, "board_id", "pin_id", 20, params)
    assert out["boards"] == 150
    assert out["recall@20"] > 0.157
