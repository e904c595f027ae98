"""The data contract: Arrow schemas of edges, pins, users, events, impressions and the serving log (docs/data.md).

Ids are int64 or string, one choice for the whole project (`ids:` in pinfunnel.yaml); they stay so end to end.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from cluster.settings.attributes import AttributeKind
from cluster.settings.project import FeatureSettings

TIMESTAMP = pa.timestamp("us", tz="UTC")

ATTRIBUTE_TYPES: Mapping[AttributeKind, pa.DataType] = {
    "number": pa.float64(),  # as the request's own numbers: 19.99 is no float32
    "category": pa.string(),
    "list": pa.list_(pa.string()),
    "time": TIMESTAMP,
}

# Stage that a candidate reached, as logged.
WALKED = 0
RANKED = 1
IMPRESSED = 2
"""Only the walk and the lightweight ranker saw it · the full ranker scored it · it was in the answer."""


@dataclass(frozen=True)
class InputColumn:
    """One column of an input table: `required` columns must be there, `nullable` ones may hold nulls."""

    name: str
    type: pa.DataType
    required: bool = True
    nullable: bool = False


def id_type(ids: str) -> pa.DataType:
    """Arrow type of ids: `int64` or `string`."""
    return pa.int64() if ids == "int64" else pa.string()


def edges_columns(ids: str) -> list[InputColumn]:
    """A pin saved to a board; `saved_at` gives recency features and time splits."""
    return [
        InputColumn("board_id", id_type(ids)),
        InputColumn("pin_id", id_type(ids)),
        InputColumn("saved_at", TIMESTAMP, required=False, nullable=True),
    ]


def pins_columns(
    ids: str, features: FeatureSettings, attributes: Mapping[str, AttributeKind] | None = None
) -> list[InputColumn]:
    """Items: topics (list of names), locale, creation time, picture, configured feature columns, and the attributes.

    A column that is both a feature and an attribute is read once, in the attribute's type.
    """
    width = features.pin_vector_width
    kinds = attributes or {}
    picture = InputColumn("image_url", pa.string(), required=False, nullable=True)
    columns = [
        InputColumn("pin_id", id_type(ids)),
        InputColumn("topics", pa.list_(pa.string()), required=False, nullable=True),
        InputColumn("locale", pa.string(), required=False, nullable=True),
        InputColumn("created_at", TIMESTAMP, required=False, nullable=True),
        InputColumn("updated_at", TIMESTAMP, required=False, nullable=True),
        *([] if "image_url" in (*features.pin_numeric, *features.pin_categorical) else [picture]),
        *([InputColumn("vector", pa.list_(pa.float32(), width), nullable=True)] if width else []),
        *(InputColumn(n, pa.float64() if n in kinds else pa.float32(), nullable=True) for n in features.pin_numeric),
        *(InputColumn(name, pa.string(), nullable=True) for name in features.pin_categorical),
    ]
    taken = {column.name for column in columns}
    more = {name: ATTRIBUTE_TYPES[kind] for name, kind in kinds.items() if name not in taken}
    return [*columns, *(InputColumn(name, of, nullable=True) for name, of in more.items())]


def users_columns(ids: str, features: FeatureSettings) -> list[InputColumn]:
    """Users: locale, declared interests (topic names), and the configured feature columns."""
    return [
        InputColumn("user_id", id_type(ids)),
        InputColumn("locale", pa.string(), required=False, nullable=True),
        InputColumn("interests", pa.list_(pa.string()), required=False, nullable=True),
        InputColumn("updated_at", TIMESTAMP, required=False, nullable=True),
        *(InputColumn(name, pa.float32(), nullable=True) for name in features.user_numeric),
        *(InputColumn(name, pa.string(), nullable=True) for name in features.user_categorical),
    ]


def events_columns(ids: str) -> list[InputColumn]:
    """What a user did with a pin. History from before the funnel has no request_id, and perhaps no client."""
    return [
        InputColumn("user_id", id_type(ids)),
        InputColumn("pin_id", id_type(ids)),
        InputColumn("action", pa.string()),
        InputColumn("occurred_at", TIMESTAMP),
        InputColumn("event_id", pa.string(), required=False, nullable=True),
        InputColumn("request_id", pa.string(), required=False, nullable=True),
        InputColumn("client", pa.string(), required=False, nullable=True),
    ]


def impressions_columns(ids: str) -> list[InputColumn]:
    """A pin that some other system showed: one row for each pin of a request. `position` counts from 0, from the top.

    User, client and time are those of the request, the same in all of its rows.
    """
    return [
        InputColumn("request_id", pa.string()),
        InputColumn("user_id", id_type(ids)),
        InputColumn("pin_id", id_type(ids)),
        InputColumn("position", pa.int64()),
        InputColumn("shown_at", TIMESTAMP),
        InputColumn("client", pa.string(), required=False, nullable=True),
    ]


def event_schema(ids: str) -> pa.Schema:
    """Schema of the durable event log: every column of the contract plus when the server took the event."""
    return pa.schema([(c.name, c.type) for c in events_columns(ids)] + [("received_at", TIMESTAMP)])


def serving_schema(ids: str) -> pa.Schema:
    """Schema of the serving-stage log: one row a request, candidates nested.

    `shared_features` has S values; `candidate_features` is the n x C matrix, row after row; names of both are in the
    file's metadata. Lists of candidates run in the order that they had without a model. `source_name` names the S
    sources that answered and `source_budget` how many pins each was asked for; `source_rank` (-1: not found) and
    `source_score` are n x S, row after row; logs from before there were several sources lack the four.
    `position` is the slot in the answer, -1 if not shown. `filter` is what the request asked of its pins, as JSON: only
    pins that it matches are candidates; null where it asked nothing.
    `explored_rate`: the chance (propensity) of each candidate that `explored` marks to be drawn; null where none was.
    `dropped_rate`: that of those which `explored_dropped` marks as well: the lightweight stage had dropped them.
    Where it is null, no such candidate can be drawn and the list is empty.
    `teacher_rate`: the chance that a candidate which only the walk chose got a `full_score` all the same, as this one's
    did (serving/funnel/teacher.py); null for the requests without such scores. `kept_rate`: the chance that a candidate
    neither shown nor acted on was logged, in replayed history that logs a sample of them; null where all are here.
    `experiment` is the caller's own text; `exposure` names the project's experiments in force, as `experiment/arm`.
    `team` is, of each pin that a team draft of two arms placed, the index of its arm, -1 of all others; empty where no
    orders were interleaved. `milliseconds` from the call to its answer; null where nobody waited for one.
    """
    return pa.schema(
        [
            ("request_id", pa.string()),
            ("client", pa.string()),
            ("user_id", id_type(ids)),
            ("requested_at", TIMESTAMP),
            ("experiment", pa.string()),
            ("exposure", pa.list_(pa.string())),
            ("milliseconds", pa.float32()),
            ("degraded", pa.string()),
            ("graph_version", pa.string()),
            ("lightweight_version", pa.string()),
            ("full_version", pa.string()),
            ("schema_hash", pa.string()),
            ("user_locale", pa.string()),
            ("filter", pa.string()),
            ("explored_rate", pa.float32()),
            ("dropped_rate", pa.float32()),
            ("teacher_rate", pa.float32()),
            ("kept_rate", pa.float32()),
            ("query_pin_id", pa.list_(id_type(ids))),
            ("query_weight", pa.list_(pa.float32())),
            ("sequence_pin_id", pa.list_(id_type(ids))),
            ("sequence_action", pa.list_(pa.string())),
            ("sequence_client", pa.list_(pa.string())),
            ("sequence_age_hours", pa.list_(pa.float32())),
            ("source_name", pa.list_(pa.string())),
            ("source_budget", pa.list_(pa.int32())),
            ("pin_id", pa.list_(id_type(ids))),
            ("source_rank", pa.list_(pa.int32())),
            ("source_score", pa.list_(pa.float32())),
            ("stage", pa.list_(pa.int8())),
            ("position", pa.list_(pa.int16())),
            ("explored", pa.list_(pa.bool_())),
            ("explored_dropped", pa.list_(pa.bool_())),
            ("team", pa.list_(pa.int8())),
            ("visit_score", pa.list_(pa.float32())),
            ("lightweight_score", pa.list_(pa.float32())),
            ("full_score", pa.list_(pa.float32())),
            ("shared_features", pa.list_(pa.float32())),
            ("candidate_features", pa.list_(pa.float32())),
        ]
    )
