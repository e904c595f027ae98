"""Decides whether a trained model may replace what serves now. Pure: figures in, a decision with its reason out."""

from collections.abc import Mapping
from dataclasses import dataclass

from training.metrics.intervals import Interval


@dataclass(frozen=True)
class Gate:
    """What a candidate must show. Figures are of NDCG on actions, candidate minus incumbent, over the same requests."""

    min_requests: int = 10  # held-out requests with an action
    tolerance: float = 0.02  # a mean loss of more than this is refused, however wide the interval


@dataclass(frozen=True)
class Decision:
    """`publish`, and one line that says why or why not."""

    publish: bool
    reason: str
    held_back: tuple[str, ...] = ()  # clients that a published full ranker does not serve, as it is worse for them


def decide(difference: Interval, incumbent: str, finite: bool, constant: bool, gate: Gate | None = None) -> Decision:
    """Publish unless the candidate is broken, unproven or worse.

    Refused: non-finite scores; one score for everything; fewer than `min_requests` requests to compare on; an interval
    wholly below zero; a mean below -`tolerance`. An equal model is published: it knows the newer data.
    """
    gate = gate or Gate()
    if not finite:
        return Decision(False, "refused: the model gives scores that are not finite")
    if constant:
        return Decision(False, "refused: the model gives every candidate the same score")
    if difference.n < gate.min_requests:
        return Decision(
            False,
            f"refused: only {difference.n} held-out requests have an action, not {gate.min_requests}: let the log grow",
        )
    figures = f"NDCG {difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}] against {incumbent}"
    if difference.high < 0 or difference.mean < -gate.tolerance:
        return Decision(False, f"refused: worse than the incumbent, {figures} on {difference.n} held-out requests")
    return Decision(True, f"published: {figures} on {difference.n} held-out requests")


def worse_clients(differences: Mapping[str, Interval], gate: Gate) -> list[str]:
    """Clients whose held-out NDCG is certainly lower; `differences` by client, that of "all" does not count."""
    return [c for c, d in differences.items() if c != "all" and d.n >= gate.min_requests and d.high < 0]
