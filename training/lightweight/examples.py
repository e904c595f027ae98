"""Labelled examples of the lightweight rankers: joined requests → feature matrices in Ray's object store.

One Ray Data run for all clients: blocks stay where they were made, workers fetch those of their client.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.errors import ModelError
from cluster.features.assemble import FeatureSet
from cluster.hashing import hash_ids
from cluster.settings.clients import Client
from training.lightweight.blocks import SCHEMA, block_of, count_classes, in_order, named_counts
from training.lightweight.splits import VALID_SHARE, TimeSplit, split_without
from training.lightweight.strategies.registry import resolve
from training.lightweight.strategies.strategy import ACTION, CLASSES, LabelRule, LoggedCandidates, label_request
from training.log.arrays import COLUMNS, Request, read_requests
from training.log.attribution import as_datetime64
from training.log.dropout import SourceDropout
from training.log.moments import Moments
from training.log.requests import Joined
from training.log.tasks import LogWindow

ORDERED_ROWS = 1_000_000
"""Examples of a client up to which they are put in the order of their requests: trees then depend on what is in the
log alone. To sort a larger log, where the order of files weighs nothing, would cost another pass over it."""


@dataclass(frozen=True)
class MakeExamples:
    """Table of joined requests → table of examples (`SCHEMA`)."""

    names: tuple[str, ...]  # clients; a client's index is its code
    rules: tuple[LabelRule, ...]
    local_column: int  # of the candidate features
    dropout: SourceDropout | None = None

    def __call__(self, table: pa.Table) -> pa.Table:
        """Only kept examples; a request without any gives no row."""
        columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
        at = as_datetime64(table.column("requested_at")).astype(np.int64)
        requests = read_requests(table)
        for request in requests if self.dropout is None else map(self.dropout, requests):
            code = self.names.index(request.client)
            labels = label_request(self.rules[code], self._candidates(request))
            rows = np.flatnonzero(labels.kept)
            if not len(rows):
                continue
            acted = int((labels.example_class == ACTION).sum())
            made = {
                "client": code,
                "requested_at": int(at[request.row]),
                "draw": float(hash_ids([f"examples {request.request_id}"])[0]) / 2.0**63,
                "request_weight": max(acted, 1) ** (1.0 - self.rules[code].request_balance),
                "x": request.matrix(rows).ravel(),
                "label": labels.label[rows],
                "weight": labels.weight[rows],
                "grade": labels.grade[rows],
                "class": labels.example_class[rows],
            }
            for name, value in made.items():
                columns[name].append(value)
        return block_of(columns)

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
            live=request.live,
        )


@dataclass(frozen=True)
class ClientExamples:
    """The examples of one client: references to blocks that may hold other clients' too."""

    client: str
    code: int
    features: tuple[str, ...]
    rule: LabelRule
    blocks: list[Any] = field(repr=False)  # ObjectRef[pa.Table]
    split: TimeSplit
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # split -> class -> rows
    times: Moments = field(default_factory=Moments, repr=False)  # of its requests

    @property
    def rows(self) -> int:
        """Examples that fit the trees."""
        return sum(self.counts.get("train", {}).values())

    def split_by(self, split: TimeSplit) -> "ClientExamples":
        """The same requests in other roles, counted anew."""
        import ray

        splits = [split]
        count = ray.remote(num_cpus=1)(count_classes)
        counted = ray.get([count.remote(block, splits, self.code) for block in self.blocks])
        total = np.sum(counted, axis=0)[0] if counted else np.zeros((2, len(CLASSES)), np.int64)
        return replace(self, split=split, counts=named_counts(total))

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
    joined: Joined, clients: Mapping[str, Client], windows: Mapping[str, LogWindow], valid_share: float = VALID_SHARE
) -> dict[str, ClientExamples]:
    """Examples of all `clients` from the requests in `windows`; the last `valid_share` of each stops the boosting."""
    import ray

    project = joined.project
    features = FeatureSet.of(project.features)
    names = tuple(clients)
    rules = tuple(resolve(clients[n].labels, project.actions, project.negative_actions) for n in names)
    times = [joined.index.times(name).inside(windows[name]) for name in names]
    splits = tuple(split_without(moments, (), valid_share) for moments in times)
    dropout = SourceDropout(features, project.gbdt.source_dropout)
    make = MakeExamples(names, rules, features.candidate.index("cross_locale_match"), dropout)
    dataset = joined.requests(COLUMNS, dict(windows)).map_batches(
        make, batch_format="pyarrow", batch_size=None, zero_copy_batch=True
    )
    blocks = list(dataset.materialize().to_arrow_refs())
    count = ray.remote(num_cpus=1)(count_classes)  # more at once would each start a process
    order = ray.remote(num_cpus=1)(in_order)
    per_block = ray.get([count.remote(block, splits) for block in blocks])
    out = {}
    for code, name in enumerate(names):
        mine = [b for b, c in zip(blocks, per_block, strict=True) if c[code].any()]
        total = np.sum([c[code] for c in per_block], axis=0) if per_block else np.zeros((2, len(CLASSES)), np.int64)
        if mine and total.sum() <= ORDERED_ROWS:
            mine = [order.remote(code, *mine)]
        out[name] = ClientExamples(
            name, code, features.names, rules[code], mine, splits[code], named_counts(total), times[code]
        )
    return out
