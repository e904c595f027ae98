"""The tensor contract of the full ranker: a schema, a batch of requests as numpy arrays, and how one is read from
Arrow.

One row of a table is one request with its candidates nested, so the request side is stored, moved and encoded
once. Knows nothing of torch and Ray.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cluster.errors import DataError
from training.ranker.columns import LIGHTWEIGHT_SCORE
from training.ranker.config import Widths
from training.ranker.rows import ListRows, Sequences, index_of_names

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class RankerSchema:
    """Names and sizes of everything a model reads and predicts; saved with the model, checked when serving loads
    it.
    """

    shared: tuple[str, ...]  # dense columns of the request
    candidate: tuple[str, ...]  # dense columns of a candidate
    actions: tuple[str, ...] = ("save", "click", "closeup", "long_click", "hide")
    clients: tuple[str, ...] = ("homefeed", "related_pins", "notifications", "search", "ads")
    n_topics: int = 0  # width of the content vector of a pin, may be 0
    sequence_length: int = 50
    schema_hash: str = field(default="", compare=False)  # judged by FeatureSet.accepts, as 0.1 wrote another one
    categorical: tuple[tuple[str, str], ...] = ()  # (name, "shared" | "candidate"), carried as hash_ids()

    def client_index(self, client: str) -> int:
        """1 + index in `clients`; 0 for a client the model was not trained on (it then acts client-neutral)."""
        return self.clients.index(client) + 1 if client in self.clients else 0

    @property
    def reads_score(self) -> bool:
        """Whether the last candidate column is the lightweight ranker's score; models of earlier formats lack it."""
        return self.candidate[-1:] == (LIGHTWEIGHT_SCORE,)

    @property
    def widths(self) -> Widths:
        """Sizes for the model."""
        sides = [side for _, side in self.categorical]
        return Widths(
            shared=len(self.shared),
            candidate=len(self.candidate),
            shared_category=sides.count("shared"),
            candidate_category=sides.count("candidate"),
            vector=self.n_topics,
            actions=len(self.actions),
            clients=len(self.clients),
            sequence=self.sequence_length,
            score=self.reads_score,
        )

    def to_json(self) -> str:
        """Text for the bundle."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Inverse of `to_json`."""
        raw: dict[str, Any] = json.loads(text)
        raw["categorical"] = [(n, s) for n, s in raw.get("categorical", ())]
        listed: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in raw.items()}
        return cls(**listed)


