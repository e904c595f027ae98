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
from cluster.settings.graph import MOST_SHARDS as MOST_SHARDS
from cluster.settings.graph import GraphSettings as GraphSettings
from cluster.settings.inputs import DataSettings as DataSettings
from cluster.settings.inputs import FeatureSettings as FeatureSettings
from cluster.settings.inputs import Source as Source
from cluster.settings.logs import LogSettings
from cluster.settings.loop import LoopSettings
from cluster.settings.parsing import Settings, parse, read_yaml
from cluster.settings.ranker import RankerSettings as RankerSettings
from cluster.settings.serving import ServingSettings as ServingSettings
from cluster.settings.similarity import SimilaritySettings
from cluster.settings.telemetry import TelemetrySettings

OBJECT_STORES = ("s3://", "gs://")
DEFAULT_ACTIONS = ("save", "click", "closeup", "long_click", "hide")


class Project(Settings):
    """Everything in `pinfunnel.yaml`: keys of its own, and a section for each part of the funnel."""

    home: str = Field(
        "pinfunnel-home", description="folder, `s3://` or `gs://` address of all that pinfunnel makes: bundles and logs"
    )
    control: str | None = Field(
        None, description="folder of what was taken down and who was forgotten; default: `control` below `home`"
    )
    local: str | None = Field(
        None, description="folder for what is no whole file, where `home` is an object store: a mount, or a node's disk"
    )
    ids: Literal["int64", "string"] = Field(
        "int64", description="type of the ids of pins, boards and users, from the files to the API"
    )
    actions: tuple[str, ...] = Field(DEFAULT_ACTIONS, description="what a user can do with a pin, by name")
    negative_actions: tuple[str, ...] = Field(
        ("hide",), description="those of `actions` that say no: the pin is not shown to that user again"
    )
    clients: str | None = Field(None, description="folder of client YAML files; default: the five that ship")
    experiments: str | None = Field(
        None, description="file that `pinfunnel experiment` reads; default: `experiments.yaml` beside this one"
    )
    attribution_hours: float = Field(
        24.0, gt=0, description="an action counts for a request when it came at most so long after it"
    )
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
    loop: LoopSettings = LoopSettings()

    @field_validator("control", "local")
    @classmethod
    def _a_folder(cls, folder: str | None) -> str | None:
        if folder is not None and "://" in folder:
            raise ValueError("files there are appended to, which no object store can: give a folder")
        return folder

    @model_validator(mode="after")
    def _home_can_hold_all(self) -> "Project":
        if "://" not in self.home:
            if self.local is not None:
                raise ValueError("`local` is for a `home` in an object store: a folder holds all, leave `local` out")
        elif not self.home.startswith(OBJECT_STORES):
            raise ValueError(f"home: a folder, or one of {', '.join(OBJECT_STORES)}")
        elif self.local is None:
            raise ValueError(
                "home: an object store cannot hold what is appended to (write-ahead files, orders, fresh pins): "
                "give a folder for that as `local`, a mount that all nodes share if you can"
            )
        return self

    @property
    def local_home(self) -> str:
        """The folder of what is no whole file: `home`, or `local` beside an object store."""
        return self.local or self.home

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
        control = project.control or (f"{project.local}/control" if project.local else None)
        keys = None if project.access.keys is None else _anchor(base, project.access.keys)
        experiments = None if project.experiments is None else _anchor(base, project.experiments)
        arriving = None if project.loop.new_edges is None else _anchor(base, project.loop.new_edges)
        return project.model_copy(
            update={
                "access": project.access.model_copy(update={"keys": keys}),
                "loop": project.loop.model_copy(update={"new_edges": arriving}),
                "experiments": experiments,
                "home": _anchor(base, project.home),
                "local": None if project.local is None else _anchor(base, project.local),
                "control": None if control is None else _anchor(base, control),
                "clients": None if project.clients is None else _anchor(base, project.clients),
                "data": project.data.model_copy(update=data),
            }
        )


def _anchor(base: Path, path: str) -> str:
    return path if "://" in path else str(base / path)
