"""Labelled examples of the lightweight rankers: joined requests → feature matrices in Ray's object store.

One Ray Data run for all clients: blocks stay where they were made, workers fetch those of their client.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.errors import ModelError
from cluster.features.assemble import FeatureSet
from cluster.hashing import hash_ids
from cluster.settings.clients import Client
from training.lightweight.strategies.registry import resolve
from training.lightweight.strategies.strategy import CLASSES, LabelRule, LoggedCandidates, label_request
from training.log.arrays import COLUMNS, Request, read_requests
from training.log.attribution import as_datetime64, split_time
from training.log.requests import Joined
from training.log.tasks import LogWindow

TRAIN, VALID = 0, 1
"""Which examples fit the trees, and which (later ones) stop the boosting."""


@dataclass(frozen=True)
class MakeExamples:
    """Table of joined requests → table of examples: client code, features, label, weight, class, split, request."""

    names: tuple[str, ...]  # clients; a client's index is its code
    rules: tuple[LabelRule, ...]
    valid_from: tuple[np.datetime64, ...]
    local_column: int  # of the candidate features
    width: int

    def __call__(self, table: pa.Table) -> pa.Table:
        """Only kept examples; classes and counts follow from them."""
        made = [self._empty()]
        at = as_datetime64(table.column("requested_at"))
        for request in read_requests(table):
            code = self.names.index(request.client)
            labels = label_request(self.rules[code], self._candidates(request))
            rows = np.flatnonzero(labels.kept)
            split = VALID if at[request.row] >= self.valid_from[code] else TRAIN
            key = hash_ids([request.request_id])[0]
            made.append(
                (
                    np.full(len(rows), code, np.int16),
                    request.matrix(rows),
                    labels.label[rows],
                    labels.weight[rows],
                    labels.example_class[rows],
                    np.full(len(rows), split, np.int8),
                    np.full(len(rows), key, np.int64),
                )
            )
        codes, x, label, weight, kind, splits, keys = (np.concatenate(parts) for parts in zip(*made, strict=True))
        return pa.table(
            {
                "client": codes,
                "x": pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), self.width),
                "label": label,
                "weight": weight,
                "class": kind,
                "split": splits,
                "request": keys,
            }
        )

    def _candidates(self, request: Request) -> LoggedCandidates:
        return LoggedCandidates(
            request_id=request.request_id,
            stage=request.stage,
            explored=request.explored,
            actions=request.actions,
            local=request.candidates[:, self.local_column],
            teacher=request.full_score,
            teacher_rate=request.teacher_rate,
            kept_rate=request.kept_rate,
        )

    def _empty(self) -> tuple[np.ndarray, ...]:
        """The columns without a row, which a table without requests has too."""
        return (
            np.zeros(0, np.int16),
            np.zeros((0, self.width), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int8),
            np.zeros(0, np.int8),
            np.zeros(0, np.int64),
        )


@dataclass(frozen=True)
class ClientExamples:
    """The examples of one client: references to blocks that may hold other clients' too."""

    client: str
    code: int
    features: tuple[str, ...]
    rule: LabelRule
    blocks: list[Any] = field(repr=False)  # ObjectRef[pa.Table]
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # split -> class -> rows

    @property
    def rows(self) -> int:
        """Examples that fit the trees."""
        return sum(self.counts.get("train", {}).values())

    def require_learnable(self) -> None:
        """Raises ModelError, with the reason, when no trees can be fitted on these examples."""
        if why := self.unlearnable():
            raise ModelError(f"client {self.client}: {why}")

    def unlearnable(self) -> str:
        """Why no trees can be fitted on these examples; empty when they can."""
        train, strategy = self.counts.get("train", {}), self.rule.strategy
        if not self.rows:
            return strategy.without_examples
        if strategy.classifies and not train.get("action", 0):
            return f"no actions in {self.rows} examples: check the event log and attribution_hours"
        if strategy.classifies and sum(1 for n in train.values() if n) < 2:
            return f"only one class of examples ({train}): nothing to tell apart"
        return ""


def build_examples(
    joined: Joined, clients: Mapping[str, Client], windows: Mapping[str, LogWindow], valid_share: float = 0.15
) -> dict[str, ClientExamples]:
    """Examples of all `clients` from the requests in `windows`; the last `valid_share` of each stops the boosting."""
    import ray

    project = joined.project
    features = FeatureSet.of(project.features)
    names = tuple(clients)
    rules = tuple(resolve(clients[n].labels, project.actions, project.negative_actions) for n in names)
    valid_from = []
    for name in names:
        times = joined.index.times(name)
        until = windows[name].until
        valid_from.append(split_time(times if until is None else times[times < until], valid_share))
    local = features.candidate.index("cross_locale_match")
    make = MakeExamples(names, rules, tuple(valid_from), local, len(features.names))
    dataset = joined.requests(COLUMNS, dict(windows)).map_batches(
        make, batch_format="pyarrow", batch_size=None, zero_copy_batch=True
    )
    blocks = list(dataset.materialize().to_arrow_refs())
    count = ray.remote(num_cpus=1)(count_classes)  # more at once would each start a process
    per_block = ray.get([count.remote(block, len(names)) for block in blocks])
    out = {}
    for code, name in enumerate(names):
        mine = [b for b, c in zip(blocks, per_block, strict=True) if c[code].any()]
        total = np.sum([c[code] for c in per_block], axis=0) if per_block else np.zeros((2, len(CLASSES)), np.int64)
        counts = {
            split: {kind: int(total[s, k]) for k, kind in enumerate(CLASSES)}
            for s, split in enumerate(("train", "valid"))
        }
        out[name] = ClientExamples(name, code, features.names, rules[code], mine, counts)
    return out


def count_classes(block: pa.Table, clients: int) -> np.ndarray:
    """int64[clients, 2, classes]: rows of a block by client, split and class."""
    if not block.num_rows:  # of a log file whose requests all lie outside the windows: Ray Data gives it no columns
        return np.zeros((clients, 2, len(CLASSES)), np.int64)
    key = [np.asarray(block.column(c).to_numpy()).astype(np.int64) for c in ("client", "split", "class")]
    flat = (key[0] * 2 + key[1]) * len(CLASSES) + key[2]
    return np.bincount(flat, minlength=clients * 2 * len(CLASSES)).reshape(clients, 2, len(CLASSES))


def block_arrays(block: pa.Table, code: int, split: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x float32[m, F], label float32[m], weight float32[m] of one client and split of a block."""
    block = block.combine_chunks()
    if not block.num_rows:
        return np.zeros((0, 0), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32)
    keep = (block.column("client").to_numpy() == code) & (block.column("split").to_numpy() == split)
    fixed = block.column("x").combine_chunks()
    fixed = fixed.chunk(0) if isinstance(fixed, pa.ChunkedArray) else fixed
    x = fixed.flatten().to_numpy(zero_copy_only=False).reshape(block.num_rows, -1)
    label, weight = (block.column(c).to_numpy() for c in ("label", "weight"))
    return (x, label, weight) if keep.all() else (x[keep], label[keep], weight[keep])
