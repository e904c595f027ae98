"""Features: one definition, stable hashes, NaN for what is missing."""

import pickle

import numpy as np
import pytest

from cluster.features.assemble import FeatureBlock, FeatureSet, build_features
from cluster.features.columns import category_code
from cluster.features.graph import rank_of
from cluster.features.likeness import unit_rows
from cluster.settings.project import FeatureSettings
from tests.unit.cluster.features.given import TOPICS, asked, found, query, user


def columns(features: FeatureSet, block: FeatureBlock) -> dict[str, np.ndarray]:
    return dict(zip(features.names, block.matrix().T, strict=True))


def test_widths_follow_the_feature_set() -> None:
    features = FeatureSet.of(FeatureSettings())
    block = build_features(features, asked(user(), query(), found()))
    assert block.shared.shape == (len(features.shared),)
    assert block.candidates.shape == (3, len(features.candidate))
    assert block.matrix().dtype == np.float32
    assert features.candidate[: len(features.pin)] == features.pin


def test_values_are_what_their_text_says() -> None:
    features, candidates = FeatureSet.of(FeatureSettings()), found()
    got = columns(features, build_features(features, asked(user(), query(), candidates)))
    assert got["context_hour"].tolist() == [13, 13, 13]
    assert got["graph_rank"] == pytest.approx(np.log1p([0, 1, 2]))
    assert got["graph_hit_share"] == pytest.approx(candidates.hits / 2)
    assert got["cross_interest_topic"] == pytest.approx(candidates.topics[:, 0])
    assert got["cross_best_topic"] == pytest.approx(candidates.topics[:, :2].max(axis=1))
    assert got["cross_locale_match"][:2].tolist() == [1, 0]
    assert np.isnan(got["cross_locale_match"][2])
    share = candidates.by_query.max(axis=1) / candidates.by_query.sum(axis=1)
    assert got["cross_best_query_share"] == pytest.approx(share)


def test_a_new_user_has_missing_values_not_zeros() -> None:
    nobody = user(0, interests=np.zeros(TOPICS, np.float32), recent_topics=np.zeros((1, TOPICS), np.float32), locale=-1)
    features = FeatureSet.of(FeatureSettings())
    got = columns(features, build_features(features, asked(nobody, query(0), found(pins=0))))
    for name in ("user_hours_idle", "user_positive_share", "cross_history_topic", "cross_interest_topic",
                 "cross_query_topic", "cross_locale_match"):  # fmt: skip
        assert np.isnan(got[name]).all(), name
    assert got["user_actions"].tolist() == [0, 0, 0]


def test_pretrained_vectors_become_cosines() -> None:
    rng = np.random.default_rng(1)
    queries, pins, recents = (unit_rows(rng.normal(size=(n, 5)).astype(np.float32)) for n in (2, 3, 4))
    pins[2] = 0.0  # a pin without a vector
    features = FeatureSet.of(FeatureSettings(pin_vector_width=5))
    block = build_features(features, asked(user(recent_vectors=recents), query(vectors=queries), found(vectors=pins)))
    got = columns(features, block)
    mean, history = queries.sum(axis=0), recents.mean(axis=0)
    for name, of in (("cross_query_vector", mean), ("cross_history_vector", history)):
        assert got[name][:2] == pytest.approx(pins[:2] @ of / np.linalg.norm(of), abs=1e-6), name
    assert got["cross_best_vector"][:2] == pytest.approx((pins[:2] @ queries.T).max(axis=1), abs=1e-6)
    assert all(np.isnan(got[name][2]) for name in features.candidate if name.endswith("_vector"))


def test_no_candidates_is_no_error() -> None:
    block = build_features(FeatureSet.of(FeatureSettings()), asked(user(), query(), found(0)))
    assert block.candidates.shape[0] == 0


def test_configured_columns_follow_the_built_in_ones() -> None:
    settings = FeatureSettings(pin_numeric=("price",), user_numeric=("age",), user_categorical=("plan",))
    features = FeatureSet.of(settings)
    assert features.shared[-2:] == ("user_age", "user_plan")
    assert features.pin[-1] == "pin_price"
    assert features.categorical == ("source_first", "user_plan")
    block = build_features(features, asked(user(numeric=np.array([30.0, 7.0], np.float32)), query(), found()))
    assert block.shared[-2:].tolist() == [30.0, 7.0]


def test_a_feature_set_travels_between_processes() -> None:
    features = FeatureSet.of(FeatureSettings(pin_numeric=("price",), user_numeric=("age",)))
    there = pickle.loads(pickle.dumps(features))
    assert there == features
    assert hash(there) == hash(features)
    given = asked(user(numeric=np.ones(1, np.float32)), query(), found())
    block, other = build_features(features, given), build_features(there, given)
    assert other.shared.tobytes() == block.shared.tobytes()
    assert other.candidates.tobytes() == block.candidates.tobytes()


def test_equal_values_rank_in_the_order_given() -> None:
    assert rank_of(np.array([2.0, 5.0, 2.0, 1.0])).tolist() == [1, 0, 2, 3]
    assert rank_of(np.empty(0)).tolist() == []


def test_category_codes_survive_float32() -> None:
    codes = category_code(np.array(["red", None, "blue", "red"], object))
    assert codes[0] == codes[3] != codes[2]
    assert np.isnan(codes[1])
    assert codes[0] == float(int(codes[0]))
