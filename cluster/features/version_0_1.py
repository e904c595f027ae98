"""How pinfunnel 0.1 named a set of features, so that its bundles and logs stay readable. Frozen: never edit the texts.

0.1 hashed the sentence of each feature in place of a version.
"""

import hashlib
from collections.abc import Sequence

from cluster.features.feature import Feature

OWN = "configured column"
SENTENCES = {
    "user_actions": "log1p of the user's known recent actions",
    "user_hours_idle": "log1p of hours since the last action; NaN for a new user",
    "user_positive_share": "share of recent actions that are not negative; NaN for a new user",
    "context_hour": "hour of day, UTC",
    "context_weekday": "0 Monday to 6 Sunday, UTC",
    "context_query_pins": "number of query pins",
    "context_reached": "log1p of the number of candidates",
    "pin_degree": "log1p of the number of boards that hold the pin",
    "pin_age_days": "days from the pin's creation to the newest edge; NaN when unknown",
    "pin_recent_share": "share of the pin's edges in the newest tenth of time; NaN without saved_at",
    "graph_score": "log1p of the boosted visit count (sum of square roots, squared)",
    "graph_visits": "log1p of raw visits",
    "graph_rank": "log1p of the rank by boosted visit count, from 0",
    "graph_score_share": "boosted visit count / the best candidate's",
    "graph_hits": "query pins whose walks reached the candidate",
    "graph_hit_share": "hits / query pins",
    "graph_corrected_rank": "log1p of the rank by boosted visit count / root of degree, from 0",
    "graph_lift": "log of visits / degree: reached more than its popularity explains",
    "cross_best_query_share": "share of the visits that the best query pin gave",
    "cross_best_query_age": "log1p hours since the action on the best query pin",
    "cross_query_topic": "cosine of the pin's topics with the weighted mean of the query pins'",
    "cross_best_topic": "largest cosine of the pin's topics with one query pin's",
    "cross_interest_topic": "cosine of the pin's topics with the user's declared interests",
    "cross_history_topic": "cosine of the pin's topics with those of the user's recent actions",
    "cross_locale_match": "1 when pin and user share a locale, 0 when not, NaN when unknown",
    "cross_query_vector": "cosine of the pin's vector ({width} numbers) with the weighted mean of the query pins'",
    "cross_best_vector": "largest cosine of the pin's vector ({width} numbers) with one query pin's",
    "cross_history_vector": "cosine of the pin's vector ({width} numbers) with the mean of the user's recent actions'",
}


def schema_hash_0_1(features: Sequence[Feature], vector_width: int) -> str | None:
    """What 0.1 wrote for these features, 16 hexadecimal digits; None when one has changed since.

    A feature that 0.1 did not know counts as a column of the user's. That does no harm: 0.1 kept those at the end, and
    built-in features stand before them, so its hash of another set is never met.
    """
    if any(feature.version != 1 for feature in features):
        return None
    lines = [
        f"{feature.side} {feature.name} {feature.categorical} "
        + SENTENCES.get(feature.name, OWN).replace("{width}", str(vector_width))
        for feature in features
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
