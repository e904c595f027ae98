"""The models view: what a manifest tells, as tables; and what buttons may do."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from apps.web.versions import figures_of, one_version, spans_of
from tests.worlds.console import HOME, ConsoleSite, console_site
from tests.worlds.funnel import publish_lightweight

KIND = "lightweight/homefeed"
ORIGIN = {"origin": HOME}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleSite]:
    with console_site(tmp_path_factory.mktemp("site")) as made:
        yield made


def interval(mean: float) -> dict[str, float]:
    return {"mean": mean, "low": mean - 1, "high": mean + 1, "n": 5}


def test_figures_of_a_lightweight_ranker_are_a_row_a_metric_and_a_column_an_order() -> None:
    orders = {"lightweight": {"auc": interval(1), "ndcg@10": interval(2)}, "visit_count": {"auc": interval(3)}}
    [table] = figures_of({"orders": orders, "note": "text", "empty": {}})
    assert (table.title, table.columns) == ("orders", ("lightweight", "visit_count"))
    assert table.rows == (
        ("auc", (orders["lightweight"]["auc"], orders["visit_count"]["auc"])),
        ("ndcg@10", (orders["lightweight"]["ndcg@10"], None)),
    )


@pytest.mark.parametrize("metrics", [None, {}, "text", {"a": None}, {"a": {"mean": None}}])
def test_of_other_manifests_there_are_none(metrics: object) -> None:
    assert figures_of(metrics) == ()


def test_spans_are_of_all_clients_or_of_each() -> None:
    span = {"requests": 7, "from": "2026-01-01", "to": "2026-01-02"}
    assert [(one.what, one.client, one.requests) for one in spans_of("trained on", span)] == [("trained on", "", 7)]
    assert [one.client for one in spans_of("judged on", {"a": span, "b": span, "c": None})] == ["a", "b"]
    assert spans_of("judged on", None) == ()


def test_a_version_tells_what_is_stored(site: ConsoleSite) -> None:
    store = site.process.store
    page = one_version(store, KIND, None)
    assert page.version.version == page.kind.current == store.current(KIND)
    assert page.importance[0][0] == "graph_rank"
    assert page.importance[0][1] == pytest.approx(1.0, abs=0.2)
    assert "model.ubj" in dict(page.files)
    publish_lightweight(store, site.process.features, "search", "graph_rank")
    (store.open("lightweight/search").path / "model.ubj").write_bytes(b"x")
    assert "missing or damaged" in one_version(store, "lightweight/search", None).damage


def after_the_second_of(version: str | None) -> None:
    """Versions are told apart by the second: of two in one, neither is the older."""
    while f"{datetime.now(UTC):%Y%m%dT%H%M%S}" <= (version or "")[:15]:
        time.sleep(0.05)


def test_posts_change_what_serves_and_other_pages_cannot(site: ConsoleSite) -> None:
    store = site.process.store
    first = store.current(KIND)
    after_the_second_of(first)
    second = publish_lightweight(store, site.process.features, "homefeed", "graph_rank")
    browser = site.signed_in()
    body = {"kind": KIND, "version": second, "act": "roll back", "why": "clicks fell"}
    assert browser.post("/console/models/act", data=body, headers={"origin": "http://evil.test"}).status_code == 403
    assert site.browser().post("/console/models/act", data=body, headers=ORIGIN).headers["location"].endswith("/login")
    assert store.current(KIND) == second
    answer = browser.post("/console/models/act", data=body, headers=ORIGIN)
    assert answer.status_code == 303
    assert store.current(KIND) == first
    told = browser.get(f"/console/models/one?kind={KIND}&version={second}").text
    assert "clicks fell" in told


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        ({"kind": KIND, "act": "publish", "version": "none"}, 303, "no+lightweight%2Fhomefeed+of+version+none"),
        ({"kind": KIND, "act": "roll back"}, 303, "fault="),
        ({"kind": "none", "act": "hold"}, 303, "no+none+is+stored"),
        ({"kind": KIND, "act": "delete"}, 404, ""),
        ({}, 404, ""),
    ],
)
def test_what_cannot_be_done_is_told(site: ConsoleSite, body: dict[str, str], status: int, told: str) -> None:
    answer = site.signed_in().post("/console/models/act", data=body, headers=ORIGIN)
    assert answer.status_code == status
    assert told in answer.headers.get("location", "")


def test_pages_of_versions_that_there_are_not_say_which_there_are(site: ConsoleSite) -> None:
    answer = site.signed_in().get("/console/models/one?kind=none")
    assert answer.status_code == 404
    assert "there are graph, full, lightweight/homefeed" in answer.text
