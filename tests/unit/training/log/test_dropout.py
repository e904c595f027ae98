"""Source drop-out: which requests forget, what they forget, and that features are those of the rest of the sources."""

from dataclasses import replace

import numpy as np
import pytest

from cluster.features.assemble import FeatureSet, build_features
from cluster.features.dropout import without_source
from cluster.features.inputs import SourceInput
from cluster.settings.project import FeatureSettings
from tests.unit.cluster.features.given import random_request
from training.log.arrays import Request
from training.log.dropout import SourceDropout

SETTINGS = FeatureSettings(sources=("walk", "content"))
FEATURES = FeatureSet.of(SETTINGS)


def _request(request_id: str, n: int = 12, sources: SourceInput | None = None) -> Request:
    asked = random_request(5, n, 3, 4, 4, 0, 0, len(FEATURES.pin))
    block = build_features(FEATURES, asked)
    return Request(
        request_id=request_id,
        client="homefeed",
        user=1,
        stage=np.zeros(n, np.int8),
        position=np.full(n, -1, np.int16),
        explored=np.zeros(n, bool),
        visit_score=np.zeros(n, np.float32),
        full_score=np.full(n, np.nan, np.float32),
        shared=block.shared,
        candidates=block.candidates,
        actions=np.zeros((n, 2), np.float32),
        row=0,
        sources=ranked(n, n) if sources is None else sources,
    )


def ranked(walk: int, content: int, n: int = 12) -> SourceInput:
    """The walk found the first so many of the candidates, the other source the last so many."""
    rank = np.full((n, 2), -1, np.int32)
    rank[:walk, 0], rank[n - content :, 1] = np.arange(walk), np.arange(content)
    return SourceInput(("walk", "content"), rank, np.where(rank >= 0, 0.5, np.nan).astype(np.float32))


@pytest.mark.parametrize("name", ["walk", "content"])
def test_what_is_left_is_what_serving_computes_without_the_source(name: str) -> None:
    asked = random_request(5, 12, 3, 4, 4, 0, 0, len(FEATURES.pin))
    whole = build_features(FEATURES, asked)
    rest = asked.found.sources.without(name)
    served = build_features(FEATURES, replace(asked, found=replace(asked.found, sources=rest)))
    out = without_source(FEATURES, whole.candidates, asked.found.sources, name)
    np.testing.assert_array_equal(out, served.candidates)
    assert not np.array_equal(out, whole.candidates, equal_nan=True)


def test_a_share_of_the_requests_forgets_one_source_each() -> None:
    dropout = SourceDropout(FEATURES, 0.25)
    made = [_request(f"r{i}") for i in range(400)]
    out = [dropout(request) for request in made]
    changed = [one for one, before in zip(out, made, strict=True) if one is not before]
    assert 70 <= len(changed) <= 130
    left = [one.sources.names for one in changed if one.sources is not None]
    assert {("walk",), ("content",)} == set(left)
    again = [dropout(request) for request in made]
    assert all(np.array_equal(a.candidates, b.candidates, equal_nan=True) for a, b in zip(out, again, strict=True))
    assert all(one.n == 12 for one in out)


@pytest.mark.parametrize(("walk", "content", "forgotten"), [(12, 5, {"walk"}), (5, 12, {"content"}), (10, 10, set())])
def test_only_a_source_that_found_nearly_all_is_forgotten(walk: int, content: int, forgotten: set[str]) -> None:
    """Where candidates are there that it did not find, these tell what a pin without it is like."""
    made = [_request(f"r{i}", sources=ranked(walk, content)) for i in range(60)]
    left = [one.sources.names for one in map(SourceDropout(FEATURES, 0.5), made) if one.sources is not None]
    assert {name for names in left for name in ("walk", "content") if name not in names} == forgotten


def test_without_a_share_or_without_sources_nothing_changes() -> None:
    request = _request("r")
    assert SourceDropout(FEATURES, 0.0)(request) is request
    old = replace(request, sources=None)
    assert SourceDropout(FEATURES, 0.99)(old) is old
    nothing = SourceInput(("walk",), np.full((12, 1), -1, np.int32), np.full((12, 1), np.nan, np.float32))
    empty = replace(request, sources=nothing)
    assert SourceDropout(FEATURES, 0.99)(empty) is empty
    assert request.sources is not None
    alone = replace(request, sources=request.sources.without("content"))  # its only source is never forgotten
    assert SourceDropout(FEATURES, 0.99)(alone) is alone
