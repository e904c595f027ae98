"""`pinfunnel.yaml` as frozen, typed settings: one class for each section."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cluster.contract.text import field_fault
from cluster.settings.access import AccessSettings
from cluster.settings.attributes import Attributes, check_beside_features
from cluster.settings.events import EventSettings
from cluster.settings.fresh import FreshSettings
from cluster.settings.gbdt import GbdtSettings as GbdtSettings
from cluster.settings.logs import LogSettings
from cluster.settings.parsing import Settings, parse, read_yaml
from cluster.settings.ranker import RankerSettings as RankerSettings
from cluster.settings.similarity import SimilaritySettings
from cluster.settings.telemetry import TelemetrySettings

DEFAULT_ACTIONS = ("save", "click", "closeup", "long_click", "hide")


class Source(Settings):
    """One Parquet file or folder, with the user's column names: `columns: {pin_id: item}` reads `item` as `pin_id`."""

    path: str
    columns: dict[str, str] = {}


class DataSettings(Settings):
    """Where the input lies. Only `edges` is needed; each of the others makes the funnel better."""

    edges: Source
    pins: Source | None = None
    users: Source | None = None
    events: Source | None = None
    impressions: Source | None = None
    allow_drops: float = Field(
        0.05, ge=0, le=1, description="share of an input's rows that may be unusable; beyond, `validate` says error"
    )


class FeatureSettings(Settings):
    """The user's own feature columns: numeric ones as they are, categorical ones hashed (cluster/features/columns.py).

    With `pin_vector_width` the pins input has a column `vector`, a pretrained embedding of so many numbers.
    """

    pin_numeric: tuple[str, ...] = ()
    pin_categorical: tuple[str, ...] = ()
    user_numeric: tuple[str, ...] = ()
    user_categorical: tuple[str, ...] = ()
    pin_vector_width: int = Field(0, ge=0, le=4096)
    max_topics: int = Field(64, ge=1, le=1024)
    sequence_length: int = Field(32, ge=1, le=512)
    history_length: int = Field(
        512, ge=1, le=10_000, description="newest actions of a user that features look back on; kept with the graph"
    )
    rate_days: int = Field(30, ge=1, le=3650, description="days of the logs that tell rates of actions, before a build")
    sources: tuple[str, ...] = Field(
        (), description="sources of candidates whose rank and score are features of their own (a change of the schema)"
    )
    history_actions: tuple[str, ...] = Field(
        (), description="actions whose pins are told apart in features; default: all of `actions`"
    )

    @property
    def remembered(self) -> int:
        """Newest actions of each user to keep: enough for features, and for a sequence where some do not count."""
        return max(self.history_length, 2 * self.sequence_length)


class GraphSettings(Settings):
    """How edges become a graph. `partitions` bounds memory: one partition of edges is in a worker at a time.

    `prune_boards` and `prune_delta` prune the finished graph by the pins' topics (cluster/graph/prune.py).
    """

    partitions: int = Field(8, ge=1)
    min_board_pins: int = Field(1, ge=1)
    max_board_pins: int = Field(0, ge=0, description="0: keep every board; else drop boards with more pins (spam)")
    links: Literal["auto", "yes", "no"] = Field(
        "auto",
        description="edges that also say where their other end's edges lie: large graphs walk faster, for 8 more bytes "
        "an edge in memory and 16 on disk; auto: from 200,000 pins and boards to 100 million edges",
    )
    prune_boards: float = Field(0.0, ge=0, lt=1, description="share of boards to drop, those of the most mixed topics")
    prune_delta: float = Field(
        1.0, gt=0, le=1, description="a pin on d boards keeps the d^prune_delta most like it in topics; 1: all"
    )

    @property
    def prunes(self) -> bool:
        """Whether a build drops edges by topic."""
        return self.prune_boards > 0.0 or self.prune_delta < 1.0


class ServingSettings(Settings):
    """Budgets and sizes of the Serve application."""

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    shape: Literal["separate", "colocated"] = "separate"
    processes: int = Field(
        0, ge=0, le=256, description="ingress processes that `pinfunnel serve` starts; 0: one a core, at most 4"
    )
    deadline_ms: float = Field(500.0, gt=0)
    queue_ms: float = Field(
        60.0, gt=0, description="a request that would wait longer for its turn is answered 429 at once"
    )
    candidates_share: float = Field(
        0.5, gt=0, le=1, description="share of the deadline after which no source of candidates is waited for"
    )
    poll_seconds: float = Field(1.0, gt=0)
    log_flush_seconds: float = Field(2.0, gt=0)
    log_queue_rows: int = Field(4096, ge=1)
    teacher_share: float = Field(
        0.02,
        ge=0,
        le=1,
        description="requests of which the full ranker, after the answer, also scores a sample "
        "of what the lightweight stage dropped: targets for distillation",
    )
    teacher_candidates: int = Field(100, ge=1, description="how many dropped candidates of such a request")
    body_bytes: int = Field(4 << 20, ge=1024, description="a larger request body is cut off and answered 413")
    event_days: int = Field(90, ge=1, le=36_500, description="older events are refused: they belong into `data.events`")
    hidden_per_user: int = Field(
        1000, ge=0, le=100_000, description="pins with a negative action that are remembered of a user, newest first"
    )
    simulation: bool = Field(False, description="let requests and events say what time it is (`at`, future events)")