@dataclass
class RequestBatch:
    """B requests, N candidates in all. `request[n]` says whose candidate n is and never decreases; NaN = missing.

    Hashed ids come from `hash_ids`, 0 is padding. Sequences are the user's last actions, newest first.
    """

    client: Ints  # [B] schema.client_index, 0 = unknown
    shared: Floats  # [B, S]
    candidates: Floats  # [N, C]
    request: Ints  # [N]
    sequence_pin: Ints  # [B, L] hashed, 0 = padding
    sequence_action: Ints  # [B, L] 1 + action, 0 = other or padding
    sequence_client: Ints  # [B, L] schema.client_index
    sequence_age: Floats  # [B, L] hours
    sequence_vector: Floats  # [B, L, T]
    candidate_pin: Ints  # [N] hashed
    candidate_vector: Floats  # [N, T]
    shared_category: Ints | None = None  # [B, K] hashed
    candidate_category: Ints | None = None  # [N, K] hashed
    position: Ints | None = None  # [N] in the answer, -1 = not shown; training only
    labels: Floats | None = None  # [N, A], NaN = unknown, not trained on
    weights: Floats | None = None  # [N] importance weight, 1 / sampling rate
    label_mask: Floats | None = None  # [N, A] 0 = do not train on this label

    @property
    def n_requests(self) -> int:
        """B."""
        return len(self.client)

    @property
    def n_candidates(self) -> int:
        """N."""
        return len(self.request)

    def stands_for(self) -> Floats:
        """[N] how many candidates of the log each one counts for: its weight, 1 without weights."""
        return np.ones(self.n_candidates, np.float32) if self.weights is None else self.weights

    @classmethod
    def concat(cls, batches: Sequence["RequestBatch"]) -> "RequestBatch":
        """Several batches as one forward pass; optional parts must be there in all or in none."""
        if len(batches) == 1:
            return batches[0]
        out: dict[str, Any] = {}
        for f in fields(cls):
            parts = [getattr(b, f.name) for b in batches]
            if f.name == "request":
                starts = np.cumsum([0, *(b.n_requests for b in batches[:-1])])
                parts = [p + s for p, s in zip(parts, starts, strict=True)]
            present = [p is not None for p in parts]
            if any(present) and not all(present):
                raise DataError(f"cannot join batches: {f.name} is missing in some of them")
            out[f.name] = np.concatenate(parts) if all(present) else None
        return cls(**out)

    def take(self, requests: Ints) -> "RequestBatch":
        """A batch of the given requests only, in the given order."""
        counts = np.bincount(self.request, minlength=self.n_requests)
        start = np.cumsum(counts) - counts
        lengths = counts[requests]
        new_request = np.repeat(np.arange(len(requests)), lengths)
        within = np.arange(len(new_request)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        rows = np.repeat(start[requests], lengths) + within
        per_request = {"client", "shared", "shared_category"}
        out: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if value is not None:
                whole = f.name in per_request or f.name.startswith("sequence_")
                value = new_request if f.name == "request" else value[requests if whole else rows]
            out[f.name] = value
        return RequestBatch(**out)

    def of_new_clients(self, hidden: npt.NDArray[np.bool_], scored: bool) -> "RequestBatch":
        """The requests in `hidden` (bool[B]) as a new client makes them: unknown, and without a lightweight ranker,
        whose score is the last candidate column if the batch is `scored`.
        """
        candidates = self.candidates
        if scored:
            candidates = candidates.copy()
            candidates[hidden[self.request], -1] = np.nan
        return replace(self, client=np.where(hidden, 0, self.client), candidates=candidates)

    def thin_negatives(self, share: float, rng: np.random.Generator) -> "RequestBatch":
        """Keep every candidate with an action and a random `share` of the others, whose weights grow by 1 / share:
        the loss stays unbiased and a step costs less. Unknown labels (NaN) count as no action.
        """
        if share >= 1 or self.labels is None:
            return self
        acted: npt.NDArray[np.bool_] = np.asarray((np.nan_to_num(self.labels) > 0).any(axis=1))
        rows = np.flatnonzero(acted | (rng.random(self.n_candidates) < share))
        out: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            of_candidate = f.name not in ("client", "shared", "shared_category") and not f.name.startswith("sequence_")
            out[f.name] = value[rows] if of_candidate and value is not None else value
        weights = np.ones(len(rows), np.float32) if out["weights"] is None else out["weights"]
        out["weights"] = np.where(acted[rows], weights, weights / np.float32(share)).astype(np.float32)
        return RequestBatch(**out)

    @classmethod
    def from_table(cls, table: pa.Table, schema: RankerSchema) -> "RequestBatch":
        """Read rows of the training table (docs/ranker.md). Raises DataError naming the column and row that is
        wrong.
        """
        w = schema.widths
        rows = ListRows(table)
        each = np.ones(table.num_rows, np.int64)  # per request: one row of values
        pins, counts = rows.flat("pin_hash", np.int64)
        sequence = Sequences(rows, w.sequence)

        def optional(name: str, width: int) -> Floats | None:
            return rows.matrix(name, np.float32, counts, width) if rows.has(name) or not width else None

        vector = optional("vectors", w.vector)
        shared_category: Ints | None = None
        candidate_category: Ints | None = None
        if w.shared_category:
            shared_category = rows.matrix("shared_category", np.int64, each, w.shared_category)
        if w.candidate_category:
            candidate_category = rows.matrix("candidate_category", np.int64, counts, w.candidate_category)
        return cls(
            client=index_of_names(table.column("client").combine_chunks(), schema.clients),
            shared=rows.matrix("shared", np.float32, each, w.shared),
            candidates=rows.matrix("candidates", np.float32, counts, w.candidate),
            request=np.repeat(np.arange(table.num_rows), counts),
            sequence_pin=sequence.pins(),
            sequence_action=sequence.codes("sequence_action", schema.actions),
            sequence_client=sequence.codes("sequence_client", schema.clients),
            sequence_age=sequence.numbers("sequence_age"),
            sequence_vector=sequence.vectors("sequence_vectors", w.vector),
            candidate_pin=pins,
            candidate_vector=np.zeros((len(pins), w.vector), np.float32) if vector is None else vector,
            shared_category=shared_category,
            candidate_category=candidate_category,
            position=rows.sized("position", np.int64, counts) if rows.has("position") else None,
            labels=optional("labels", w.actions),
            weights=_weights(rows, counts),
        )


def _weights(rows: ListRows, counts: Ints) -> Floats | None:
    """Importance weights of the candidates. Raises DataError for one that is none."""
    if not rows.has("weights"):
        return None
    weights = rows.sized("weights", np.float32, counts)
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise DataError("training rows: column weights holds a negative or non-finite number: drop or fix those rows")
    return weights
