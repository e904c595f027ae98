"""Every knob of the full ranker as frozen dataclasses with three presets. Knows nothing of torch and Ray."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

from cluster.errors import ConfigError


@dataclass(frozen=True)
class _Frozen:
    """Shared reading and writing of the config classes below: unknown keys are errors, not typos that pass."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a plain mapping. Raises ConfigError naming the first unknown key."""
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ConfigError(f"{cls.__name__} has no setting {unknown[0]!r}: use one of {', '.join(sorted(known))}")
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able copy."""
        return dict(json.loads(json.dumps(asdict(self))))

    def but(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Widths(_Frozen):
    """Sizes of the tensors of one model, taken from its schema."""

    shared: int  # S, dense columns of the request
    candidate: int  # C, dense columns of a candidate
    shared_category: int = 0
    candidate_category: int = 0
    vector: int = 0  # T, content/topic vector
    actions: int = 5  # A
    clients: int = 5
    sequence: int = 0  # L


@dataclass(frozen=True)
class ModelConfig(_Frozen):
    """Sizes and switches of the network. `crossing="none"`, `experts="shared"`, `sequence_layers=-1`,
    `pin_buckets=0`, `client_gates=False`, `bins=0`, `position=False` switch a part off, for ablations and for
    tiny data.
    """

    user_width: int = 64  # request side after its own layer
    candidate_width: int = 96
    bins: int = 8  # piecewise-linear bins per dense column; 0 = standardised value only
    pin_buckets: int = 1 << 17  # rows of the hashed pin table, shared by candidates and sequence; 0 = no pin ids
    pin_width: int = 32
    category_buckets: int = 1 << 14
    category_width: int = 16
    id_dropout: float = 0.2  # share of candidate pin embeddings hidden in training, so that new pins are not a surprise
    sequence_width: int = 64
    sequence_layers: int = 2  # transformer layers over the actions; 0 = embeddings only; -1 = no sequence part
    sequence_heads: int = 4
    crossing: Literal["dcn", "mask", "none"] = "dcn"
    crossing_layers: int = 2
    crossing_rank: int = 64
    experts: Literal["mmoe", "ple", "shared"] = "ple"
    shared_experts: int = 3
    task_experts: int = 1  # PLE only: experts of one task's own
    expert_width: int = 64
    expert_out: int = 48
    tower_width: int = 24
    client_gates: bool = True  # scenario adaptation: input scaling, gate bias and output bias per client
    position: bool = True  # position bias as a training-only input
    position_buckets: int = 16
    dropout: float = 0.1

    @classmethod
    def debug(cls) -> Self:
        """Tens of thousands of weights: trains on a million candidates in seconds on two cores (demo, tests)."""
        return cls(
            user_width=24,
            candidate_width=32,
            bins=4,
            pin_buckets=1 << 13,
            pin_width=8,
            category_buckets=1 << 10,
            category_width=8,
            sequence_width=16,
            sequence_layers=1,
            sequence_heads=2,
            crossing_layers=1,
            crossing_rank=16,
            shared_experts=2,
            task_experts=0,
            experts="mmoe",
            expert_width=24,
            expert_out=16,
            tower_width=16,
        )

    @classmethod
    def small(cls) -> Self:
        """`debug` without pin embeddings and sequence, which overfit the first thousands of requests."""
        return cls.debug().but(pin_buckets=0, sequence_layers=-1)

    @classmethod
    def base(cls) -> Self:
        """The default for real logs: 500 candidates within a few milliseconds on one CPU core."""
        return cls()

    @classmethod
    def large(cls) -> Self:
        """For a GPU: wide enough to keep its matrix units busy."""
        return cls(
            user_width=512,
            candidate_width=1024,
            bins=16,
            pin_buckets=1 << 21,
            pin_width=128,
            category_buckets=1 << 17,
            category_width=64,
            sequence_width=512,
            sequence_layers=4,
            sequence_heads=8,
            crossing_layers=3,
            crossing_rank=512,
            shared_experts=6,
            task_experts=2,
            expert_width=1024,
            expert_out=512,
            tower_width=256,
        )


@dataclass(frozen=True)
class FitConfig(_Frozen):
    """How a model is fitted. Batches are counted in requests: a request's candidates stay together."""

    epochs: int = 8
    batch_requests: int = 32
    learning_rate: float = 2e-3
    id_learning_rate: float = 5e-3  # hashed tables: sparse rows see few updates
    weight_decay: float = 1e-4
    warmup_steps: int = 50
    clip: float = 1.0  # gradient norm of the dense weights
    patience: int = 2  # stop after so many epochs without a better validation loss; 0 = never
    task_weights: tuple[float, ...] = ()  # per action, in the schema's order; empty = all one
    uncertainty: bool = False  # learn the task weights (Kendall et al. 2018) on top of the fixed ones
    listwise: float = 0.0  # share of a softmax-over-the-request loss beside cross-entropy
    request_balance: float = 0.0  # a step divides a request's weights by (number of acted candidates)^this
    client_dropout: float = 0.05  # share of requests trained as "unknown client", so that a new client works
    seed: int = 0
    negatives: float = 1.0  # share of candidates without any action that a step trains on; their weight makes up for it
    shuffle_requests: int = 1024  # requests shuffled together; logs come in time order
    checkpoint_steps: int = 200
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 autocast on GPU, float32 on CPU
    compile: Literal["auto", "on", "off"] = "auto"  # auto: torch.compile on GPU only
    calibrate: bool = True
    threads: int = 0  # torch threads of a worker; 0 leaves torch's choice

    @classmethod
    def debug(cls) -> Self:
        """Few epochs over larger batches, for demo-sized logs."""
        return cls(epochs=4, batch_requests=32, learning_rate=4e-3, warmup_steps=20, threads=1, negatives=0.25)
