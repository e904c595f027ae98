"""`loop` in pinfunnel.yaml: what `pinfunnel loop` does again and again, how often, and whom it tells when it fails."""

from typing import Literal

from pydantic import Field

from cluster.settings.parsing import Settings


class LoopSettings(Settings):
    """Scheduled upkeep: new edges, compaction, training behind the gate, pruning."""

    every_hours: float = Field(24.0, gt=0, le=8_784, description="from the beginning of a round to that of the next")
    retry_minutes: float = Field(
        30.0,
        gt=0,
        le=527_040,
        description="until a round that failed is tried again; twice as long after each further failure",
    )
    graph: Literal["add", "build", "leave"] = Field(
        "add",
        description="add: merge `new_edges` and fresh pins into the graph; build: build it anew from the inputs",
    )
    new_edges: str | None = Field(
        None, description="folder in which files of new edges arrive (`*.parquet`); each is added once"
    )
    full: bool = Field(True, description="train the full ranker, too")
    keep_versions: int = Field(5, ge=1, description="newest bundles of each kind that stay, beside those in use")
    step_hours: float = Field(12.0, gt=0, description="a step that takes longer is ended, and has failed")
    webhook_env: str | None = Field(
        None,
        description="variable with a URL that is sent JSON with `text` when a round fails, and once one works again",
    )
