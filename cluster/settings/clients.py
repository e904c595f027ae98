"""A client is one YAML file: where its walks start, how its labels are made, what its users' actions are worth.

Training, serving and evaluation read the same file. Adding a surface means adding a file (docs/clients.md).
"""

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from cluster.errors import ConfigError
from cluster.settings.labels import LabelSettings as LabelSettings
from cluster.settings.labels import StrategyTable as StrategyTable
from cluster.settings.parsing import Settings, parse, read_yaml

WALK = "walk"
"""The source that a client has unless its file says otherwise."""

QUOTA = 200
"""Pins of a source whose entry names no quota."""

TAKEN = {"ingress", "events", "mix", "lightweight", "full", "explain", "explain_full", "teacher"}
"""Stages and deployments: a source of the same name could not be told from them in answers and metrics."""

SOURCE_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


class WalkSettings(Settings):
    """How the walks of a request go (docs/walker.md)."""

    steps: int = Field(100_000, ge=100, le=5_000_000, description="steps of one request, over all of its query pins")
    restart: float = Field(0.5, gt=0, le=1, description="probability that a walk ends after a step; 1: a single step")
    n_p: int = Field(0, ge=0, description="walks of a query pin stop once so many pins have `n_v` visits; 0: never")
    n_v: int = Field(0, ge=0, description="visits that end them, of `n_p` pins each; 0: never")
    min_visits: int = Field(1, ge=1, description="visits that a candidate needs")
    popularity_discount: float = Field(
        0.0, ge=0, le=2, description="visit counts are divided by (number of the pin's boards)^this"
    )
    hub: Literal["log", "linear", "uniform"] = Field(
        "log",
        description="how steps are dealt to query pins: by Pixie's formula with the `log` of the largest degree or "
        "with that degree itself (`linear`: popular query pins gain more), or alike (`uniform`)",
    )
    hub_power: float = Field(
        1.0, ge=0, le=1, description="exponent of a query pin's degree in that; below 1 popular ones get fewer steps"
    )
    boost: float = Field(0.5, ge=0.1, le=1, description="multi-hit booster: 0.5 is Pixie's, 1 the plain sum")
    bias_share: float = Field(0.0, ge=0, le=1, description="share of steps kept to pins of the user's locale")


class QuerySettings(Settings):
    """Query pins: the pin on screen (`request`), the user's recent actions (`user`), or both."""

    source: Literal["user", "request", "both"] = Field("user", description="where query pins come from")
    max_pins: int = Field(30, ge=1, le=256, description="the heaviest query pins, which are kept")
    half_life_hours: float = Field(168.0, gt=0, description="the weight of an action halves in this time")
    actions: dict[str, float] = Field(
        {"save": 3.0, "long_click": 2.0, "click": 1.0, "closeup": 0.5},
        description="weight of the pin of an action; actions that are not named start no walk",
    )
    request_weight: float = Field(10.0, gt=0, description="weight of a pin that the request itself names")


class SourceSettings(Settings):
    """A source of candidates: `walk: 2000` is short for `walk: {quota: 2000}`."""

    quota: int | None = Field(
        None, ge=1, le=20_000, description="most pins of a request; default: 200, of the source `walk` `sizes.walk`"
    )
    use: str = Field("", description="a source by name, or your own as package.module:Class; default: the entry's name")
    timeout_ms: float | None = Field(None, gt=0, description="default: `serving.candidates_share` of the deadline")
    settings: dict[str, Any] = Field({}, description="the source's own")


class AllotmentSettings(Settings):
    """How much of its quota each source is asked for. Learned quotas come from `pinfunnel train quotas`."""

    learned: bool = Field(False, description="ask for as much as has been learned to be worth it, once that is there")
    full_share: float = Field(
        0.01, ge=0, le=1, description="requests that ask for full quotas all the same: what learning needs to see"
    )
    busy: float = Field(
        0.5, gt=0, le=1, description="share of the deadline in use from which on candidates become dearer"
    )


class StageSizes(Settings):
    """How many pins leave each stage."""

    walk: int = Field(2000, ge=1, le=20_000, description="candidates of the source `walk`")
    lightweight: int = Field(500, ge=1, description="survivors of the lightweight ranker, which the full ranker scores")
    answer: int = Field(25, ge=1, description="pins of an answer")
    explore: int = Field(0, ge=0, description="answer slots filled at random from the survivors, for unbiased logs")
    explore_dropped: float = Field(
        0.0, ge=0, le=1, description="share of these filled from what the lightweight stage dropped instead"
    )


class BoostRule(Settings):
    """Multiply the visit count by `factor` where a candidate feature is at least `at_least` (missing never matches)."""

    feature: str = Field(description="a feature of a candidate, by its name in docs/features.md")
    factor: float = Field(gt=0, description="what the visit count is multiplied by")
    at_least: float = Field(0.5, description="smallest value of the feature that the rule applies to")


