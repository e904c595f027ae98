"""`graph` in pinfunnel.yaml: how edges become a graph."""

from typing import Literal

from pydantic import Field

from cluster.settings.parsing import Settings

MOST_SHARDS = 1024


class GraphSettings(Settings):
    """How edges become a graph. `partitions` bounds memory: one partition of edges is in a worker at a time.

    `prune_boards` and `prune_delta` prune the finished graph by the pins' topics (cluster/graph/prune.py).
    """

    partitions: int = Field(
        8, ge=1, description="parts of the edges that are built one at a time: more need less memory"
    )
    min_board_pins: int = Field(1, ge=1, description="boards with fewer pins are dropped")
    max_board_pins: int = Field(0, ge=0, description="0: keep every board; else drop boards with more pins (spam)")
    links: Literal["auto", "yes", "no"] = Field(
        "auto",
        description="edges that also say where their other end's edges lie: large graphs walk faster, for 8 more bytes "
        "an edge in memory and 16 on disk; auto: from 200,000 pins and boards to 100 million edges",
    )
    shards: int = Field(
        1,
        ge=1,
        le=MOST_SHARDS,
        description="parts that boards are dealt to, for a graph that no node holds: each is walked by replicas of its "
        "own (docs/walker.md); a change needs another `build-graph`",
    )
    prune_boards: float = Field(0.0, ge=0, lt=1, description="share of boards to drop, those of the most mixed topics")
    prune_delta: float = Field(
        1.0, gt=0, le=1, description="a pin on d boards keeps the d^prune_delta most like it in topics; 1: all"
    )

    @property
    def prunes(self) -> bool:
        """Whether a build drops edges by topic."""
        return self.prune_boards > 0.0 or self.prune_delta < 1.0
