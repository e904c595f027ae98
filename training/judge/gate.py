"""Decides whether a trained model may replace what serves now. Pure: figures in, a decision with its reason out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

from training.metrics.intervals import Interval


@dataclass(frozen=True)
class Gate:
    """What a candidate must show. Figures are of NDCG on actions, candidate minus incumbent, over the same requests."""

    min_requests: int = 10  # held-out requests with an action that tell orders apart
    tolerance: float = 0.02  # a mean loss of more than this is refused, however wide the interval
    likely: float = 0.8  # how probable it must be that a further stage makes answers better


@dataclass(frozen=True)
class Decision:
    """`publish`, and one line that says why or why not."""

    publish: bool
    reason: str
    held_back: tuple[str, ...] = ()  # clients that a published full ranker does not serve, as it is worse for them


def decide(
    difference: Interval,
    incumbent: str,
    finite: bool,
    constant: bool,
    gate: Gate | None = None,
    alike: int = 0,
    further: bool = False,
    crossed: bool = False,
    flattered: bool = False,
) -> Decision:
    """Publish unless the candidate is broken, unproven or worse.

    `difference.n` counts the held-out requests that tell orders apart, `alike` those with an action that cannot, as
    every candidate judged is worth the same. Refused: non-finite scores; one score for everything; fewer than
    `min_requests` requests to compare on; an interval wholly below zero; a mean below -`tolerance`. An equal model is
    published: it knows the newer data. A `further` stage, where there was none, is not: it costs every request
    its time, so it must be better with a probability of `likely`.

    `crossed`: requests judge, too, that others like the candidate were fitted without, as those held out were few.
    `flattered`: no model is replaced, and the order that is has made the log, which speaks for it, as people act on
    what stands first: only an interval wholly below zero refuses then.
    """
    gate = gate or Gate()
    if not finite:
        return Decision(False, "refused: the model gives scores that are not finite")
    if constant:
        return Decision(False, "refused: the model gives every candidate of a request the same score")
    if difference.n < gate.min_requests and alike:
        return Decision(
            False,
            "refused: the held-out requests cannot tell orders apart: of "
            f"{difference.n + alike} with an action, {alike} have one on every candidate judged: log "
            "candidates without one too (backfill --unseen, longer answers), or let the log grow",
        )
    if difference.n < gate.min_requests:
        return Decision(
            False,
            f"refused: only {difference.n} held-out requests have an action, not {gate.min_requests}: let the log grow",
        )
    figures = f"NDCG {difference.mean:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}] against {incumbent}"
    where = f"{figures} on {difference.n} held-out requests" + ", most of them by cross-validation" * crossed
    if difference.high < 0:
        return Decision(False, f"refused: worse than what serves now, {where}")
    if difference.mean < -gate.tolerance and not flattered:
        more = requests_to_decide(difference)
        return Decision(
            False, f"refused: not shown to be as good as what serves now, {where}; about {more:,} more would decide it"
        )
    if further and (chance := chance_of_gain(difference)) < gate.likely:
        needed = f"; about {requests_to_decide(difference):,} more would decide it" if difference.mean else ""
        return Decision(
            False,
            f"refused: a further stage must be better with a probability of {gate.likely:.0%}, this one has "
            f"{chance:.0%}: {where}{needed}",
        )
    return Decision(True, f"published: {where}")


def chance_of_gain(difference: Interval) -> float:
    """How probable it is that the true mean is above 0, by the normal distribution that has such a 95 % interval."""
    spread = (difference.high - difference.low) / (2 * NormalDist().inv_cdf(0.975))
    if spread <= 0.0:
        return float(difference.mean > 0)
    return 1.0 - NormalDist(difference.mean, spread).cdf(0.0)


def requests_to_decide(difference: Interval) -> int:
    """About how many more held-out requests would tell whether a difference is real, to two digits; at least 1.

    An interval narrows with the square root of the requests behind it (of users, if each brings as many as now). It
    excludes 0 once its half width is no more than the mean's distance from 0, so were the mean to stay as it is,
    n · (half width / |mean|)² requests would do; n are there. Not for a mean of 0, which no number decides.
    """
    half = (difference.high - difference.low) / 2.0
    more = difference.n * ((half / abs(difference.mean)) ** 2 - 1.0)
    if more <= 1.0:
        return 1
    digits = 10 ** max(math.floor(math.log10(more)) - 1, 0)
    return math.ceil(more / digits) * digits


def worse_clients(differences: Mapping[str, Interval], gate: Gate) -> list[str]:
    """Clients whose held-out NDCG is certainly lower; `differences` by client, that of "all" does not count."""
    return [c for c, d in differences.items() if c != "all" and d.n >= gate.min_requests and d.high < 0]
