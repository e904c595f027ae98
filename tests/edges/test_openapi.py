"""The API against its own document: schemathesis makes calls that fit it and calls that do not, in this process."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from apps.project import Opened
from apps.world.in_process import InProcess
from cluster.settings.access import Scope
from tests.worlds.funnel import opened_world
from tests.worlds.fuzz import examples
from tests.worlds.keys import KeyFiles, operations

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    ignored_auth,
]
"""Not `positive_data_acceptance`: which ids, clients and attributes there are is the project's, not the document's."""

REFUSED_BY_ROW = ("/v1/events",)
"""A batch with what is no event is answered 200: it names that row, and stores the rest (test_event_faults)."""

CALLS = [(path, method, mode) for path, method, _ in operations() for mode in GenerationMode]
NAMES = [f"{method} {path} {mode}" for path, method, mode in CALLS]
seen: Counter[int] = Counter()


@dataclass(frozen=True)
class Api:
    """The document as schemathesis reads it, and a key for all of it."""

    schema: Any
    headers: dict[str, str]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder: Path = tmp_path_factory.mktemp("api")
    files = KeyFiles(folder)
    key = files.add("all", *get_args(Scope))
    world = opened_world(folder)
    with InProcess(Opened(world.project.model_copy(update={"access": files.access}), world.clients)) as app:
        yield Api(schemathesis.openapi.from_asgi("/openapi.json", app.app), {"x-api-key": key})


@pytest.mark.fuzz
@pytest.mark.parametrize(("path", "method", "mode"), CALLS, ids=NAMES)
def test_every_call_is_answered_as_the_document_says(api: Api, path: str, method: str, mode: Any) -> None:
    operation = api.schema[path][method]
    bodies = "requestBody" in operation.definition.raw
    checks = [check for check in CHECKS if check is not negative_data_rejection or path not in REFUSED_BY_ROW]
    if not bodies and "{" not in path and mode.is_negative:
        pytest.skip("there is nothing about it that could be wrong")

    @given(case=operation.as_strategy(generation_mode=mode), client=st.sampled_from(["homefeed", "ads", ""]))
    @settings(max_examples=examples(60 if bodies else 3), suppress_health_check=list(HealthCheck))
    def call(case: Any, client: str) -> None:
        if client and mode.is_positive and "client" in case.path_parameters:
            case.path_parameters["client"] = client  # any text is a client to the document
        seen[case.call_and_validate(headers=api.headers, checks=checks).status_code] += 1

    call()


def test_calls_of_every_kind_were_made() -> None:
    """Says how many, too: `-s` shows it."""
    print(f"schemathesis: {sum(seen.values())} calls, by status {dict(sorted(seen.items()))}")
    assert seen[200] > 0
    assert seen[422] > 0
    assert not [status for status in seen if status >= 500]
