"""The page of the HTTP API, from the OpenAPI document that a server answers with."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from apps.project import open_project
from apps.reference.markdown import code, prose, table
from apps.world.in_process import InProcess

SMALLEST = "data: {edges: {path: edges.parquet}}\n"
"""A project of which only the API is looked at."""

BOUNDS = {
    "minimum": "≥ {:g}",
    "exclusiveMinimum": "> {:g}",
    "maximum": "≤ {:g}",
    "minLength": "at least {} letters",
    "maxLength": "at most {} letters",
    "minItems": "at least {}",
    "maxItems": "at most {}",
}


def document() -> dict[str, Any]:
    """OpenAPI of a project with ids of the usual type."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pinfunnel.yaml"
        path.write_text(SMALLEST)
        with InProcess(open_project(path)) as server:
            return server.app.openapi()


def endpoints(api: Mapping[str, Any]) -> str:
    """A part for each call, then one for each type that bodies and answers are made of."""
    calls = [_call(method, path, told) for path, each in api["paths"].items() for method, told in each.items()]
    types = [_type(name, told) for name, told in sorted(api["components"]["schemas"].items())]
    return "\n".join(["# Calls\n", *calls, "# Types\n\nWhat bodies and answers are made of, by name.\n", *types])


def _call(method: str, path: str, told: Mapping[str, Any]) -> str:
    scopes = [scope for one in told.get("security", ()) for names in one.values() for scope in names]
    key = f"Needs a key with the scope {' or '.join(map(code, scopes))}, where there are keys." if scopes else ""
    parts = [f"## {method.upper()} {path}", f"{told['summary']}. {prose(told.get('description'))}", key]
    heads = ("parameter", "where", "type", "what it says")
    given = [
        (f"`{one['name']}`", one["in"], _kind(one["schema"]), one.get("description", ""))
        for one in told.get("parameters", ())
    ]
    parts.append(table(heads, given).rstrip())
    if body := told.get("requestBody"):
        parts.append(f"The body is {' or '.join(_bodies(body))}.")
    good = [f"`{status}` {' or '.join(_bodies(one))}" for status, one in told["responses"].items() if status < "400"]
    bad = [f"`{status}`" for status in sorted(told["responses"]) if status >= "400"]
    parts.append(f"Answers {', '.join(good)}; refuses with {', '.join(bad)}.\n")
    return "\n\n".join(part for part in parts if part)


def _bodies(told: Mapping[str, Any]) -> Iterator[str]:
    for media, one in told.get("content", {}).items():
        kind = _kind(one.get("schema", {}))
        yield kind if media == "application/json" else f"`{media}`"


def _type(name: str, told: Mapping[str, Any]) -> str:
    needed = told.get("required", ())
    rows = [
        (
            f"`{field}`",
            _kind(one),
            "needed" if field in needed else code(one["default"]) if "default" in one else "",
            one.get("description", ""),
        )
        for field, one in told.get("properties", {}).items()
    ]
    return f"## {name}\n\n{prose(told.get('description'))}\n\n" + table(
        ("field", "type", "default", "what it says"), rows
    )


def _kind(schema: Mapping[str, Any]) -> str:
    """Type and bounds of a JSON schema, with a link to a type that has a name."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{re.sub(r'[^a-z0-9]', '', name.lower())})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"] if one.get("type") != "null"))
    if "enum" in schema:
        return " or ".join(code(one) for one in schema["enum"])
    if "const" in schema:
        return code(schema["const"])
    words = str(schema.get("format") or schema.get("type") or "anything")
    if words == "array":
        words = f"list of {_kind(schema.get('items', {}))}"
    elif words == "object" and isinstance(schema.get("additionalProperties"), dict):
        words = f"mapping to {_kind(schema['additionalProperties'])}"
    limits = [told.format(schema[name]) for name, told in BOUNDS.items() if name in schema]
    return ", ".join([words, *limits])
