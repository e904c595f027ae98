"""Every knob of the full ranker as frozen dataclasses with presets by size. Knows nothing of torch and Ray."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Annotated, Any, Literal, Self, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from cluster.errors import ConfigError

Width = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
DropOut = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0)]
Amount = Annotated[float, Field(ge=0)]
Part = Annotated[float, Field(gt=0, le=1)]
Layers = Annotated[int, Field(ge=-1)]


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

    def changed(self, values: Mapping[str, Any], origin: str) -> Self:
        """A copy with the settings that a user wrote under `origin`. Raises ConfigError for an unknown one, and for a
        value of the wrong type or out of range.
        """
        hints = get_type_hints(type(self), include_extras=True)
        checked, faults = {}, []
        for name, value in values.items():
            if name not in hints:
                near = difflib.get_close_matches(name, hints, n=1)
                faults.append(f"{origin}.{name}: unknown key" + (f"; did you mean '{near[0]}'?" if near else ""))
                continue
            given = tuple(value) if isinstance(value, list) else value
            try:
                checked[name] = TypeAdapter(hints[name]).validate_python(given, strict=True)
            except ValidationError as error:
                faults += [f"{origin}.{name}: {fault['msg']}, found {value!r:.80}" for fault in error.errors()]
        if faults:
            raise ConfigError("\n".join(faults))
        return self.but(**checked)

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
    score: bool = False  # the last candidate column is the lightweight ranker's score


@dataclass(frozen=True)
class ModelConfig(_Frozen):
    """Sizes and switches of the network. `crossing="none"`, `experts="shared"`, `sequence_layers=-1`,
    `pin_buckets=0`, `client_gates=False`, `bins=0`, `position=False` switch a part off, for ablations and for
    tiny data.
    """

    user_width: Width = 64  # request side after its own layer
    candidate_width: Width = 96
    bins: Count = 8  # piecewise-linear bins per dense column; 0 = standardised value only
    pin_buckets: Count = 1 << 17  # rows of the hashed pin table, shared by candidates and sequence; 0 = no pin ids
    pin_width: Width = 32
    category_buckets: Width = 1 << 14
    category_width: Width = 16
    id_dropout: DropOut = 0.2  # share of candidates whose pin is hidden in training, so that new ones are no surprise
    sequence_width: Width = 64
    sequence_layers: Layers = 2  # transformer layers over the actions; 0 = embeddings only; -1 = no sequence part
    sequence_heads: Width = 4
    crossing: Literal["dcn", "mask", "none"] = "dcn"
    crossing_layers: Count = 2
    crossing_rank: Width = 64
    experts: Literal["mmoe", "ple", "shared"] = "ple"
    shared_experts: Width = 3
    task_experts: Count = 1  # PLE only: experts of one task's own
    expert_width: Width = 64
    expert_out: Width = 48
    tower_width: Width = 24
    client_gates: bool = True  # scenario adaptation: input scaling, gate bias and output bias per client
    position: bool = True  # position bias as a training-only input
    position_buckets: Width = 16
    dropout: DropOut = 0.1
    residual: bool = True  # starts in the lightweight ranker's order, where the schema has its score

    def __post_init__(self) -> None:
        if self.sequence_layers >= 0 and self.sequence_width % self.sequence_heads:
            raise ConfigError(
                f"sequence_width {self.sequence_width} is not a multiple of sequence_heads {self.sequence_heads}"
            )

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
    def medium(cls) -> Self:
        """Ids and sequence, kept small and dropped out: for some thousand requests and more."""
        return cls.debug().but(id_dropout=0.3, dropout=0.2, user_width=32, candidate_width=64, expert_width=48)

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

    epochs: Width = 8
    batch_requests: Width = 32
    learning_rate: Rate = 2e-3
    id_learning_rate: Rate = 5e-3  # hashed tables: sparse rows see few updates
    weight_decay: Amount = 1e-4
    warmup_steps: Count = 50
    clip: Amount = 1.0  # gradient norm of the dense weights
    patience: Count = 2  # stop after so many epochs without a better validation loss; 0 = never
    task_weights: tuple[float, ...] = ()  # per action, in the schema's order; empty = all one
    uncertainty: bool = False  # learn the task weights (Kendall et al. 2018) on top of the fixed ones
    listwise: Share = 0.0  # share of a softmax-over-the-request loss beside cross-entropy
    request_balance: Share = 0.0  # a step divides a request's weights by (number of acted candidates)^this
    flat_actions: tuple[str, ...] = ()  # start at their base rate: the lightweight score says nothing of a `hide`
    client_dropout: Share = 0.05  # share of requests trained as "unknown client", so that a new client works
    seed: Count = 0
    negatives: Part = 1.0  # share of candidates without any action that a step trains on, at a weight to match
    shuffle_requests: Width = 1024  # requests shuffled together; logs come in time order
    checkpoint_steps: Width = 200
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 autocast on GPU, float32 on CPU
    compile: Literal["auto", "on", "off"] = "auto"  # auto: torch.compile on GPU only
    calibrate: bool = True
    threads: Count = 0  # torch threads of a worker; 0 leaves torch's choice

    @classmethod
    def debug(cls) -> Self:
        """Few epochs over larger batches, for demo-sized logs."""
        return cls(epochs=4, batch_requests=32, learning_rate=4e-3, warmup_steps=20, threads=1, negatives=0.25)

    @classmethod
    def small(cls, residual: bool = True) -> Self:
        """For `ModelConfig.small`. A residual on the lightweight score starts near where it ends: short steps, and a
        listwise part, as what is left to learn is the order within a request.
        """
        fit = cls.debug().but(epochs=10, batch_requests=16)
        return fit.but(learning_rate=1e-3, listwise=0.5) if residual else fit

    @classmethod
    def medium(cls) -> Self:
        """For `ModelConfig.medium`: a listwise part, as what counts is the order within a request."""
        return cls(epochs=8, learning_rate=3e-3, threads=1, listwise=0.3, weight_decay=1e-3)
