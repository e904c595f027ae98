"""The models view: every stored version, what it is worth and why it serves; publish, take back and hold by hand.

All of it is training.registry's, the same as `pinfunnel models` shows and does.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from apps.web.drawing import Templates
from apps.web.pages import form_of
from cluster.errors import BundleError
from cluster.settings.project import Project
from cluster.store.bundles import BundleStore
from serving.http.inside import CONSOLE
from training.registry.changes import Changed, hold, publish_version, release, roll_back
from training.registry.details import Curve, read_details
from training.registry.differences import differences, flat
from training.registry.versions import Kind, Version, find_version, read_kind, read_kinds
from training.tracking.tell import tell_versions

SHOWN = 8
"""Versions of each kind in the list of all."""
FEATURES = 15
LONG = frozenset(("metrics", "gate", "trained_on", "judged_on", "table", "figures", "curves", "events", "drops"))
"""Parts of a manifest that have their own part of the page, or are too long for one."""
MOST_WORDS = 200


@dataclass(frozen=True)
class LearnedSpan:
    """What a version learned from or was judged on."""

    what: str
    client: str
    requests: int
    since: str
    until: str


@dataclass(frozen=True)
class MeritTable:
    """Figures of merit with intervals: a row a metric or client, a column an order; None where there is none."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Mapping[str, Any] | None, ...]], ...]


@dataclass(frozen=True)
class OneVersion:
    """A page of a version."""

    kind: Kind
    version: Version
    spans: tuple[LearnedSpan, ...]
    figures: tuple[MeritTable, ...]
    curves: tuple[Curve, ...]
    importance: tuple[tuple[str, float], ...]
    facts: tuple[tuple[str, Any], ...]
    files: tuple[tuple[str, int], ...]
    damage: str = ""


def one_version(store: BundleStore, kind_name: str, wanted: str | None) -> OneVersion:
    """Everything of a version; one that is damaged tells how. Raises BundleError where there is no such one."""
    kind = read_kind(store, kind_name)
    version = find_version(store, kind, wanted)
    meta = version.meta
    spans = (*spans_of("trained on", meta.get("trained_on")), *spans_of("judged on", meta.get("judged_on")))
    facts = tuple((name, value) for name, value in flat(meta) if not LONG.intersection(name.split(".")))
    figures = figures_of(meta.get("metrics"))
    try:
        found = read_details(store, version)
    except BundleError as error:
        return OneVersion(kind, version, spans, figures, (), (), facts, (), str(error))
    importance = tuple(found.importance.items())[:FEATURES]
    return OneVersion(kind, version, spans, figures, found.curves, importance, facts, tuple(found.files.items()))


def spans_of(what: str, told: Any) -> tuple[LearnedSpan, ...]:
    """`told`: a span as a lightweight ranker's manifest has it, or one a client as the full ranker's."""
    if not isinstance(told, Mapping):
        return ()
    each = {"": told} if "requests" in told else told
    return tuple(
        LearnedSpan(what, client, int(span["requests"]), str(span["from"]), str(span["to"]))
        for client, span in each.items()
        if isinstance(span, Mapping) and {"requests", "from", "to"} <= set(span)
    )


def figures_of(metrics: Any) -> tuple[MeritTable, ...]:
    """Every interval (`mean`, `low`, `high`) within nested mappings, a table for each name at the top."""
    if not isinstance(metrics, Mapping):
        return ()
    tables = []
    for title, inner in metrics.items():
        found = dict(_intervals(inner, ()))
        columns = dict.fromkeys(" · ".join(path[:-1]) for path in found)
        rows = dict.fromkeys(path[-1] for path in found if path)
        cells = {(" · ".join(path[:-1]), path[-1]): value for path, value in found.items() if path}
        told = tuple((row, tuple(cells.get((column, row)) for column in columns)) for row in rows)
        if told:
            tables.append(MeritTable(str(title), tuple(columns), told))
    return tuple(tables)


def _intervals(told: Any, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    if not isinstance(told, Mapping):
        return
    if isinstance(told.get("mean"), int | float):
        yield above, told
        return
    for name, inner in told.items():
        yield from _intervals(inner, (*above, str(name)))


class ModelPages:
    """Endpoints."""

    def __init__(self, templates: Templates, project: Project, store: BundleStore):
        self._templates = templates
        self._project = project
        self._store = store

    async def all(self, request: Request) -> Response:
        """Every kind, its newest versions."""
        kinds = await asyncio.to_thread(read_kinds, self._store)
        return self._templates.page(request, "models.html", {"kinds": kinds, "shown": SHOWN})

    async def one(self, request: Request) -> Response:
        """One version, or with `against` where it differs from another."""
        asked = request.query_params
        kind = asked.get("kind", "")
        try:
            page = await asyncio.to_thread(one_version, self._store, kind, asked.get("version") or None)
            other = None
            if against := asked.get("against"):
                other = find_version(self._store, page.kind, against)
        except BundleError as error:
            raise HTTPException(404, str(error)) from error
        found = None if other is None else differences(other.meta, page.version.meta)
        values = {"page": page, "other": other, "differences": found, "fault": asked.get("fault", "")[:1000]}
        return self._templates.page(request, "models_one.html", values)

    async def act(self, request: Request) -> Response:
        """What a button asks for; the page of the version that serves then, or why not."""
        form = await form_of(request)
        kind = form.get("kind", "")
        version = form.get("version", "")
        why = form.get("why", "").strip()[:MOST_WORDS]
        acts: dict[str, Callable[[], object]] = {
            "publish": lambda: publish_version(self._project, self._store, kind, version, form.get("anyway") == "yes"),
            "roll back": lambda: roll_back(self._project, self._store, kind, None, why),
            "hold": lambda: hold(self._store, kind, why),
            "release": lambda: release(self._store, kind),
        }
        act = acts.get(form.get("act", ""))
        if act is None:
            raise HTTPException(404, f"acts are {', '.join(acts)}")
        asked = {"kind": kind}
        behind = None
        try:
            done = await asyncio.to_thread(act)
        except BundleError as error:
            asked |= {"version": version, "fault": str(error)}
        else:
            if isinstance(done, Changed):  # a tracking server may take long
                behind = BackgroundTask(tell_versions, self._project, self._store, [(kind, done.now)])
        return RedirectResponse(f"{CONSOLE}/models/one?{urlencode(asked)}", 303, background=behind)
