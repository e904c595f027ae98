"""What an experiment is: arms that answer a client's requests by other settings or models, and who is in it.

One entry of the project's file of experiments, or of `POST /v1/experiments`. Whether the settings of an arm fit a
client is checked where clients are known.
"""

import json
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, field_validator, model_validator

from cluster.kinds import FULL, GRAPH
from cluster.settings.parsing import Settings

NAME = r"^[a-z][a-z0-9_]{0,63}$"
ARM = r"^[A-Za-z0-9_-]{1,64}$"
VERSION = r"^[A-Za-z0-9][A-Za-z0-9._~-]{0,200}$"
DECIMALS = 6
"""Shares of users are told to a millionth: more is noise, and sums of shorter ones would miss each other's ends."""
MINUTES = 60
"""Length of a window of a switchback that names none."""
ORDERS = ("boosts", "utility", "policy", "sizes.lightweight")
"""Settings of a client that change the order of candidates, and not which ones there are."""


def _to_a_millionth(share: float) -> float:
    if round(share, DECIMALS) != share:
        raise ValueError(f"at most {DECIMALS} decimals")
    return share


Share = Annotated[float, AfterValidator(_to_a_millionth)]


class ExperimentArm(Settings):
    """One way of answering. The first arm of an experiment is its control, and mostly sets nothing."""

    weight: float = Field(1.0, gt=0, le=1e6, allow_inf_nan=False, description="of its users against the other arms'")
    set: dict[str, JsonValue] = Field(
        {},
        max_length=64,
        description="settings of the client by path, as `sources.boards.quota: 400`; a mapping is replaced whole",
    )
    versions: dict[str, Annotated[str, Field(pattern=VERSION)]] = Field(
        {},
        max_length=64,
        description="stored version by kind, `lightweight/<client>` or `full`; default: the published one",
    )

    @field_validator("set")
    @classmethod
    def _finite(cls, changes: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for path, value in changes.items():
            try:
                json.dumps(value, allow_nan=False)
            except ValueError:
                raise ValueError(f"{path}: not every number in it is finite") from None
        return changes


class Horizon(Settings):
    """When the report may be read: whenever one likes (`sequential`), or once, after `days`."""

    kind: Literal["sequential", "fixed"] = Field("sequential", description="read it whenever one likes, or once")
    days: float | None = Field(None, gt=0, le=3650, allow_inf_nan=False, description="until a fixed one is read")

    @model_validator(mode="after")
    def _days_where_fixed(self) -> "Horizon":
        if (self.kind == "fixed") != (self.days is not None):
            raise ValueError("`days` is for `kind: fixed`, which needs it")
        return self


class Experiment(Settings):
    """One experiment, named by its entry."""

    name: str = Field(pattern=NAME, description="in logs and reports; default: the entry's")
    about: str = Field("", max_length=2000, description="a sentence for people; nothing reads it")
    clients: tuple[str, ...] = Field(min_length=1, max_length=64, description="whose requests are in it")
    design: Literal["users", "interleaving", "switchback"] = Field(
        "users",
        description="each user has an arm · each answer is a team draft of both arms' orders · all users of a time "
        "window have one arm",
    )
    layer: str | None = Field(
        None, pattern=NAME, description="experiments of one layer never share a user; default: a layer of its own"
    )
    start: Share = Field(0.0, ge=0, lt=1, allow_inf_nan=False, description="where its part of the layer begins")
    traffic: Share = Field(1.0, gt=0, le=1, allow_inf_nan=False, description="share of the layer's users that it has")
    salt: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_.-]{1,128}$", description="another one assigns arms anew; default: the name"
    )
    arms: dict[Annotated[str, Field(pattern=ARM)], ExperimentArm] = Field(
        min_length=2, max_length=16, description="by name, the control first"
    )
    action: str = Field("save", description="what decides")
    guardrails: tuple[str, ...] = Field(
        ("milliseconds", "degraded"),
        max_length=32,
        description="actions, `milliseconds`, `degraded`: what may not become worse",
    )
    horizon: Horizon = Horizon()
    minutes: int | None = Field(
        None, ge=1, le=10_080, description=f"length of a window of a switchback; default: {MINUTES}"
    )

    @field_validator("clients")
    @classmethod
    def _each_once(cls, clients: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(clients)) < len(clients):
            raise ValueError("a client is named twice")
        return clients

    @model_validator(mode="after")
    def _whole(self) -> "Experiment":
        if self.end > 1:
            raise ValueError(f"start + traffic is {self.end}: a layer ends at 1")
        if self.minutes is not None and self.design != "switchback":
            raise ValueError("`minutes` is for `design: switchback`")
        if self.design == "interleaving":
            self._check_interleaving()
        for name, arm in self.arms.items():
            for kind in arm.versions:
                self._check_kind(name, kind)
        return self

    def _check_interleaving(self) -> None:
        if len(self.arms) != 2 or any(arm.weight != 1 for arm in self.arms.values()):
            raise ValueError("interleaving needs exactly two arms, of the same weight")
        for name, arm in self.arms.items():
            for path in arm.set:
                if not any(path == order or path.startswith(f"{order}.") for order in ORDERS):
                    raise ValueError(
                        f"arms.{name}.set.{path}: orders of the same candidates are interleaved, so arms may set "
                        f"{', '.join(ORDERS)} and `versions`: compare anything else with `design: users`"
                    )

    def _check_kind(self, arm: str, kind: str) -> None:
        floor, _, client = kind.partition("/")
        if kind == FULL or (floor == "lightweight" and client in self.clients):
            return
        why = f"expected `{FULL}` or `lightweight/<client>` of {', '.join(self.clients)}"
        if kind == GRAPH:
            why = "all stages and arms share one graph: publish another one for everybody, or compare two projects"
        raise ValueError(f"arms.{arm}.versions.{kind}: {why}")

    @property
    def end(self) -> float:
        """Where its part of the layer ends: the start of a neighbour that begins there, to the bit."""
        return round(self.start + self.traffic, DECIMALS)

    @property
    def layer_name(self) -> str:
        """The layer that it lies in."""
        return self.layer or self.name

    @property
    def control(self) -> str:
        """The arm that the others are compared with."""
        return next(iter(self.arms))

    @property
    def shares(self) -> dict[str, float]:
        """Expected share of its users by arm; of its windows, in a switchback."""
        total = sum(arm.weight for arm in self.arms.values())
        return {name: arm.weight / total for name, arm in self.arms.items()}

    @property
    def pinned(self) -> set[str]:
        """Versions of bundles that its arms name."""
        return {version for arm in self.arms.values() for version in arm.versions.values()}

    @property
    def window_minutes(self) -> int:
        """Length of a window of a switchback."""
        return self.minutes or MINUTES
