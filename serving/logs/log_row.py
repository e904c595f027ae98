"""From an answer to its row of the serving log, and from rows to a table. No queue, no disk."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.data.schema import serving_schema
from cluster.features.assemble import FeatureSet
from cluster.store.logs import feature_metadata
from serving.request.answer import Answer


def log_row(
    answer: Answer,
    request_id: str,
    schema_hash: str,
    experiment: str,
    locale: str | None,
    asked: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One answer as a row of `serving_schema`, NumPy arrays in place of lists; `asked` is its filter as it was sent."""
    candidates = answer.candidates
    ranked = answer.ranked
    ask = answer.ask
    n = len(candidates.pins)
    position = np.full(n, -1, np.int16)
    position[answer.shown] = np.arange(len(answer.shown))
    explored = np.zeros(n, bool)
    explored[answer.shown] = answer.explored
    dropped = np.empty(0, bool)
    if answer.dropped_rate and ranked is not None:
        dropped = explored.copy()
        dropped[ranked.survivors] = False
    team = np.empty(0, np.int8)
    if len(answer.team):
        team = np.full(n, -1, np.int8)
        team[answer.shown] = answer.team
    missing = np.full(n, np.nan, np.float32)
    return {
        "request_id": request_id,
        "client": ask.client,
        "user_id": ask.user_id,
        "requested_at": datetime.fromtimestamp(ask.at / 1e6, UTC),
        "experiment": experiment,
        "exposure": answer.exposure,
        "milliseconds": answer.milliseconds,
        "degraded": answer.degraded,
        "graph_version": candidates.graph_version,
        "lightweight_version": None if ranked is None else ranked.version,
        "full_version": None if answer.scored is None else answer.scored.version,
        "schema_hash": schema_hash,
        "user_locale": locale,
        "filter": None if asked is None else json.dumps(asked, separators=(",", ":")),
        "explored_rate": answer.explored_rate or None,
        "dropped_rate": answer.dropped_rate or None,
        "teacher_rate": None if answer.taught is None else answer.taught.rate,
        "kept_rate": None,
        "query_pin_id": candidates.query_ids,
        "query_weight": candidates.query_weight,
        "sequence_pin_id": candidates.sequence.pin_ids,
        "sequence_action": candidates.sequence.actions,
        "sequence_client": candidates.sequence.clients,
        "sequence_age_hours": candidates.sequence_age(ask.at),
        "source_name": candidates.sources.names,
        "source_budget": candidates.sources.budget,
        "pin_id": candidates.pin_ids,
        "source_rank": candidates.sources.rank.ravel(),
        "source_score": candidates.sources.score.ravel(),
        "stage": answer.stage_reached(),
        "position": position,
        "explored": explored,
        "explored_dropped": dropped,
        "team": team,
        "visit_score": candidates.score,
        "lightweight_score": missing if ranked is None else ranked.scores,
        "full_score": answer.full_scores(),
        "shared_features": np.empty(0, np.float32) if ranked is None else ranked.shared,
        "candidate_features": np.empty(0, np.float32) if ranked is None else ranked.candidates.ravel(),
    }


def rows_to_table(rows: list[dict[str, Any]], ids: str, features: FeatureSet) -> pa.Table:
    """Rows as one Arrow table; nested columns are built flat, without a Python object per candidate."""
    schema = serving_schema(ids)
    columns = []
    for column in schema:
        values = [row[column.name] for row in rows]
        if pa.types.is_list(column.type):
            offsets = np.cumsum([0, *(len(v) for v in values)])
            flat = np.concatenate([np.asarray(v) for v in values]) if values else np.empty(0)
            plain = flat.tolist() if flat.dtype == object or not len(flat) else flat  # an empty one has no type
            items = pa.array(plain, column.type.value_type)
            columns.append(pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items))
        else:
            columns.append(pa.array(values, column.type))
    return pa.Table.from_arrays(columns, schema=schema.with_metadata(feature_metadata(features)))
