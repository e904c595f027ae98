"""The `serving` section: budgets and sizes of the Serve application."""

from typing import Literal

from pydantic import Field

from cluster.settings.parsing import Settings


class ServingSettings(Settings):
    """Budgets and sizes of the Serve application."""

    host: str = Field("127.0.0.1", description="address that is listened on; beyond this machine keys are needed")
    port: int = Field(8000, ge=1, le=65535, description="port of the HTTP API")
    shape: Literal["separate", "colocated"] = Field(
        "separate", description="a deployment for each stage, or all stages in each ingress: fewer hops, less to scale"
    )
    processes: int = Field(
        0, ge=0, le=256, description="ingress processes that `pinfunnel serve` starts; 0: one a core, at most 4"
    )
    deadline_ms: float = Field(500.0, gt=0, description="time of a whole request; a stage that is late is left out")
    queue_ms: float = Field(
        60.0, gt=0, description="a request that would wait longer for its turn is answered 429 at once"
    )
    candidates_share: float = Field(
        0.5, gt=0, le=1, description="share of the deadline after which no source of candidates is waited for"
    )
    poll_seconds: float = Field(1.0, gt=0, description="time between two looks for newly published bundles")
    log_flush_seconds: float = Field(2.0, gt=0, description="the serving log is written to files so often")
    log_queue_rows: int = Field(4096, ge=1, description="requests that may wait to be logged; those beyond are dropped")
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
