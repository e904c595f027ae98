"""Each view shows the numbers that the project itself gives."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import numpy as np
import pytest

from apps.web.funnel import FunnelColumns, funnel_columns
from apps.web.kept_out import kept_out
from apps.web.orders import two_orders
from apps.web.pins import PinCards
from apps.web.ribbon import HEIGHT, ribbon
from serving.policy.withheld import Withheld
from serving.request.answer import Answer
from tests.worlds.console import Browser, ConsoleSite, console_site
from tests.worlds.funnel import ask, some_user

DEPTH = 25


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleSite]:
    with console_site(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture(scope="module")
def browser(site: ConsoleSite) -> Browser:
    return site.signed_in()


@pytest.fixture(scope="module")
def answer(site: ConsoleSite) -> Answer:
    user = some_user(site.opened)
    hidden = site.process.funnel.recommend_now(ask(user_id=user)).candidates.pin_ids[:1].tolist()
    return site.process.funnel.recommend_now(ask(user_id=user, hidden=tuple(hidden)), explain=True)


@pytest.fixture(scope="module")
def columns(site: ConsoleSite, answer: Answer) -> FunnelColumns:
    catalog = site.process.catalogs.current
    return funnel_columns(answer, site.opened.clients["homefeed"], catalog, PinCards(catalog), DEPTH)


def text_of(page: str) -> str:
    """What people read."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page)))


def test_columns_count_what_each_stage_kept(answer: Answer, columns: FunnelColumns) -> None:
    assert answer.ranked is not None
    assert columns.candidates == len(answer.candidates.pins)
    assert columns.survivors == columns.scored == len(answer.ranked.survivors)
    assert {source.name: source.found for source in columns.sources} == answer.candidates.sources.found
    assert len(columns.query) == len(answer.candidates.query_pins)
    assert sum(one.weight for one in columns.query) == pytest.approx(1.0)
    assert columns.milliseconds == {stage.stage: stage.milliseconds for stage in answer.stages}


def test_each_order_is_the_stages_own_and_says_what_moved(answer: Answer, columns: FunnelColumns) -> None:
    assert answer.ranked is not None
    assert answer.scored is not None
    ids = answer.candidates.pin_ids
    assert [one.pin.pin_id for one in columns.lightweight] == ids[answer.ranked.survivors[:DEPTH]].tolist()
    best = answer.ranked.survivors[answer.scored.order()]
    assert [one.pin.pin_id for one in columns.full] == ids[best[:DEPTH]].tolist()
    for one in columns.full:
        assert one.before is not None
        assert ids[answer.ranked.survivors[one.before]] == one.pin.pin_id
        assert one.moved == one.before - one.rank
    assert [one.pin.pin_id for one in columns.answer] == ids[answer.shown].tolist()
    assert [one.shown for one in columns.full] == [one.pin.pin_id in ids[answer.shown] for one in columns.full]


def test_a_pin_of_the_answer_tells_what_its_explanation_tells(answer: Answer, columns: FunnelColumns) -> None:
    for at, one in enumerate(columns.answer):
        told = sorted(answer.contributions[at].items(), key=lambda item: -abs(item[1]))
        assert [(push.name, push.amount) for push in one.why.features] == told[:5]
        assert abs(one.why.features[0].share) == 1.0
        assert {found.source for found in one.why.found} == {found.source for found in answer.discoveries[at]}
        assert sum(chance.utility for chance in one.why.chances) == pytest.approx(one.why.utility, abs=1e-5)
        assert {chance.action for chance in one.why.chances} == set(answer.scored.actions if answer.scored else ())


def test_what_the_policy_took_out_is_named(site: ConsoleSite) -> None:
    """A pin that is a candidate although the request excludes it: history brings such ones."""
    user = some_user(site.opened)
    plain = site.process.funnel.recommend_now(ask(user_id=user))
    pin = plain.candidates.pin_ids[plain.shown[0]]
    found = site.process.funnel.recommend_now(ask(user_id=user), explain=True)
    found.ask = ask(user_id=user, exclude=(int(pin),))
    catalog = site.process.catalogs.current
    columns = funnel_columns(found, site.opened.clients["homefeed"], catalog, PinCards(catalog), DEPTH)
    assert [(step.step, step.count, [one.pin_id for one in step.pins]) for step in columns.removed] == [
        ("hidden", 1, [pin])
    ]
    assert [one.fate for one in columns.full if one.pin.pin_id == pin] in ([], ["left out: hidden"])


def test_what_no_source_may_bring_is_told_by_its_reason(site: ConsoleSite) -> None:
    process = site.process
    catalog = process.catalogs.current
    ids = [int(pin) for pin in catalog.graph.pin_ids.ids_of(np.arange(catalog.graph.n_pins))]
    user = catalog.users.row(some_user(site.opened))
    free = [pin for pin in ids if pin not in {*user.pin_ids.tolist(), *user.hidden.tolist()}]
    process.removals.remove(pins=free[:2])
    asked = ask(user_id=some_user(site.opened), exclude=tuple(free[1:4]), hidden=(free[4],), seen=(free[5], -7))
    query = process.sources.query(asked)
    told = {one.reason: one.count for one in kept_out(query, Withheld(process.removals), PinCards(catalog))}
    process.removals.restore(pins=free[:2])
    assert told["taken down"] == 2
    assert told["excluded by the request"] == 2
    assert told["shown too often"] == 1
    assert told["hidden by the user"] == 1 + len(set(user.hidden.tolist()))
    assert sum(told.values()) == len(query.exclude)


