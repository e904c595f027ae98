"""Pages of settings, from the pydantic models that read the files: each key with type, default, bounds and meaning."""

import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Any

import annotated_types as bounds
from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from apps.reference.markdown import code, prose, table
from cluster.errors import ConfigError

WORDS = {
    Path: "file or folder",
    int: "whole number",
    float: "number",
    str: "text",
    bool: "true or false",
    Any: "anything",
    JsonValue: "anything",
}
SIGNS = {bounds.Ge: ("≥", "ge"), bounds.Gt: (">", "gt"), bounds.Le: ("≤", "le"), bounds.Lt: ("<", "lt")}


@dataclass(frozen=True)
class Section:
    """Keys that stand together in a file: `path` leads to them, "" is the file itself; `about` is said of it there."""

    path: str
    model: type[BaseModel]
    about: str = ""

    def rows(self) -> Iterator[tuple[str, str, str, str]]:
        """Key, type, default and meaning of each key that is no section itself. Raises ConfigError for one without."""
        for name, field in self.model.model_fields.items():
            if model_in(field.annotation) is None:
                if not field.description:
                    raise ConfigError(f"{self.model.__name__}.{name} has no description: write one in its Field(...)")
                yield f"`{name}`", kind(field), default(field), field.description


def markdown(model: type[BaseModel], level: str = "##") -> Iterator[str]:
    """Each section with a heading, what it is for, and its keys; one that was met before is named instead."""
    met: dict[type[BaseModel], str] = {}
    for one in sections(model):
        title = f"{level} `{one.path}`\n" if one.path else ""
        about = f"{one.about[:1].upper()}{one.about[1:]}." if one.about else ""
        if one.model in met:
            yield "\n".join([title, f"{about} The same keys as [`{met[one.model]}`](#{_anchor(met[one.model])}).", ""])
            continue
        met[one.model] = one.path
        told = "\n\n".join(part for part in (about, prose(one.model.__doc__)) if part)
        yield "\n".join([title, told, "", table(("key", "type", "default", "what it says"), one.rows())])


def _anchor(path: str) -> str:
    """What GitHub makes of a heading."""
    return "".join(letter for letter in path.lower() if letter.isalnum() or letter in "_-")


def sections(model: type[BaseModel], path: str = "", about: str = "") -> Iterator[Section]:
    """The file's own section and those below it, in the order of the model."""
    yield Section(path, model, about)
    for name, field in model.model_fields.items():
        if (inner := model_in(field.annotation)) is not None:
            below = f"{path}.{name}" if path else name
            several = typing.get_origin(_present(field.annotation))
            yield from sections(inner, below + {dict: ".NAME", tuple: "[]"}.get(several, ""), field.description or "")


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a section, also of an optional one, of a list of them, and of a mapping to them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inside = typing.get_args(annotation)
    return next((found for one in inside if (found := model_in(one)) is not None), None)


def kind(field: FieldInfo) -> str:
    """Type and bounds in words."""
    return ", ".join([type_words(field.annotation), *_bounds(field.metadata)])


def default(field: FieldInfo) -> str:
    """What holds where the key is left out; nothing where its description says that."""
    if "default:" in (field.description or ""):
        return ""
    if field.default is PydanticUndefined:
        return "needed" if field.default_factory is None else ""
    return "none" if field.default is None or field.default in ((), {}, "") else code(field.default)


def _present(annotation: Any) -> Any:
    """Of an optional type, the type."""
    inside = [one for one in typing.get_args(annotation) if one is not NoneType]
    union = NoneType in typing.get_args(annotation)
    return inside[0] if union and len(inside) == 1 else annotation


def type_words(annotation: Any) -> str:
    """A type as a reader of files and of a command line calls it."""
    annotation = _present(annotation)
    inside = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return " or ".join(code(one) for one in inside)
    if origin is typing.Annotated:
        return ", ".join([type_words(inside[0]), *_bounds(inside[1:])])
    if origin in (tuple, list):
        return f"list of {type_words(inside[0])}"
    if origin is dict:
        return f"mapping of {type_words(inside[0])} to {type_words(inside[1])}"
    if inside:
        return " or ".join(dict.fromkeys(type_words(one) for one in inside if one is not NoneType))
    return str(WORDS.get(annotation) or getattr(annotation, "__name__", annotation))


def _bounds(metadata: typing.Iterable[Any]) -> list[str]:
    found = []
    for one in metadata:
        if type(one) in SIGNS:
            sign, name = SIGNS[type(one)]
            limit = getattr(one, name)
            found.append(f"{sign} {limit:,}" if isinstance(limit, int) else f"{sign} {limit:g}")
        elif isinstance(one, bounds.MinLen):
            found.append(f"at least {one.min_length}")
        elif isinstance(one, bounds.MaxLen):
            found.append(f"at most {one.max_length}")
        elif pattern := getattr(one, "pattern", None):
            found.append(f"like `{pattern}`")
    return found
