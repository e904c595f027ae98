"""How the full ranker is fitted: `ranker` in pinfunnel.yaml."""

from typing import Any, Literal

from pydantic import Field

from cluster.settings.parsing import Settings
from cluster.settings.resources import CustomResources, GpuShare


class RankerSettings(Settings):
    """The full ranker: a size from training/ranker/config.py and how it is fitted; what is not given, the size decides.

    `auto` tries the sizes that a log of this length can teach, and takes the one that orders later requests best.
    """

    size: Literal["auto", "small", "debug", "sequence", "medium", "base", "large"] = Field(
        "auto", description="the network; auto: chosen by how well each orders later requests of the log"
    )
    model: dict[str, Any] = Field({}, description="changes of the network, by the names of ModelConfig")
    fit: dict[str, Any] = Field({}, description="changes of the fit, by the names of FitConfig")
    epochs: int | None = Field(None, ge=1, description="passes over the log at most; default: the size's")
    batch_requests: int | None = Field(None, ge=1, description="requests of one step; default: the size's")
    learning_rate: float | None = Field(None, gt=0, description="of the optimiser; default: the size's")
    workers: int = Field(1, ge=1, description="workers of Ray Train that fit it together")
    use_gpu: Literal["auto", "yes", "no"] = Field("auto", description="train on GPUs; auto: where the cluster has some")
    gpus: GpuShare = Field(1.0, gt=0, description="GPUs that each worker asks for where it uses any; 0.5 shares one")
    resources: CustomResources = Field({}, description="custom resources that each worker asks for")
    source_dropout: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of the training requests that forget a source which found nearly all of their candidates",
    )
    request_balance: float = Field(
        0.5, ge=0, le=1, description="training divides a request's weights by (number of its acted candidates)^this"
    )
    unimpressed: int = Field(
        0, ge=0, description="survivors not shown to sample as negatives from each request that showed an answer"
    )
    unimpressed_replayed: int = Field(
        60,
        ge=1,
        description="the same from each request that a backfill made up, which showed nothing: its only negatives",
    )
    seed: int = Field(0, description="the same seed and log give the same network on the same machine")