class Project(Settings):
    """Everything in `pinfunnel.yaml`."""

    home: str = "pinfunnel-home"
    control: str | None = Field(
        None, description="folder of what was taken down and who was forgotten; default: `control` below `home`"
    )
    ids: Literal["int64", "string"] = "int64"
    actions: tuple[str, ...] = DEFAULT_ACTIONS
    negative_actions: tuple[str, ...] = ("hide",)
    clients: str | None = Field(None, description="folder of client YAML files; default: the five that ship")
    attribution_hours: float = Field(24.0, gt=0)
    data: DataSettings
    features: FeatureSettings = FeatureSettings()
    attributes: Attributes = Field({}, description="columns of the pins input that requests may filter by, with kinds")
    graph: GraphSettings = GraphSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    similarity: SimilaritySettings = SimilaritySettings()
    gbdt: GbdtSettings = GbdtSettings()
    ranker: RankerSettings = RankerSettings()
    serving: ServingSettings = ServingSettings()
    access: AccessSettings = AccessSettings()
    events: EventSettings = EventSettings()
    fresh: FreshSettings = FreshSettings()
    logs: LogSettings = LogSettings()

    @field_validator("home", "control")
    @classmethod
    def _a_folder(cls, folder: str | None) -> str | None:
        if folder is not None and "://" in folder:
            raise ValueError(
                "no URI: logs and events would lie on this machine alone; give a path, on a cluster "
                "that of a mount which every node shares"
            )
        return folder

    @model_validator(mode="before")
    @classmethod
    def _own_actions(cls, raw: Any) -> Any:
        """Where only `actions` is given, those of the usual negative ones count that are among them."""
        if isinstance(raw, dict) and isinstance(raw.get("actions"), (list, tuple)) and "negative_actions" not in raw:
            usual = cls.model_fields["negative_actions"].default
            return {**raw, "negative_actions": [action for action in usual if action in raw["actions"]]}
        return raw

    @field_validator("actions")
    @classmethod
    def _actions_told_apart(cls, actions: tuple[str, ...]) -> tuple[str, ...]:
        for action in actions:
            if not action or actions.count(action) > 1 or field_fault("action", action):
                raise ValueError(f"{action!r}: each action needs a short name of its own")
            if set(action) & set("[]<"):  # actions name features, and XGBoost refuses these in a feature's name
                raise ValueError(f"{action!r}: the name of an action may not have [, ] or < in it")
        return actions

    @model_validator(mode="after")
    def _actions_known(self) -> "Project":
        unknown = set(self.negative_actions) - set(self.actions)
        if unknown:
            raise ValueError(f"negative_actions names {sorted(unknown)}, not among actions {list(self.actions)}")
        return self

    @model_validator(mode="after")
    def _pseudonyms_find_their_writer(self) -> "Project":
        if self.logs.pseudonym_key_env and self.events.kafka is not None and self.events.writers > 1:
            raise ValueError("events.writers: with `events.kafka` and `logs.pseudonym_key_env` there can be one alone")
        return self

    @model_validator(mode="after")
    def _attributes_can_be_read(self) -> "Project":
        if self.attributes and self.data.pins is None:
            raise ValueError("attributes are columns of the pins input: give `data.pins`")
        check_beside_features(self.attributes, self.features.pin_numeric, self.features.pin_categorical)
        return self

    @model_validator(mode="before")
    @classmethod
    def _history_actions(cls, raw: Any) -> Any:
        """Features tell all of the project's actions apart, unless they are told which."""
        if not isinstance(raw, dict):
            return raw
        features, actions = raw.get("features", {}), raw.get("actions", DEFAULT_ACTIONS)
        if isinstance(features, FeatureSettings) and not features.history_actions:
            return {**raw, "features": features.model_copy(update={"history_actions": tuple(actions)})}
        if isinstance(features, dict) and "history_actions" not in features:
            return {**raw, "features": {**features, "history_actions": actions}}
        return raw

    @classmethod
    def load(cls, path: str | Path) -> "Project":
        """Read a `pinfunnel.yaml`; relative paths in it are relative to the file's own folder.

        Raises ConfigError with the file, the key and the fix.
        """
        path = Path(path)
        raw = read_yaml(path)
        project = parse(cls, raw, str(path))
        base = path.resolve().parent
        data = {
            name: source.model_copy(update={"path": _anchor(base, source.path)})
            for name in DataSettings.model_fields
            if isinstance(source := getattr(project.data, name), Source)
        }
        keys = None if project.access.keys is None else _anchor(base, project.access.keys)
        return project.model_copy(
            update={
                "access": project.access.model_copy(update={"keys": keys}),
                "home": _anchor(base, project.home),
                "control": None if project.control is None else _anchor(base, project.control),
                "clients": None if project.clients is None else _anchor(base, project.clients),
                "data": project.data.model_copy(update=data),
            }
        )


def _anchor(base: Path, path: str) -> str:
    return path if "://" in path else str(base / path)