class PolicySettings(Settings):
    """What happens after scoring (serving/policy/steps/). Labels are values of `features.pin_categorical` columns."""

    topic_cap: int = Field(0, ge=0, description="most pins of one main topic in an answer; 0: no cap")
    board_cap: int = Field(0, ge=0, description="most pins of one board in an answer; 0: no cap")
    diversity: float = Field(0.0, ge=0, le=1, description="MMR: 0 orders by score alone, 1 by difference alone")
    seen_times: int = Field(0, ge=0, description="leave out pins already shown so often to the user; 0: never")
    seen_hours: float = Field(24.0, gt=0, description="for how long a pin counts as shown")
    forbid: dict[str, tuple[str, ...]] = Field({}, description="pin column -> values that are never shown")
    forbid_in: dict[str, dict[str, tuple[str, ...]]] = Field(
        {}, description="locale -> pin column -> values that are never shown to users of that locale"
    )
    demote: dict[str, dict[str, float]] = Field({}, description="pin column -> value -> factor on its score")
    steps: dict[str, dict[str, Any]] = Field({}, description="further steps by name, with their settings")

    @field_validator("demote")
    @classmethod
    def _factors(cls, demote: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
        if any(not 0 < factor <= 1 for values in demote.values() for factor in values.values()):
            raise ValueError("a factor must be above 0 and at most 1")
        return demote


class Client(Settings):
    """One surface that asks for recommendations."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$", description="in the path of requests; default: the file's name")
    about: str = Field("", description="a sentence for people; nothing reads it")
    api_key_env: str | None = Field(None, description="environment variable with a key for this client and its events")
    open: bool = Field(False, description="answer whoever asks, without a key, although other clients have keys")
    walk: WalkSettings = WalkSettings()
    query: QuerySettings = QuerySettings()
    sources: dict[str, SourceSettings] = Field(
        {WALK: SourceSettings()}, min_length=1, max_length=16, description="where candidates come from, by name"
    )
    allotment: AllotmentSettings = AllotmentSettings()
    sizes: StageSizes = StageSizes()
    labels: LabelSettings = LabelSettings()
    boosts: tuple[BoostRule, ...] = Field((), description="rules on the visit count, until there is a model")
    utility: dict[str, float] = Field(
        {"save": 1.0, "click": 0.5, "closeup": 0.1, "long_click": 0.7, "hide": -2.0},
        description="what the full ranker's probability of each action adds to a pin's score",
    )
    policy: PolicySettings = PolicySettings()

    @field_validator("sources", mode="before")
    @classmethod
    def _quotas(cls, sources: Any) -> Any:
        """A number alone is the source's quota."""
        if not isinstance(sources, dict):
            return sources
        plain = {name: {} if entry is None else entry for name, entry in sources.items()}
        return {name: {"quota": entry} if type(entry) is int else entry for name, entry in plain.items()}

    @field_validator("sources")
    @classmethod
    def _named(cls, sources: dict[str, SourceSettings]) -> dict[str, SourceSettings]:
        for name in sources:
            if name in TAKEN:
                raise ValueError(
                    f"{name!r}: a stage is called so: name the source otherwise, and say what it is by `use`"
                )
            if not SOURCE_NAME.fullmatch(name):
                raise ValueError(f"{name!r}: a source is named by small letters, digits and _, at most 32")
        return sources

    @property
    def quotas(self) -> dict[str, int]:
        """Most pins of a request by source, in the order of the file."""
        usual = {WALK: self.sizes.walk}
        return {name: one.quota or usual.get(name, QUOTA) for name, one in self.sources.items()}

    @field_validator("sizes")
    @classmethod
    def _funnel_narrows(cls, sizes: StageSizes) -> StageSizes:
        if not sizes.answer <= sizes.lightweight <= sizes.walk:
            raise ValueError("a funnel narrows: answer <= lightweight <= walk")
        if sizes.explore >= sizes.answer:
            raise ValueError("explore must leave slots to the ranking: explore < answer")
        return sizes


def load_client(path: str | Path, overrides: dict[str, Any] | None = None) -> Client:
    """One client file; its `name` defaults to the file's stem."""
    raw = {"name": Path(path).stem, **read_yaml(path), **(overrides or {})}
    return parse(Client, raw, str(path))


def load_clients(folder: str | Path, actions: tuple[str, ...] | None = None) -> dict[str, Client]:
    """Every `*.yaml` of a folder by client name; with `actions`, names of unknown actions are errors."""
    files = sorted([*Path(folder).glob("*.yaml"), *Path(folder).glob("*.yml")])
    if not files:
        raise ConfigError(f"{folder}: no client files (*.yaml)")
    clients: dict[str, Client] = {}
    for file in files:
        client = load_client(file)
        if client.name in clients:
            raise ConfigError(f"{file}: name: client '{client.name}' is defined twice")
        if actions is not None:
            check_actions(client, actions, str(file))
        clients[client.name] = client
    return clients


def check_actions(client: Client, actions: tuple[str, ...], origin: str) -> None:
    """Raises ConfigError that begins with `origin` where the client weighs an action that is not among these."""
    for key, named in (
        ("query.actions", client.query.actions),
        ("utility", client.utility),
        ("labels.action_weights", client.labels.action_weights),
    ):
        if unknown := sorted(set(named) - set(actions)):
            raise ConfigError(f"{origin}: {key}: unknown action {unknown[0]!r}; actions are {list(actions)}")
