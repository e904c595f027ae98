"""`events` in pinfunnel.yaml: where events become durable, and how many processes write the event log."""

from typing import Literal

from pydantic import Field

from cluster.settings.parsing import Settings

MOST_WRITERS = 64


class EventSettings(Settings):
    """The way of an event from the API to the log that training reads."""

    sink: Literal["log"] = Field("log", description="log: the event log's own files below `home`")
    writers: int = Field(
        1, ge=1, le=MOST_WRITERS, description="processes that write the event log, each for its share of the users"
    )
