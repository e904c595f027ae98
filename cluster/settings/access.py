"""`access` in pinfunnel.yaml and the file of keys that it names: who may call the API, for what, and how often."""

from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from cluster.settings.parsing import Settings, parse, read_yaml

Scope = Literal["recommend", "events", "admin"]
"""What a key is for. None of them implies another."""


class AccessSettings(Settings):
    """Without keys the API is open, and then served on this machine alone unless `open` says otherwise."""

    keys: str | None = Field(
        None, description="file of keys, read again when it changes; then only `/healthz` and `/readyz` need none"
    )
    open: bool = Field(False, description="whoever reaches the port, from wherever, may do everything without a key")

    hosts: tuple[str, ...] = Field(
        (), description="names beside localhost by which a server without keys on this machine alone may be called"
    )

    console: bool | None = Field(
        None, description="serve `/console`; default: where there is a file of keys, or only this machine calls"
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> "AccessSettings":
        if self.open and self.keys is not None:
            raise ValueError("`open: true` and `keys` contradict each other: leave one out")
        return self


class ApiKey(Settings):
    """A key by its hash: `pinfunnel keys new` makes both."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="no secret: answers name it")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="of the key, in hexadecimal")
    scopes: tuple[Scope, ...] = Field(min_length=1, description="what the key is for")
    clients: tuple[str, ...] | None = Field(
        None, min_length=1, description="that it may ask for and send events of; default: all"
    )
    not_after: AwareDatetime | None = Field(None, description="when it ends; default: never")
    per_second: float | None = Field(None, gt=0, le=1e6, description="calls that it may make; default: any number")
    burst: int | None = Field(None, ge=1, le=10**6, description="calls at once; default: those of a second")


class KeyFile(Settings):
    """The file that `access.keys` names."""

    keys: tuple[ApiKey, ...] = Field((), description="who may call, in any order")

    @model_validator(mode="after")
    def _told_apart(self) -> "KeyFile":
        names = [key.name for key in self.keys]
        if twice := [key.name for at, key in enumerate(self.keys) if key.name in names[:at]]:
            raise ValueError(f"two keys are named {twice[0]!r}: each needs a name of its own")
        hashes = [key.sha256 for key in self.keys]
        if twice := [key.name for at, key in enumerate(self.keys) if key.sha256 in hashes[:at]]:
            raise ValueError(f"the key {twice[0]!r} is there a second time, under another name")
        return self


def load_keys(path: str) -> tuple[ApiKey, ...]:
    """The keys of a file. Raises ConfigError."""
    return parse(KeyFile, read_yaml(path), path).keys
