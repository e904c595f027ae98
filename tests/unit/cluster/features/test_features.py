"""Features: one definition, stable hashes, NaN for what is missing."""

import numpy as np
import pytest

from cluster.features.assemble import (
    CandidateInput,
    FeatureSet,
    QueryInput,
    UserInput,
    build_features,
    category_code,
)
from cluster.features.likeness import unit_rows
from cluster.settings.project import FeatureSettings

TOPICS = 4


def user(recents: int = 2, **changes: object) -> UserInput:
    fields: dict = {
        "numeric": np.empty(0, np.float32),
        "interests": np.array([1, 0, 0, 0], np.float32),
        "locale": 1,
        "recent_age_hours": np.arange(recents, dtype=np.float32),
        "recent_positive": np.ones(recents, bool),
        "recent_topics": np.eye(TOPICS, dtype=np.float32)[:recents],
        "recent_vectors": np.zeros((recents, 0), np.float32),
    }
    return UserInput(**{**fields, **changes})


def query(pins: int = 2, vectors: np.ndarray | None = None) -> QueryInput:
    topics = np.eye(TOPICS, dtype=np.float32)[:pins]
    none = np.zeros((pins, 0), np.float32)
    ages = np.arange(pins, dtype=np.float32)
    return QueryInput(np.ones(pins, np.float32), ages, topics, none if vectors is None else vectors, 13, 6)


def found(n: int = 3, pins: int = 2, vectors: np.ndarray | None = None) -> CandidateInput:
    rng = np.random.default_rng(0)
    by_query = rng.integers(0, 9, (n, pins)).astype(np.uint32)
    return CandidateInput(
        score=np.sort(rng.random(n).astype(np.float32))[::-1] * 50,
        visits=by_query.sum(axis=1),
        hits=(by_query > 0).sum(axis=1),
        by_query=by_query,
        degree=rng.integers(1, 30, n),
        locale=np.array([1, 2, -1], np.int16)[:n],
        topics=unit_rows(rng.random((n, TOPICS)).astype(np.float32)),
        vectors=np.zeros((n, 0), np.float32) if vectors is None else vectors,
        static=rng.random((n, 3)).astype(np.float32),
    )


def columns(features: FeatureSet, block: object) -> dict[str, np.ndarray]:
    return dict(zip(features.names, block.matrix().T, strict=True))  # type: ignore[attr-defined]


def test_widths_follow_the_feature_set() -> None:
    features = FeatureSet.of(FeatureSettings())
    block = build_features(user(), query(), found())
    assert block.shared.shape == (len(features.shared),)
    assert block.candidates.shape == (3, len(features.candidate))
    assert block.matrix().dtype == np.float32
    assert features.candidate[: len(features.pin)] == features.pin


def test_values_are_what_their_text_says() -> None:
    features, candidates = FeatureSet.of(FeatureSettings()), found()
    got = columns(features, build_features(user(), query(), candidates))
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
    got = columns(FeatureSet.of(FeatureSettings()), build_features(nobody, query(0), found(pins=0)))
    for name in ("user_hours_idle", "user_positive_share", "cross_history_topic", "cross_interest_topic",
                 "cross_query_topic", "cross_locale_match"):  # fmt: skip
        assert np.isnan(got[name]).all(), name
    assert got["user_actions"].tolist() == [0, 0, 0]


def test_pretrained_vectors_become_cosines() -> None:
    rng = np.random.default_rng(1)
    queries, pins, recents = (unit_rows(rng.normal(size=(n, 5)).astype(np.float32)) for n in (2, 3, 4))
    pins[2] = 0.0  # a pin without a vector
    features = FeatureSet.of(FeatureSettings(pin_vector_width=5))
    block = build_features(user(recent_vectors=recents), query(vectors=queries), found(vectors=pins))
    got = columns(features, block)
    mean, history = queries.sum(axis=0), recents.mean(axis=0)
    for name, of in (("cross_query_vector", mean), ("cross_history_vector", history)):
        assert got[name][:2] == pytest.approx(pins[:2] @ of / np.linalg.norm(of), abs=1e-6), name
    assert got["cross_best_vector"][:2] == pytest.approx((pins[:2] @ queries.T).max(axis=1), abs=1e-6)
    assert all(np.isnan(got[name][2]) for name in features.candidate[-3:])
    hashes = {FeatureSet.of(FeatureSettings(pin_vector_width=width)).schema_hash for width in (0, 5, 6)}
    assert len(hashes) == 3


def test_no_candidates_is_no_error() -> None:
    block = build_features(user(), query(), found(0))
    assert block.candidates.shape[0] == 0


def test_the_hash_changes_with_the_features() -> None:
    plain = FeatureSet.of(FeatureSettings())
    own = FeatureSet.of(FeatureSettings(pin_numeric=("price",), user_categorical=("plan",)))
    assert own.schema_hash != plain.schema_hash
    assert own.shared[-1] == "user_plan"
    assert "pin_price" in own.pin
    assert own.categorical == ("user_plan",)


def test_category_codes_survive_float32() -> None:
    codes = category_code(np.array(["red", None, "blue", "red"], object))
    assert codes[0] == codes[3] != codes[2]
    assert np.isnan(codes[1])
    assert codes[0] == float(int(codes[0]))
