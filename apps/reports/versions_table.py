"""Stored versions as tables and lines of text, for `pinfunnel models`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from apps.reports.home_status import age
from apps.tables import Table
from training.registry.details import Curve, Details
from training.registry.differences import Difference, flat
from training.registry.versions import Kind, Version

FEATURES = 12
"""Most used features that are listed; `--json` has all."""
LEFT_OUT = frozenset(("metrics", "gate", "trained_on", "judged_on", "table", "figures", "curves", "events", "drops"))
"""Parts of a manifest that have lines of their own, or that `--json` alone tells."""


def list_lines(kinds: Sequence[Kind], newest: int) -> Iterator[str]:
    """A paragraph a kind, its newest versions first; the one that serves is always among them."""
    if not kinds:
        yield "nothing is stored yet: `pinfunnel build-graph` makes the first"
    now = datetime.now(UTC)
    for kind in kinds:
        yield kind.name
        shown = [one for at, one in enumerate(kind.versions) if at < newest or one.version == kind.current]
        for one in shown:
            figures = ", ".join(f"{name} {_number(value)}" for name, value in one.figures.items())
            facts = f"{one.state:<13}  {age(one.made, now):<10}  {_size(one.bytes):>8}  {figures}"
            yield f"  {one.version:<22}  {facts}".rstrip()
            if one.reason:
                yield f"    {one.reason}"
        if left := len(kind.versions) - len(shown):
            yield f"  and {left:,} older: --newest {len(kind.versions)} shows all"
        if kind.standing.held is not None:
            yield f"  held {kind.standing.held.text()}: newer versions are not published"
        if kind.broken:
            yield f"  DAMAGED: {kind.broken}"


def detail_lines(found: Details) -> Iterator[str]:
    """Everything of one version but the long lists, which --json has."""
    one = found.version
    made = "at an unknown time" if one.made is None else f"{one.made:%Y-%m-%d %H:%M:%S} UTC"
    yield f"{one.kind} {one.version}, made {made}, {_size(one.bytes)}: {one.state}"
    if one.reason:
        yield f"  {one.reason}"
    gate = one.meta.get("gate", {}).get("reason", "")
    if gate and gate != one.reason:
        yield f"  its gate: {gate}"
    for name in ("trained_on", "judged_on"):
        yield from _span_lines(name.replace("_", " "), one.meta.get(name) or {})
    if one.figures:
        yield "figures: " + ", ".join(f"{name} {_number(value)}" for name, value in one.figures.items())
    for name, value in flat(one.meta):
        if not LEFT_OUT.intersection(name.split(".")):
            yield f"  {name}: {_told(value)}"
    if found.importance:
        yield "features, by their share of the gain of all splits:"
        for name, share in list(found.importance.items())[:FEATURES]:
            yield f"  {share:6.1%}  {name}"
    for curve in found.curves:
        yield _curve_line(curve)
    yield "files: " + ", ".join(f"{name} {_size(size)}" for name, size in found.files.items())


def difference_lines(before: Version, after: Version, found: Sequence[Difference]) -> Iterator[Table | str]:
    """A row a fact; numbers with what was added."""
    if not found:
        yield f"{before.kind}: nothing differs between {before.version} and {after.version}"
        return
    table = Table(title=before.kind, title_justify="left", box=None, pad_edge=False)
    for heading in ("", before.version, after.version, "change"):
        table.add_column(heading, overflow="fold")
    for one in found:
        change = "" if one.change is None else f"{one.change:+.6g}"
        table.add_row(one.name, _told(one.before), _told(one.after), change)
    yield table


def kind_facts(kind: Kind) -> dict[str, Any]:
    """JSON-able: what `models list --json` writes of a kind."""
    held = kind.standing.held
    return {
        "current": kind.current,
        "held": None if held is None else held.text(),
        "versions": [
            {
                "version": one.version,
                "state": one.state,
                "reason": one.reason,
                "made": None if one.made is None else one.made.isoformat(),
                "bytes": one.bytes,
                "figures": one.figures,
            }
            for one in kind.versions
        ],
    }


def _span_lines(title: str, span: Mapping[str, Any]) -> Iterator[str]:
    """`span` as a lightweight ranker's manifest has it, or one a client as the full ranker's."""
    spans = {"": span} if "requests" in span else dict(span)
    for name, one in spans.items():
        client = f" of {name}" if name else ""
        yield f"{title}: {one['requests']:,} requests{client}, {one['from']} to {one['to']}"


def _curve_line(curve: Curve) -> str:
    best = min(range(len(curve.values)), key=curve.values.__getitem__) if curve.values else 0
    told = "" if not curve.values else f", {curve.values[0]:.4f} to {curve.values[-1]:.4f}, least at {best + 1}"
    return f"fit, {curve.name}: {len(curve.values)} {curve.over}{told}"


def _told(value: Any) -> str:
    return "–" if value is None else _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) >= 1 else f"{value:.4f}"


def _size(size: int) -> str:
    for unit, power in (("GB", 9), ("MB", 6), ("kB", 3)):
        if size >= 10**power:
            return f"{size / 10**power:.1f} {unit}"
    return f"{size} B"
