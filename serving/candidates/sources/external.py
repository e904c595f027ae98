"""The source `external`: your own service, asked over HTTP. What it sends and gets: docs/extend/external.md.

Nothing that it answers is trusted: serving/candidates/external_answer.py reads it.
"""

import logging
import os
import threading
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from pydantic import Field, field_validator

from cluster.catalog.catalog import Catalog
from cluster.contract.ids import plain_id
from cluster.errors import ConfigError, DataError
from cluster.settings.parsing import Settings
from serving.candidates.external_answer import read_answer
from serving.candidates.generator import CandidateGenerator, register
from serving.candidates.query import Query
from serving.request.deadline import Deadline
from serving.request.found import FoundPins

if TYPE_CHECKING:
    import httpx

EXCLUDED = 1000
"""Most pins that the service is told to leave out. Whatever it answers, none of the others is shown either."""

MOST_BYTES = 1 << 23
"""Of an answer: 20,000 pins of the longest ids fit."""

IDLE_SECONDS = 60.0
"""For so long a connection is kept for the next request."""

log = logging.getLogger(__name__)


class ExternalOptions(Settings):
    """Where the service is, and for how long it is waited for."""

    url: str = Field(description="http:// or https://, without name and password")
    timeout_ms: float = Field(100.0, gt=0, le=60_000, description="and never longer than the source's deadline")
    headers: dict[str, str] = Field({}, description="header -> environment variable that holds its value")

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            known = False
        if not known:
            raise ValueError("a service needs a URL like http://host:8080/candidates")
        if "@" in parts.netloc:
            raise ValueError("a URL may hold no name or password: put them into a header, by `headers`")
        return url


@register("external")
class ExternalService(CandidateGenerator):
    """Connections are kept between requests and shared by threads. A redirect is not followed."""

    Options = ExternalOptions

    def __init__(self, options: ExternalOptions):
        self._options = options
        self._unknown = 0
        self._lock = threading.Lock()

    def prepare(self, catalog: Catalog) -> None:
        """Raises ConfigError for a header whose environment variable is not set."""
        _ = self._http

    def generate(self, query: Query, budget: int, deadline: Deadline) -> FoundPins:
        """Best first by the service's scores. Raises TimeoutError, httpx.HTTPError or DataError; then it found none."""
        seconds = min(deadline.left(), self._options.timeout_ms / 1e3)
        body = self._answer(question(query, budget), Deadline.after(seconds))
        answer = read_answer(body, query.catalog.ids)
        pins = query.catalog.graph.pin_ids.index_of(answer.ids)
        known = pins >= 0
        self._note_unknown(int((~known).sum()))
        rows = np.flatnonzero(known)
        rows = rows[query.keeps(pins[rows])]
        rows = rows[np.argsort(-answer.score[rows], kind="stable")]
        rows = rows[np.sort(np.unique(pins[rows], return_index=True)[1])]  # one that is named twice counts once
        return FoundPins(pins[rows], answer.score[rows]).checked(query.catalog.graph.n_pins, budget)

    def _answer(self, asked: Mapping[str, Any], deadline: Deadline) -> bytes:
        """The body of the answer; a service that sends byte by byte is not waited for longer than another."""
        left = deadline.left()
        if left <= 0:
            raise TimeoutError("no time left to ask the service")
        body = bytearray()
        with self._http.stream("POST", self._options.url, json=asked, timeout=left) as response:
            if response.status_code != HTTPStatus.OK:
                raise DataError(f"the service answered with status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise DataError("the service compressed its answer, which it was asked not to")
            for part in response.iter_raw():
                body += part
                if len(body) > MOST_BYTES:
                    raise DataError(f"the service's answer is longer than {MOST_BYTES} bytes")
                if deadline.left() <= 0:
                    raise TimeoutError("the service's answer was not whole in time")
        return bytes(body)

    @cached_property
    def _http(self) -> "httpx.Client":
        import httpx  # 10 MB that only those need who have such a source

        headers = {"accept": "application/json", "accept-encoding": "identity"}
        for name, variable in self._options.headers.items():
            value = os.environ.get(variable, "")
            if not value:
                raise ConfigError(
                    f"external source: headers.{name}: the environment variable {variable!r} is not set or empty: "
                    "set it where the server starts"
                )
            headers[name] = value
        limits = httpx.Limits(max_keepalive_connections=32, keepalive_expiry=IDLE_SECONDS)
        client = httpx.Client(headers=headers, limits=limits, trust_env=False)  # no proxy out of the environment
        weakref.finalize(self, client.close)
        return client

    def _note_unknown(self, n: int) -> None:
        """Counts pins that the graph does not have; a line in the log whenever they have doubled."""
        if not n:
            return
        with self._lock:
            before, self._unknown = self._unknown, self._unknown + n
            doubled = self._unknown.bit_length() > before.bit_length()
        if doubled:
            log.warning(
                "the service at %s has named %d pins so far that are not in the graph; they were left out",
                urlsplit(self._options.url).netloc,
                self._unknown,
            )


def question(query: Query, limit: int) -> dict[str, Any]:
    """What the service is asked, as JSON has it."""
    ask, catalog = query.ask, query.catalog
    locales = catalog.pins.vocabulary.locales
    pins = catalog.graph.pin_ids.ids_of(query.pins)
    return {
        "client": ask.client,
        "user_id": ask.user_id,
        "query_pins": [
            {"pin_id": plain_id(pin), "weight": float(weight)} for pin, weight in zip(pins, query.weight, strict=True)
        ],
        "locale": locales[query.locale] if query.locale >= 0 else None,
        "at": datetime.fromtimestamp(ask.at / 1e6, UTC).isoformat(),
        "limit": limit,
        "exclude": [plain_id(pin) for pin in list(dict.fromkeys([*ask.barred(), *ask.seen]))[:EXCLUDED]],
    }
