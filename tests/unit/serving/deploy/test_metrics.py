"""What is told to which series: all begin at 0, labels are bounded, sums are exact whoever counts."""

import threading
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.settings.clients import Client
from serving.deploy import instruments
from serving.deploy.declared import CANDIDATES, DEGRADED, EVENTS, EXPOSED, FALLBACKS, REFUSED
from serving.deploy.instruments import Counted
from serving.deploy.metrics import BundleMetrics, FeatureMetrics, LogMetrics, Metrics
from serving.lightweight.feature_watch import FeatureState
from serving.logs.health import Backlog
from serving.request.answer import StageTiming
from serving.request.served import ServedBundles

Series = tuple[str, tuple[tuple[str, str], ...]]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[Series, float]:
    """What Ray was told, by name and labels; counters added up."""
    told: dict[Series, float] = defaultdict(float)

    class Fake:
        def __init__(self, name: str, meaning: str, *rest: Any):
            self.name = name

        def add(self, value: float, tags: dict[str, str]) -> None:
            told[self.name, tuple(sorted(tags.items()))] += value

        def set(self, value: float, tags: dict[str, str]) -> None:
            told[self.name, tuple(sorted(tags.items()))] = value

        observe = add

    monkeypatch.setattr(instruments, "CountedUp", Fake)
    monkeypatch.setattr(instruments, "metrics", SimpleNamespace(Gauge=Fake, Histogram=Fake))
    return told


def series(name: str, **labels: str) -> Series:
    return name, tuple(sorted(labels.items()))


def clients() -> dict[str, Client]:
    return {"homefeed": Client(name="homefeed")}


def answer(shown: int = 2, degraded: str = "", source: str = "walk", exposure: tuple[str, ...] = ()) -> Any:
    stages = [StageTiming("walk", None, 3, 100, 5.0), StageTiming("lightweight", None, 100, 20, 1.0)]
    candidates = SimpleNamespace(pins=range(100), source=source, sources=SimpleNamespace(names=("walk",)))
    return SimpleNamespace(
        ask=SimpleNamespace(client="homefeed"),
        stages=stages,
        candidates=candidates,
        shown=range(shown),
        removed={"seen": 4},
        degraded=degraded,
        exposure=exposure,
    )


def test_every_counter_is_there_before_anything_happens(exported: dict[Series, float]) -> None:
    Metrics(clients())
    names = {name for name, _ in exported}
    assert {CANDIDATES.name, FALLBACKS.name, DEGRADED.name, REFUSED.name} <= names
    assert set(exported.values()) == {0}
    assert series(FALLBACKS.name, client="homefeed", stage="walk", reason="late") in exported
    assert series(EVENTS.name, outcome="not_stored") in exported


def test_an_answer_counts_what_went_into_each_stage_and_came_out(exported: dict[Series, float]) -> None:
    metrics = Metrics(clients())
    before = set(exported)
    metrics.answered(answer(), 7.0)
    metrics.answered(answer(shown=0, degraded="walk: late", source="popular"), 7.0)
    metrics.stage_ended("homefeed", "walk", "late", 9.0)
    metrics.noted("homefeed", "full", "partial")
    metrics.refused("full")
    metrics.log_dropped("homefeed")
    assert exported[series(DEGRADED.name, client="homefeed")] == 0, "it is told with the next export"
    metrics.export()
    assert exported[series(DEGRADED.name, client="homefeed")] == 1
    for stage, side, count in [("walk", "in", 6), ("walk", "out", 200), ("answer", "in", 200), ("answer", "out", 2)]:
        assert exported[series(CANDIDATES.name, client="homefeed", stage=stage, side=side)] == count
    for stage, reason in [("walk", "late"), ("full", "partial"), ("candidates", "popular")]:
        assert exported[series(FALLBACKS.name, client="homefeed", stage=stage, reason=reason)] == 1
    assert exported[series("pinfunnel_policy_removed_total", client="homefeed", step="seen")] == 8
    counters = {each for each in set(exported) - before if each[0].endswith("_total")}
    assert counters == set(), "no counter's series begins with its first event"
    metrics.export()
    assert exported[series(DEGRADED.name, client="homefeed")] == 1


def test_arms_that_nobody_knew_beforehand_are_counted_from_zero(exported: dict[Series, float]) -> None:
    metrics = Metrics(clients())
    arm = {"client": "homefeed", "arm": "e/treatment"}
    metrics.answered(answer(degraded="full: late", exposure=("e/treatment",)), 12.0)
    metrics.export()
    assert exported[series(EXPOSED.name, **arm, degraded="yes")] == 0
    metrics.answered(answer(exposure=("e/treatment",)), 12.0)
    metrics.export()
    assert exported[series(EXPOSED.name, **arm, degraded="yes")] == 1
    assert exported[series(EXPOSED.name, **arm, degraded="no")] == 0
    metrics.export()
    assert exported[series(EXPOSED.name, **arm, degraded="no")] == 1


def test_nothing_is_lost_when_threads_count_while_it_is_exported(exported: dict[Series, float]) -> None:
    tally = Counted(DEGRADED)
    ended = threading.Event()

    def export() -> None:
        while not ended.is_set():
            tally.export()

    exporting = threading.Thread(target=export)
    counting = [threading.Thread(target=lambda: [tally.add(1, "a") for _ in range(5000)]) for _ in range(4)]
    for thread in [exporting, *counting]:
        thread.start()
    for thread in counting:
        thread.join()
    ended.set()
    exporting.join()
    tally.export()
    assert exported[series(DEGRADED.name, client="a")] == 20_000


def test_gauges_are_what_they_are_told(exported: dict[Series, float]) -> None:
    BundleMetrics().looked(ServedBundles({"graph": "19700101T000100-abc123", "full": None}))
    assert exported[series("pinfunnel_bundle_timestamp_seconds", kind="graph")] == 60
    assert exported[series("pinfunnel_bundle_timestamp_seconds", kind="full")] == 0
    LogMetrics({"events": lambda: Backlog(5, 1, 70, 2.5), "kafka": lambda: Backlog(9, 0)}).look()
    assert exported[series("pinfunnel_log_oldest_seconds", log="events")] == 2.5
    assert exported[series("pinfunnel_log_waiting_rows", log="kafka")] == 9
    assert series("pinfunnel_log_waiting_bytes", log="kafka") not in exported
    FeatureMetrics(lambda: [FeatureState("a", "x", 0.25, None), FeatureState("a", "y", 0.0, 0.3)]).look()
    assert exported[series("pinfunnel_feature_psi", client="a", feature="y")] == 0.3
    assert series("pinfunnel_feature_psi", client="a", feature="x") not in exported


@pytest.mark.parametrize("version", [None, "", "mine", "20261399T000000-x"])
def test_a_version_that_tells_no_time_is_at_zero(version: str | None, exported: dict[Series, float]) -> None:
    BundleMetrics().looked(ServedBundles({"graph": version}))
    assert exported[series("pinfunnel_bundle_timestamp_seconds", kind="graph")] == 0
