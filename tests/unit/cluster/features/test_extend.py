"""docs/extend/feature.md does what it says: its function becomes a column, in a registry of this test's own."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest

from cluster.features.assemble import FeatureSet, build_features
from cluster.features.feature import Side
from cluster.features.inputs import RequestInput
from cluster.settings.project import FeatureSettings
from tests.unit.cluster.features.given import asked, found, query, user

PAGE = Path(__file__).parents[4] / "docs" / "extend" / "feature.md"


def test_the_function_of_the_page_becomes_a_column() -> None:
    (example,) = re.findall(r"^( *)```python\n(.*?)^\1```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    side = Side[RequestInput, np.ndarray]("graph")
    exec(textwrap.dedent(example[1]), {"GRAPH": side, "RequestInput": RequestInput, "np": np})
    (added,) = side
    assert added.about == "Visits per query pin whose walk reached the candidate"
    before = FeatureSet.of(FeatureSettings())
    features = FeatureSet((*before.features, added))
    candidates = found()
    block = build_features(features, asked(user(), query(), candidates))
    column = block.candidates[:, features.candidate.index("graph_visits_per_hit")]
    assert column == pytest.approx(candidates.visits / candidates.hits)
    others = [name for name in features.candidate if name.startswith(("pin_", "graph_"))]
    assert features.candidate[: len(others)] == (*before.candidate[: len(others) - 1], "graph_visits_per_hit")
    assert not features.accepts(before.schema_hash)


def test_a_name_of_another_side_or_a_taken_one_is_refused() -> None:
    side = Side[RequestInput, float]("user")

    def user_height(request: RequestInput) -> float:
        return 1.8

    def height(request: RequestInput) -> float:
        return 1.8

    side.feature(version=1)(user_height)
    with pytest.raises(ValueError, match="registered twice"):
        side.feature(version=1)(user_height)
    with pytest.raises(ValueError, match="named user_"):
        side.feature(version=1)(height)
    assert [feature.name for feature in side] == ["user_height"]
