"""How much may be laid over a graph between two builds."""

from pydantic import Field

from cluster.settings.parsing import Settings


class FreshSettings(Settings):
    """Fresh pins and saves (docs/fresh.md). What is beyond waits, in the log, for `add-edges`."""

    pins: int = Field(100_000, ge=0, description="new pins over a graph; 0: none before a build")
    edges: int = Field(1_000_000, ge=0, description="new saves over a graph")
    seconds: float = Field(5.0, gt=0, description="time between two looks for what is fresh")
