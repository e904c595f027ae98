"""What a metric is, and how the figures of a case are taken. The metrics themselves stand in registry.py."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Cut = Literal["head", "answer", "survivors"]
"""What a k stands for: the head of the order, where rank matters; the size of an answer; how many pass a stage."""

Cuts = Mapping[Cut, Sequence[int]]


@dataclass(frozen=True)
class Metric:
    """One figure of merit."""

    name: str  # a figure with a cut is called name@k
    meaning: str  # one line for people
    needs: tuple[str, ...]  # fields of the case that it reads; NaN where one of them is None
    function: Callable[[Any, int], float]  # (case, k); k is 0 without a cut
    cut: Cut | None = None
    plotted: bool = False  # has a panel of its own in plots
    by_client: bool = False  # shown for each client, too

    def figure(self, k: int) -> str:
        """Its name at the cut k."""
        return self.name if self.cut is None else f"{self.name}@{k}"

    def names(self, figure: str) -> bool:
        """Whether `figure` is this metric at some cut."""
        return figure.split("@")[0] == self.name

    def of(self, case: object, k: int = 0) -> float:
        """Its value; NaN where the case lacks what it needs."""
        if any(getattr(case, need) is None for need in self.needs):
            return float("nan")
        return self.function(case, k)


def figures(metrics: Sequence[Metric], case: object, cuts: Cuts) -> dict[str, float]:
    """All figures of a case by name: the metrics in their order, those at a stage's first cut before its second."""
    return {metric.figure(k): metric.of(case, k) for metric, k in planned(metrics, cuts)}


def planned(metrics: Sequence[Metric], cuts: Cuts) -> Iterator[tuple[Metric, int]]:
    """Each metric with each k of its cut, in the order of reports."""
    most = max((len(ks) for ks in cuts.values()), default=1)
    for at in range(max(most, 1)):
        for metric in metrics:
            ks = (0,) if metric.cut is None else cuts[metric.cut]
            if at < len(ks):
                yield metric, ks[at]
