"""What stands in the form becomes a request, or a word on what is wrong."""

from typing import Any, cast

import pytest

from apps.web.asking import Asked, FunnelDesk, WrongField
from cluster.settings.clients import Client, QuerySettings, StageSizes
from cluster.settings.project import DataSettings, Project, Source
from serving.deploy.process import Process
from serving.http.inside import Inside

FEED = Client(name="feed", sizes=StageSizes(answer=5))
HOME = Client(name="home", sizes=StageSizes(answer=20))
NEAR = Client(name="near", query=QuerySettings(source="request"), sizes=StageSizes(answer=30))


def desk(ids: Any = "int64") -> FunnelDesk:
    project = Project(ids=ids, data=DataSettings(edges=Source(path="none")))
    nothing = cast(Any, None)
    clients = {client.name: client for client in (FEED, HOME, NEAR)}
    inside = Inside(project, clients, nothing, nothing, nothing, nothing, nothing, nothing)
    return FunnelDesk(inside, Process(project, clients))


def test_ids_are_read_as_the_project_has_them() -> None:
    assert desk().read({"client": "feed", "user": " 7 ", "pin": "1, 2,"}) == Asked("feed", 7, (1, 2))
    assert desk("string").read({"client": "feed", "user": "7"}) == Asked("feed", "7", ())


def test_who_names_no_client_gets_the_one_of_users_that_answers_with_most() -> None:
    assert desk().read({"user": "7"}).client == "home"


@pytest.mark.parametrize(
    ("form", "fault"),
    [
        ({"client": "nobody", "user": "1"}, "client: there is none of that name; there are feed, home, near"),
        ({"client": "near", "user": "1"}, "pin: near walks from the pins of a request: name one"),
        ({"client": "feed"}, "user: name a user, or a pin to walk from"),
        ({"user": "x"}, "user: ids of this project are whole numbers, not 'x'"),
    ],
)
def test_what_is_wrong_is_said_with_its_field(form: dict[str, str], fault: str) -> None:
    with pytest.raises(WrongField) as error:
        desk().read(form)
    assert str(error.value) == fault


def test_the_same_form_walks_the_same_walk() -> None:
    assert Asked("feed", 7, (1,)).seed == Asked("feed", 7, (1,)).seed
    assert Asked("feed", 7, (1,)).seed != Asked("feed", "7", (1,)).seed
