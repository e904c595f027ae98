"""What processes share of the logs: the event log and its writers, users' state, pseudonyms, who was forgotten."""

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from cluster.contract.moments import MomentContract
from cluster.control.choices import Choices
from cluster.control.forgotten import Forgotten
from cluster.settings.project import Project
from cluster.store.home import control_root, logs_of
from cluster.store.logs import LogStore
from cluster.store.pseudonyms import Pseudonyms, pseudonyms_of
from cluster.store.quarantine import Quarantine
from serving.logs.contract import EventContract
from serving.logs.events import EventLog
from serving.logs.kafka_feed import KafkaFeed
from serving.logs.kafka_sink import KafkaSink
from serving.logs.redis_reader import RedisStateReader
from serving.logs.redis_writer import RedisStateWriter
from serving.logs.shard import WHOLE, Shard, shards_of
from serving.logs.sink import EventSink
from serving.logs.state_folder import StateReader, machine_folder
from serving.logs.user_state import UserStates
from serving.logs.writer_folder import WriterFolder


@dataclass
class EventParts:
    """Opens each part once, when it is first asked for."""

    project: Project

    @cached_property
    def logs(self) -> LogStore:
        """The project's logs."""
        return logs_of(self.project, self.project.ids)

    @cached_property
    def pseudonyms(self) -> Pseudonyms:
        """What the logs call users. Raises ConfigError."""
        return pseudonyms_of(self.project.ids, self.project.logs.pseudonym_key_env, self.logs.root)

    @cached_property
    def forgotten(self) -> Forgotten:
        """Who was forgotten."""
        return Forgotten(control_root(self.project.home, self.project.control))

    @property
    def shards(self) -> list[Shard]:
        """Which users each writer of the event log has."""
        return shards_of(self.project.events.writers)

    def state_root(self, shard: Shard = WHOLE) -> Path:
        """Where this machine's processes share what is known of the shard's users."""
        return machine_folder(self.logs.root, shard)

    def state_reader(self, shard: Shard = WHOLE) -> StateReader:
        """A look at what the process with the shard's event log knows of users."""
        remember, hidden = self.project.features.remembered, self.project.serving.hidden_per_user
        return StateReader(self.state_root(shard), remember, hidden)

    @cached_property
    def event_contract(self) -> EventContract:
        """What an event of the project must be like."""
        settings = self.project.serving
        window = MomentContract(timedelta(days=settings.event_days), live=not settings.simulation)
        return EventContract.of(self.project.ids, self.project.actions, window)

    def event_log(self, patience: float = 0.0, state: Path | None = None, shard: Shard = WHOLE) -> EventLog:
        """The durable event log of a shard, which keeps users' state in a new folder `state` or in memory.

        Raises ConfigError when another process holds it after `patience` seconds.
        """
        return EventLog(
            WriterFolder(self.logs, shard, Path(self.project.local_home), self.project.ids, patience),
            self.logs,
            self.event_contract,
            UserStates(
                self.project.negative_actions,
                remember=self.project.features.remembered,
                hidden=self.project.serving.hidden_per_user,
                folder=state,
            ),
            shard,
            self.forgotten,
        )

    def kafka_feed(self, events: EventLog, shard: Shard) -> KafkaFeed | None:
        """Reads the project's topic into a shard's event log, where there is one. Raises ConfigError."""
        settings = self.project.events.kafka
        if settings is None:
            return None
        quarantine = Quarantine(self.logs.root / "quarantine", "kafka")
        choices = Choices(control_root(self.project.home, self.project.control))
        return KafkaFeed(settings, events, self.event_contract, quarantine, shard, choices.may_store, self.pseudonyms)

    def redis_writer(self, events: EventLog, shard: Shard) -> RedisStateWriter | None:
        """Writes the state of a shard's users to the project's Redis, where there is one. Raises ConfigError."""
        settings = self.project.events.state.redis
        if settings is None:
            return None
        writer = RedisStateWriter(settings, shard, events.state, self.forgotten.before)
        events.tell(writer.changed)
        return writer

    def redis_reader(self) -> RedisStateReader | None:
        """Reads any user's state from the project's Redis, where there is one. Raises ConfigError."""
        settings = self.project.events
        return None if settings.state.redis is None else RedisStateReader(settings.state.redis, settings.writers)

    def sink_before_the_log(self) -> EventSink | None:
        """What takes events in place of the event log, where the project says so. Raises ConfigError."""
        settings = self.project.events
        return KafkaSink(settings.kafka) if settings.sink == "kafka" and settings.kafka is not None else None
