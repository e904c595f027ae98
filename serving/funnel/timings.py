"""What each stage of an answer took, kept and cost, for whoever asked."""

from collections.abc import Mapping

from serving.request.answer import Answer, StageTiming


def timings(answer: Answer, milliseconds: Mapping[str, float], size: int) -> list[StageTiming]:
    """What each source, and each stage that has a result, took, kept and cost."""
    candidates = answer.candidates
    ranked = answer.ranked
    scored = answer.scored
    asked, n = len(candidates.query_pins), len(candidates.pins)
    out = [
        StageTiming(name, candidates.graph_version, asked, found, milliseconds.get(name, milliseconds["mix"]))
        for name, found in candidates.sources.found.items()
    ]
    if ranked is not None:
        kept, took = len(ranked.survivors), milliseconds["lightweight"]
        out.append(StageTiming("lightweight", ranked.version, n, kept, took))
        if scored is not None:
            out.append(StageTiming("full", scored.version, kept, min(size, kept), milliseconds["full"]))
    return out
