"""What a client forbids to users of one locale is in none of their answers, whatever the source; others see it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.project import Opened
from apps.world.in_process import InProcess
from cluster.catalog.catalog import Catalog
from cluster.errors import ConfigError
from cluster.settings.clients import Client, PolicySettings, SourceSettings
from serving.policy.labels import LabelRules, check_labels
from tests.unit.serving.http.faces import Face
from tests.worlds.funnel import opened_world

COLUMN, VALUE, OTHER_VALUE = "format", 0, 1
SOURCES = ("walk", "boards", "content", "similar", "popular")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """Two formats are forbidden: one to everybody, one to users of the first locale."""
    opened = opened_world(tmp_path_factory.mktemp("world"))
    catalog = opened.new_process().catalogs.current
    policy = PolicySettings(
        forbid={COLUMN: (value_of(catalog, OTHER_VALUE),)},
        forbid_in={local(catalog): {COLUMN: (value_of(catalog, VALUE),)}},
    )
    for name in ("homefeed", "related_pins"):
        sources = {source: SourceSettings(quota=300) for source in SOURCES}
        opened.clients[name] = opened.clients[name].model_copy(update={"policy": policy, "sources": sources})
    return opened


def value_of(catalog: Catalog, code: int) -> str:
    labels = catalog.pins.labels
    assert labels is not None
    return labels.values[labels.columns.index(COLUMN)][code]


def local(catalog: Catalog) -> str:
    return catalog.pins.vocabulary.locales[0]


def having(catalog: Catalog, code: int) -> set[int]:
    """Ids of the pins with a format."""
    labels = catalog.pins.labels
    assert labels is not None
    holds = labels.holds(COLUMN, value_of(catalog, code), np.arange(catalog.graph.n_pins))
    return set(catalog.graph.pin_ids.ids_of(np.flatnonzero(holds)).tolist())


def users_of(catalog: Catalog, locale: int) -> list[int]:
    """Some users of a locale."""
    ids = catalog.users.ids.ids_of(np.arange(len(catalog.users))).tolist()
    return [user for user in ids if catalog.users.row(user).locale == locale][:3]


def pins(http: Face, client: str = "homefeed", **body: Any) -> set[int]:
    answer = http.post(f"/v1/{client}/recommendations", json={"limit": 200, **body})
    assert answer.status_code == 200, answer.text
    return {pin["pin_id"] for pin in answer.json()["pins"]}


@pytest.mark.parametrize("order", ["ranked", "visit_count"])
def test_it_holds_for_users_of_the_locale_and_for_requests_that_name_it(world: Opened, order: str) -> None:
    catalog = world.new_process().catalogs.current
    gone, everywhere = having(catalog, VALUE), having(catalog, OTHER_VALUE)
    here, elsewhere = users_of(catalog, 0), users_of(catalog, 1)
    assert here
    assert elsewhere
    query = [{"pin_id": pin} for pin in sorted(gone)[:3]]
    with InProcess(world) as inside:
        http = Face(inside.app)
        for user in here:
            assert not pins(http, user_id=user, order=order) & (gone | everywhere)
        assert not pins(http, locale=local(catalog), order=order) & (gone | everywhere)
        assert not pins(http, "related_pins", query_pins=query, locale=local(catalog), order=order) & gone
        for body in ({}, {"locale": "xx"}, *({"user_id": user} for user in elsewhere)):
            shown = pins(http, **body, order=order)
            assert shown & gone
            assert not shown & everywhere


def test_a_locale_that_no_pin_and_no_user_has_can_have_rules(world: Opened) -> None:
    catalog = world.new_process().catalogs.current
    client = world.clients["homefeed"]
    policy = PolicySettings(forbid_in={"xx": {COLUMN: (value_of(catalog, VALUE),)}})
    world.clients["homefeed"] = client.model_copy(update={"policy": policy})
    try:
        with InProcess(world) as inside:
            assert not pins(Face(inside.app), locale="xx") & having(catalog, VALUE)
            assert pins(Face(inside.app), locale=local(catalog)) & having(catalog, VALUE)
    finally:
        world.clients["homefeed"] = client


def test_a_label_of_several_rules_is_one_bit_and_a_column_that_is_not_read_is_an_error(tmp_path: Path) -> None:
    policy = PolicySettings(forbid={"a": ("x",)}, forbid_in={"de": {"a": ("x", "y")}}, demote={"a": {"y": 0.5}})
    rules = LabelRules.of(policy)
    assert (rules.columns, rules.values) == (("a", "a"), ("x", "y"))
    assert (rules.forbidden, rules.demoted, rules.forbidden_in) == (1, ((2, 0.5),), {"de": 3})
    client = Client(name="homefeed", policy=PolicySettings(forbid_in={"de": {"rating": ("adult",)}}))
    with pytest.raises(ConfigError, match=r"policy\.forbid_in: 'rating' is not among"):
        check_labels({"homefeed": client}, ("shop",))
