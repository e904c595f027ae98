"""From a YAML file to frozen, typed settings. Unknown keys are errors that name the key and the nearest known one.

Knows no section of any file: those are `Settings` classes in settings/project.py, settings/clients.py, or in the room
that a section sets.
"""

import difflib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.contract.api_keys import without_keys
from cluster.errors import ConfigError


class Settings(BaseModel):
    """Base of every YAML section: immutable, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=Settings)


class _OnceEach(yaml.SafeLoader):
    """YAML in which a key may stand once in a mapping: of two, the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key, _ in node.value:
            if key.value in keys:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} is there twice", problem_mark=key.start_mark)
            if isinstance(key, yaml.ScalarNode):
                keys.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping from a file, or a ConfigError that names the file and line."""
    try:
        raw = yaml.load(Path(path).read_text(encoding="utf-8-sig"), _OnceEach)  # nosec B506: a safe loader
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text (byte {error.start}): save it as UTF-8") from None
    except RecursionError:
        raise ConfigError(f"{path}: not valid YAML: nested too deeply") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected a mapping of settings, found {type(raw).__name__}")
    return raw


def parse(model: type[S], raw: dict[str, Any], origin: str) -> S:
    """Validate `raw` as `model`; every fault is listed as `origin: key: what is wrong`."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"])
            if fault["type"] == "extra_forbidden":
                known = _known_keys(model, fault["loc"][:-1])
                lines.append(f"{origin}: {key}: unknown key{near(str(fault['loc'][-1]), known)}")
            else:
                lines.append(f"{origin}: {key or 'file'}: {fault['msg']}, found {_told(fault['input'])}")
        raise ConfigError("\n".join(lines)) from None


def _told(value: Any) -> str:
    """The value as a message shows it, without keys and what a URL in it says before the host."""
    return f"{re.sub(r'//[^/@]*@', '//...@', without_keys(repr(value))):.80}"


def near(name: str, known: Iterable[str]) -> str:
    """What to say behind an unknown name: the nearest known one, or nothing."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{found[0]}'?" if found else ""


def _known_keys(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    here: Any = model
    of_mapping = False
    for part in path:
        if of_mapping:  # the part is a name in it, as that of a source
            of_mapping = False
            continue
        field = getattr(here, "model_fields", {}).get(part)
        if field is None:
            return []
        of_mapping = get_origin(field.annotation) is dict
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        here = next((o for o in options if isinstance(o, type) and issubclass(o, BaseModel)), None)
    return list(getattr(here, "model_fields", {}))
