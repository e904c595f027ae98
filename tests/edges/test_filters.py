"""Filters as they come: whatever is asked, no pin that does not match is answered, and what is wrong is a short 422."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.project import Opened
from apps.world.in_process import InProcess
from cluster.attributes.faults import FilterError
from cluster.attributes.reading import filter_of_text, read_filter
from cluster.settings.attributes import attribute_kinds
from serving.deploy.process import Process
from tests.unit.serving.http.faces import Face
from tests.worlds.filters import filtered_world, holds, pin_rows_of, toy_filters
from tests.worlds.funnel import ask, some_user
from tests.worlds.fuzz import examples
from training.log.tasks import Cut, LogWindow, Read

ANSWER = 4_000
FEED = "/v1/homefeed/recommendations"
AT = "2026-01-05T12:00:00Z"


@dataclass(repr=False)
class Site:
    """The toy world with attributes, and its API; a failing example need not print it."""

    world: Opened
    http: Face

    def __post_init__(self) -> None:
        self.catalog = self.world.new_process().catalogs.current
        self.rows = pin_rows_of(self.world)
        self.kinds = attribute_kinds(self.world.project.attributes)
        self.user = some_user(self.world)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    world = filtered_world(tmp_path_factory.mktemp("world"))
    with InProcess(world) as app:
        yield Site(world, Face(app.app))


def post(http: Face, body: Any) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return http._call("POST", FEED, content=text, headers={"content-type": "application/json"})


@pytest.mark.fuzz
@settings(max_examples=examples(150))
@given(raw=toy_filters())
def test_any_filter_matches_what_it_says_row_by_row(site: Site, raw: dict[str, Any]) -> None:
    mask = site.catalog.attributes.matching(read_filter(json.loads(json.dumps(raw)), site.kinds))
    matched = site.catalog.graph.pin_ids.ids_of(np.flatnonzero(mask)).tolist()
    assert set(matched) == {pin for pin, row in site.rows.items() if holds(raw, row)}


@pytest.mark.fuzz
@settings(max_examples=examples(40))
@given(raw=toy_filters(), arm=st.sampled_from(["ranked", "visit_count"]), known=st.booleans(), limit=st.integers(1, 60))
def test_an_answer_is_full_of_matching_pins_and_of_no_others(
    site: Site, raw: dict[str, Any], arm: str, known: bool, limit: int
) -> None:
    user = site.user if known else None
    answer = post(site.http, {"user_id": user, "filter": raw, "limit": limit, "order": arm, "at": AT})
    assert answer.status_code == 200, answer.text[:300]
    matching = {pin for pin, row in site.rows.items() if holds(raw, row)}
    pins = [pin["pin_id"] for pin in answer.json()["pins"]]
    assert set(pins) <= matching
    acted = set() if user is None else set(site.catalog.users.row(user).pin_ids.tolist())
    assert len(pins) == min(limit, len(matching - acted))


@pytest.mark.fuzz
@settings(max_examples=examples(15))
@given(raw=st.none() | toy_filters())
def test_the_log_has_the_filter_and_candidates_that_match(site: Site, raw: dict[str, Any] | None) -> None:
    asked = post(site.http, {"user_id": site.user, "filter": raw, "at": AT}).json()["request_id"]
    site.http.post("/v1/logs/flush")
    paths = pa.table({"path": site.world.new_process().logs.serving_files().paths})
    read = Read(("request_id", "client", "requested_at", "pin_id", "filter"), Cut({"homefeed": LogWindow()}, {}))
    (row,) = [row for part in read(paths) for row in part.to_pylist() if row["request_id"] == asked][:1]
    if raw is None:
        assert row["filter"] is None
        return
    assert filter_of_text(row["filter"], site.kinds, ()) == read_filter(raw, site.kinds)
    assert all(holds(json.loads(row["filter"]), site.rows[pin]) for pin in row["pin_id"])


ODD = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["price", "domain"])
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["and", "or", "not", "attribute", "in", "=", "<", "exists"]), st.text(max_size=4)
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@pytest.mark.fuzz
@settings(max_examples=examples(150))
@given(raw=ODD)
def test_any_malformed_filter_is_a_422_and_nothing_worse(site: Site, raw: Any) -> None:
    try:
        read_filter(raw, site.kinds)
    except FilterError:
        well_formed = raw is None
    else:
        well_formed = True
    answer = post(site.http, {"filter": raw, "at": AT})
    assert len(answer.text) < ANSWER
    if well_formed:
        assert answer.status_code in (200, 503)
    else:
        assert answer.status_code == 422, (raw, answer.text[:300])
        assert answer.json()["detail"][0]["loc"][:2] == ["body", "filter"]


@pytest.mark.parametrize(
    ("raw", "loc", "says"),
    [
        (
            {"and": [{"attribute": "format", "exists": True}, {"attribute": "domian", "=": "x"}]},
            ["filter", "and", 1, "attribute"],
            "no attribute 'domian'; did you mean 'domain'?",
        ),
        (
            {"attribute": "image_quality", "in": [0.5, "high"]},
            ["filter", "image_quality", "in", 1],
            "expected a number, found 'high'",
        ),
        ({"attribute": "domain", "=": "x" * 100_000}, ["filter", "domain", "="], "longer than 256 bytes"),
        ({"attribute": "x" * 100_000}, ["filter", "attribute"], "no attribute 'xxx"),
        ({"x" * 100_000: 1}, ["filter"], "expected one of the keys"),
        ({"or": [{"attribute": "domain", "in": ["a"] * 1001}]}, ["filter", "or", 0, "domain", "in"], "more than 1000"),
        ({"or": [{"attribute": "domain", "exists": True}] * 5000}, ["filter", "or", 99], "more than 100 conditions"),
    ],
    ids=lambda value: None if isinstance(value, dict) else "",
)
def test_a_fault_is_a_short_422_with_its_path(site: Site, raw: Any, loc: list[Any], says: str) -> None:
    answer = post(site.http, {"filter": raw})
    assert answer.status_code == 422
    assert len(answer.text) < ANSWER
    (fault,) = answer.json()["detail"]
    assert fault["loc"] == ["body", *loc]
    assert says in fault["msg"]


@pytest.mark.parametrize("depth", [9, 500, 100_000])
def test_a_deep_filter_is_a_short_4xx(site: Site, depth: int) -> None:
    for text in ('{"not":' * depth + "1" + "}" * depth, '{"attribute":"domain","=":' + "[" * depth + "]" * depth + "}"):
        answer = post(site.http, f'{{"filter": {text}}}')
        assert 400 <= answer.status_code < 500
        assert len(answer.text) < ANSWER


def test_a_graph_from_before_the_attributes_says_to_build_again(tmp_path: Path) -> None:
    world = filtered_world(tmp_path)
    path = world.new_process().store.open("graph").path
    shutil.rmtree(path / "attributes")
    manifest = path / "manifest.json"
    assert manifest.exists()
    told = json.loads(manifest.read_text())
    told["files"] = {name: value for name, value in told["files"].items() if not name.startswith("attributes/")}
    del told["seal"]  # such a manifest has none
    manifest.write_text(json.dumps(told))
    with InProcess(world) as app:
        face = Face(app.app)
        assert post(face, {"at": AT}).status_code == 200
        answer = post(face, {"at": AT, "filter": {"attribute": "domain", "exists": True}})
        assert answer.status_code == 503
        assert "no attribute 'domain'" in answer.text
        assert "build the graph again" in answer.text


def test_exploration_shows_matching_pins_only(site: Site) -> None:
    client = site.world.clients["homefeed"]
    daring = client.model_copy(update={"sizes": client.sizes.model_copy(update={"explore": 5})})
    funnel = Process(site.world.project, {"homefeed": daring}).funnel
    raw = {"attribute": "topics", "contains": next(row["topics"][0] for row in site.rows.values() if row["topics"])}
    for user in (site.user, None):
        answer = funnel.recommend_now(ask(user_id=user, filter=read_filter(raw, site.kinds)), limit=8)
        assert np.sum(answer.explored) > 0
        assert all(holds(raw, site.rows[pin]) for pin in answer.candidates.pin_ids[answer.shown].tolist())
