"""A feature of version 1 has the bits that 0.1 gave it, whatever the request."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.features.assemble import FeatureSet, build_features, fill_pin_columns
from cluster.settings.project import FeatureSettings
from tests.unit.cluster.features.given import pins, random_request
from tests.unit.cluster.features.reference import pin_columns_0_1, request_columns_0_1


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 40),
    queries=st.integers(0, 5),
    recents=st.integers(0, 5),
    topics=st.integers(0, 9),
    width=st.sampled_from([0, 0, 3, 16]),
    own=st.integers(0, 3),
)
def test_columns_have_the_bits_of_0_1(
    seed: int, n: int, queries: int, recents: int, topics: int, width: int, own: int
) -> None:
    names = tuple(f"own{i}" for i in range(own))
    features = FeatureSet.of(FeatureSettings(pin_vector_width=width, user_categorical=names, pin_numeric=names))
    request = random_request(seed, n, queries, recents, topics, width, own, len(features.pin))
    block = build_features(features, request)
    assert block.shared.dtype == block.candidates.dtype == np.float32
    assert block.candidates.shape == (n, len(features.candidate))
    expected = request_columns_0_1(request)
    expected |= {f"user_{name}": value for name, value in zip(names, request.user.numeric, strict=True)}
    expected |= dict(zip(features.pin, request.found.static.T, strict=True))
    got = dict(zip(features.shared, block.shared, strict=True))
    got |= dict(zip(features.candidate, block.candidates.T, strict=True))
    versions = {feature.name: feature.version for feature in features.features}
    compared = [name for name in expected if versions.get(name) == 1]
    assert len(compared) > 15
    for name in compared:
        assert got[name].tobytes() == expected[name].tobytes(), name
    walked = request.found.sources.rank_of("walk") >= 0
    for name in [name for name in expected if versions.get(name) == 2 and name != "graph_rank"]:
        assert got[name][walked].tobytes() == expected[name][walked].tobytes(), name
        assert np.isnan(got[name][~walked]).all(), name


def test_static_columns_have_the_bits_of_0_1() -> None:
    features, given_pins = FeatureSet.of(FeatureSettings(pin_numeric=("price",))), pins()
    out = np.zeros((4, len(features.pin)), np.float32)
    fill_pin_columns(features, given_pins, out)
    for name, expected in pin_columns_0_1(given_pins).items():
        assert out[:, features.pin.index(name)].tobytes() == expected.tobytes(), name
    np.testing.assert_array_equal(out[:, features.pin.index("pin_price")], np.float32([1.5, np.nan, np.nan, 3.0]))
