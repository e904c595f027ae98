"""Whether an answer is right: of versions that serve, of one graph, without hidden pins, and what those would say."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from apps.faults.site import ANSWER, KINDS, STAGES, Answered, FaultSite, pins_of

LATE = 15.0
"""Seconds that a version may be served after another was published: a look a second, and a load on a busy machine."""
CLOSE = 1e-4
"""Two scores as near as this may stand in either order: sums of float32 depend on who shares a batch."""


@dataclass(frozen=True)
class Publication:
    """A version that was published. Its letter says what it holds; empty: nothing that may be served."""

    version: str
    letter: str
    at: float


class Judge:
    """Knows what was published when. Its moments are those of `time.monotonic`."""

    def __init__(self, site: FaultSite):
        self._expected = site.expected
        self._published: dict[str, list[Publication]] = {kind: [] for kind in KINDS}
        for kind in KINDS:
            self.published(kind, site.versions[kind][0], "A")

    def published(self, kind: str, version: str, letter: str) -> None:
        """To be told before the pointer names it."""
        self._published[kind].append(Publication(version, letter, time.monotonic()))

    def of(
        self, answer: Mapping[str, Any], question: int | None, hidden: Collection[int], sent: float, done: float
    ) -> tuple[str, int]:
        """Why an answer is wrong, or nothing; and how many generations its versions are apart.

        `question`: the number of a fixed one. An answer that says what it lacks is held to the rest only.
        """
        named = dict(zip(KINDS, (answer["versions"][stage] for stage in STAGES), strict=True))
        for stage in answer["stages"]:
            kind = KINDS[STAGES.index(stage["stage"])] if stage["stage"] in STAGES else KINDS[0]
            if stage["version"] != named[kind]:
                return f"mixed: {stage['stage']} of {stage['version']} in an answer of {named[kind]}", 0
        generations = []
        letters = ""
        for kind, version in named.items():
            if version is None and answer["degraded"]:
                continue
            at = self._served(kind, version, sent, done)
            if at is None:
                return f"{kind} {version} was not to be served then", 0
            generations.append(at)
            letters += self._published[kind][at].letter
        apart = max(generations) - min(generations)
        pins = pins_of(answer)
        shown = {pin for pin, _ in pins}
        if len(shown) < len(pins):
            return "a pin stands twice", apart
        if shown & set(hidden) and "events:" not in answer["degraded"]:
            return f"pins that the user hid: {sorted(shown & set(hidden))}", apart
        if answer["degraded"]:
            return "", apart
        if len(pins) != ANSWER:
            return f"{len(pins)} pins", apart
        if question is not None and not alike(pins, self._expected[question, letters]):
            return f"not what {letters} answers to question {question}", apart
        return "", apart

    def _served(self, kind: str, version: str | None, sent: float, done: float) -> int | None:
        """The number of the publication by which a version may have been served at that time."""
        published = self._published[kind]
        for at, one in enumerate(published):
            nexts = [later.at for later in published[at + 1 :] if later.letter]
            until = nexts[0] + LATE if nexts else float("inf")
            if one.version == version and one.letter and one.at <= done and sent <= until:
                return at
        return None


def alike(pins: Answered, expected: Answered) -> bool:
    """The same pins and scores in the same order, but for neighbours whose scores are as good as equal."""
    if len(pins) != len(expected):
        return False
    scores = np.array([score for _, score in expected])
    if not np.allclose([score for _, score in pins], scores, rtol=CLOSE, atol=CLOSE):
        return False
    of = dict(expected)
    return all(
        pin == wanted or abs(of.get(pin, np.inf) - score) <= CLOSE * max(1.0, abs(score))
        for (pin, _), (wanted, score) in zip(pins, expected, strict=True)
    )