def test_two_orders_name_each_others_positions(site: ConsoleSite) -> None:
    user = some_user(site.opened)
    new, old = (site.process.funnel.recommend_now(ask(user_id=user), by_visits=by) for by in (False, True))
    cards = PinCards(site.process.catalogs.current)
    orders = two_orders(old, new, cards, ("books",))
    left = [one.pin.pin_id for one in orders.old]
    right = [one.pin.pin_id for one in orders.new]
    assert left == old.candidates.pin_ids[old.shown].tolist()
    assert right == new.candidates.pin_ids[new.shown].tolist()
    assert orders.both == len(set(left) & set(right))
    for one in orders.new:
        assert (None if one.other is None else left[one.other]) == (one.pin.pin_id if one.other is not None else None)
    assert sum(topic.old for topic in orders.topics) <= len(left)


def test_the_ribbon_is_as_wide_as_its_counts(columns: FunnelColumns) -> None:
    drawn = ribbon(columns)
    assert [one.count for one in drawn.stretches] == [
        len(columns.query), columns.candidates, columns.survivors, columns.scored, len(columns.answer)
    ]  # fmt: skip
    widest = max(drawn.stretches, key=lambda one: one.count)
    ys = [float(point.split(",")[1]) for point in widest.points.split()]
    assert max(ys) - min(ys) == HEIGHT


def test_cards_say_what_the_tables_say(site: ConsoleSite) -> None:
    catalog = site.process.catalogs.current
    cards = PinCards(catalog)
    weights = np.asarray(catalog.pins.topics)
    pin = int(np.flatnonzero((weights > 0).sum(axis=1) >= 2)[0])
    card = cards.of(pin)
    assert {catalog.pins.vocabulary.topics.index(topic) for topic in card.topics} == set(
        np.flatnonzero(weights[pin]).tolist()
    )
    assert cards.of_id(card.pin_id) == card
    assert cards.of_id(-5).topics == ()
    assert card.tile.first != card.tile.second


def test_the_funnel_page_shows_them(site: ConsoleSite, browser: Browser) -> None:
    user = some_user(site.opened)
    answer = browser.get("/console/funnel", params={"client": "homefeed", "user": user})
    told = text_of(answer.text)
    assert answer.status_code == 200
    assert f"25 pins for user {user} on homefeed" in told
    assert "Before and after" in told
    assert "TreeSHAP" in told
    assert 'style="' not in answer.text
    assert "<script>" not in answer.text


@pytest.mark.parametrize(
    ("params", "fault"),
    [
        ({"client": "none"}, "client: there is none of that name"),
        ({"client": "none", "user": "1"}, "client: there is none of that name"),
        ({"user": "<b>x"}, "user: ids of this project are whole numbers, not '<b>x'"),
        ({"user": "9" * 30}, "user: an int64 id lies between"),
        ({"pin": "1,x"}, "pin: ids of this project are whole numbers"),
    ],
)
def test_what_cannot_be_asked_is_said(browser: Browser, params: dict[str, Any], fault: str) -> None:
    answer = browser.get("/console/funnel", params=params)
    assert answer.status_code == 200
    assert fault in text_of(answer.text)
    assert "<b>x" not in answer.text


def test_a_pin_may_be_walked_from(site: ConsoleSite, browser: Browser) -> None:
    catalog = site.process.catalogs.current
    pin = int(catalog.graph.pin_ids.ids_of(np.array([int(catalog.graph.pin_degree.argmax())]))[0])
    told = text_of(browser.get("/console/funnel", params={"client": "related_pins", "pin": pin}).text)
    assert "a visitor on related_pins" in told


def test_a_logged_request_is_found_by_its_id(site: ConsoleSite, browser: Browser) -> None:
    user = some_user(site.opened)
    key = {"x-api-key": site.keys["events"]}
    body = {"user_id": user}
    answer = browser.post("/v1/homefeed/recommendations", json=body, headers=key).json()
    browser.post("/v1/logs/flush", headers={"x-api-key": site.keys["admin"]})
    told = text_of(browser.get("/console/logs", params={"id": answer["request_id"]}).text)
    assert f"of user {user}" in told
    shown = re.findall(r"(\d{8}) (\d+) answer", told)
    assert [(int(pin), int(at)) for pin, at in shown] == [
        (pin["pin_id"], at) for at, pin in enumerate(answer["pins"], 1)
    ]
    assert answer["request_id"] in text_of(browser.get("/console/logs").text)
    missing = browser.get("/console/logs", params={"id": "none"})
    assert missing.status_code == 404
    assert "No logged request has this id" in missing.text


def test_health_counts_the_answers_of_this_process(site: ConsoleSite, browser: Browser) -> None:
    before = site.figures.total("answers").get(("search",), 0)
    pin = int(site.process.catalogs.current.graph.pin_ids.ids_of(np.array([0]))[0])
    body = {"user_id": some_user(site.opened), "query_pins": [{"pin_id": pin}]}
    for _ in range(3):
        browser.post("/v1/search/recommendations", json=body, headers={"x-api-key": site.keys["events"]})
    page = browser.get("/console/health").text
    told = text_of(page[page.index('id="h-search"') :])
    assert f"search answers {before + 3} degraded 0" in told
    assert sum(site.figures.by_minute("answers", "search")) == before + 3
