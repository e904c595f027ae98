"""From the funnel's `Answer` to the HTTP response, with explanations when asked for."""

import numpy as np

from cluster.contract.ids import plain_id
from serving.http.api import (
    Explanation,
    FoundBy,
    LogOddsParts,
    QueryVisits,
    RankedPin,
    RecommendationResponse,
    StageReport,
)
from serving.request.answer import Answer
from serving.request.found import Discovery


def to_response(
    answer: Answer, request_id: str, explain: bool, milliseconds: float, personal: bool = True
) -> RecommendationResponse:
    """The response of one answer. A pin's `score` is the last one that ordered it: utility, margin or visit count."""
    candidates = answer.candidates
    ranked = answer.ranked
    scored = answer.scored
    scores = candidates.score
    if ranked is not None and ranked.version is not None:
        scores = np.where(np.isnan(ranked.scores), scores, ranked.scores)
    full = answer.full_scores()
    scores = np.where(np.isnan(full), scores, full)
    pins = []
    for position, row in enumerate(answer.shown.tolist()):
        pin = RankedPin(pin_id=plain_id(candidates.pin_ids[row]), score=float(scores[row]))
        if explain:
            pin.explanation = _explain(answer, position, row)
        pins.append(pin)
    return RecommendationResponse(
        request_id=request_id,
        client=answer.ask.client,
        pins=pins,
        source=candidates.source,
        versions={
            "graph": candidates.graph_version,
            "lightweight": None if ranked is None else ranked.version,
            "full": None if scored is None else scored.version,
        },
        experiments=list(answer.exposure) or None,
        stages=[StageReport.model_validate(vars(stage)) for stage in answer.stages],
        degraded=answer.degraded,
        personalization=None if personal else False,
        removed=answer.removed if explain else None,
        milliseconds=milliseconds,
    )


def _explain(answer: Answer, position: int, row: int) -> Explanation:
    candidates = answer.candidates
    ranked = answer.ranked
    scored = answer.scored
    visits = candidates.by_query[row]
    reached = [
        QueryVisits(pin_id=plain_id(candidates.query_ids[q]), visits=int(visits[q]))
        for q in np.argsort(-visits.astype(np.int64), kind="stable")
        if visits[q]
    ]
    out = Explanation(
        visit_score=float(candidates.score[row]),
        visit_rank=row,
        found_by=[_found_by(one) for one in answer.discoveries[position]] if answer.discoveries else [],
        reached_from=reached,
        explored=bool(answer.explored[position]),
    )
    if ranked is None:
        return out
    if ranked.version is not None:
        out.lightweight_score = float(ranked.scores[row])
    if answer.contributions:
        out.lightweight_top_features = answer.contributions[position]
    found = np.flatnonzero(ranked.survivors == row).tolist()
    if not found:
        return out
    out.lightweight_rank = survivor = found[0]
    if scored is None or not np.isfinite(scored.utility[survivor]):
        return out
    probabilities = scored.probabilities[survivor].tolist()
    out.full_score = float(scored.utility[survivor])
    out.full_rank = scored.order().tolist().index(survivor)
    out.probabilities = dict(zip(scored.actions, probabilities, strict=True))
    parts = zip(scored.actions, scored.weights, probabilities, strict=True)
    out.utility_parts = {action: weight * p for action, weight, p in parts if weight}
    if answer.reasons:
        reasons = answer.reasons[position].items()
        out.full_log_odds = {action: LogOddsParts.model_validate(vars(parts)) for action, parts in reasons}
    return out


def _found_by(one: Discovery) -> FoundBy:
    told = FoundBy(source=one.source, rank=one.rank, score=one.score)
    if one.kind == "topic":
        told.topic = str(one.of)
    elif one.kind == "board":
        told.board = one.of
    elif one.kind == "query_pin":
        told.query_pin = one.of
    return told
