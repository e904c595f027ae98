"""Every metric of pinfunnel: its name, type, labels and meaning. The table of docs/operations.md is this one; no Ray.

Labels have few values, all known beforehand: names of clients, stages, features, kinds and reasons, never text of a
request. Serve adds `application`, `deployment` and `replica`.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Declared:
    """One metric. Prometheus sees its name with `ray_` in front."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str


REQUEST = Declared("pinfunnel_request_milliseconds", "histogram", ("client",), "an answer, from the request's arrival")
STAGE = Declared(
    "pinfunnel_stage_milliseconds",
    "histogram",
    ("client", "stage"),
    "a stage that has a result, as the ingress sees it",
)
CANDIDATES = Declared(
    "pinfunnel_candidates_total",
    "counter",
    ("client", "stage", "side"),
    "candidates into (`side` `in`) and out of a stage (`out`); a source takes query pins in, `answer` is what is shown",
)
REMOVED = Declared(
    "pinfunnel_policy_removed_total", "counter", ("client", "step"), "candidates that a step of the policy left out"
)
FALLBACKS = Declared(
    "pinfunnel_fallbacks_total",
    "counter",
    ("client", "stage", "reason"),
    "what answers lack: a stage `late`, `failed` or `skipped` for want of time; `full` or `explain_full` done in part "
    "(`partial`); `walk` without some parts of the graph (`shards`); `events` `stale`; `candidates` with useless query "
    "pins (`query_pins`) or of no source (`popular`); `answer` with too few pins (`short`); `experiment` answered as "
    "another arm (`arm`)",
)
DEGRADED = Declared("pinfunnel_degraded_total", "counter", ("client",), "answers that lack something")
EXPOSED = Declared(
    "pinfunnel_exposed_total",
    "counter",
    ("client", "arm", "degraded"),
    "answers by the arm that was in force, as `experiment/arm`, and whether they lack something (`yes` or `no`)",
)
REFUSED = Declared(
    "pinfunnel_refused_total",
    "counter",
    ("why",),
    "calls answered 401 (`unknown` key), 403 (`forbidden` to it) and 429: it calls too often (`limited`), the wait "
    "would be too long (`full`), or was (`late`)",
)
WAITING = Declared("pinfunnel_waiting_requests", "gauge", (), "requests that wait for their turn in an ingress")
EVENTS = Declared(
    "pinfunnel_events_total",
    "counter",
    ("outcome",),
    "events that were sent: `stored`, `refused` by name, or `not_stored` (answered 503, to be sent again)",
)
DROPPED = Declared(
    "pinfunnel_log_dropped_total",
    "counter",
    ("client",),
    "answers that the full queue of the serving log had no room for",
)
LOG_ROWS = Declared(
    "pinfunnel_log_waiting_rows",
    "gauge",
    ("log",),
    "rows of the `serving` and `events` logs that are not Parquet yet; messages of `kafka` that are not read; "
    "users whose state is not in `redis`",
)
LOG_BYTES = Declared(
    "pinfunnel_log_waiting_bytes", "gauge", ("log",), "their bytes in memory, of `serving` and `events`"
)
LOG_AGE = Declared(
    "pinfunnel_log_oldest_seconds",
    "gauge",
    ("log",),
    "how long the oldest of them has waited, of `serving` and `events`",
)
LOG_PROBLEMS = Declared(
    "pinfunnel_log_problems", "gauge", ("log",), "what is wrong with a log now, as `/readyz` names it"
)
BUNDLE_MADE = Declared(
    "pinfunnel_bundle_timestamp_seconds",
    "gauge",
    ("kind",),
    "when the bundle that a replica serves with was made, Unix time; 0 where it serves with none of that kind",
)
BUNDLE_PROBLEMS = Declared(
    "pinfunnel_bundle_problems",
    "gauge",
    ("kind",),
    "versions set aside, and pointers that name none; 0 when all is well",
)
PSI = Declared(
    "pinfunnel_feature_psi",
    "gauge",
    ("client", "feature"),
    "how far a feature has moved since training, over the last hour: over 0.1 somewhat, over 0.25 much",
)
NAN_SHARE = Declared(
    "pinfunnel_feature_nan_share",
    "gauge",
    ("client", "feature"),
    "share of candidates without the feature, over the last hour",
)

ALL = tuple(value for value in list(globals().values()) if isinstance(value, Declared))
