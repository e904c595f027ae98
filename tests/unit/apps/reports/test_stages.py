"""Stages side by side: users are resampled, differences are paired, and what is missing is said."""

from collections.abc import Mapping
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from apps.backfill.moment import Replayed, ReplayPlan
from apps.backfill.replay import Replay
from apps.reports import stages
from apps.reports.stages import evaluate_stages
from apps.reports.stages_orders import orders, unpublished
from apps.reports.stages_quality import Judgements, StageQuality
from apps.reports.stages_segments import Segments, few_locales
from apps.reports.stages_table import remarks, segments_tables, stages_table
from serving.deploy.process import Process
from serving.request.ask import WalkAsk
from tests.worlds.funnel import opened_world, publish_full
from training.metrics.intervals import bootstrap
from training.metrics.metric import Cuts

PLAN = ReplayPlan(graphs=2, every=20, min_history=2, horizon_hours=240.0)
CUTS: Cuts = {"survivors": (1,), "head": (1,)}
WANTED = np.array([1])
HIT, MISS = np.array([1, 2]), np.array([2, 1])
TITLES = {"visit_count": "visit count", "lightweight": "lightweight", "full": "full", "peer": "a peer"}


def judgements(rows: list[tuple[str, Mapping[str, np.ndarray]]]) -> Judgements:
    out = Judgements(CUTS)
    for user, found in rows:
        out.add(user, found, WANTED)
    return out


def test_users_are_resampled_not_requests() -> None:
    """Two users with 200 requests each, all alike: 400 answers that know no more than two do."""
    rows = [("a", {"visit_count": HIT})] * 200 + [("b", {"visit_count": MISS})] * 200
    quality = judgements(rows).quality(TITLES)
    found = quality.figures["recall@1"]["visit_count"]
    assert (quality.requests, quality.users, found.mean, found.n) == (400, 2, 0.5, 400)
    assert (found.low, found.high) == (0.0, 1.0)
    by_request = bootstrap(np.repeat([1.0, 0.0], 200))
    assert found.high - found.low > 5 * (by_request.high - by_request.low)


def test_differences_are_over_the_requests_that_both_orders_have() -> None:
    rows = [
        ("a", {"visit_count": HIT, "lightweight": HIT, "peer": MISS}),
        ("b", {"visit_count": HIT}),
        ("c", {"visit_count": MISS, "lightweight": HIT, "peer": HIT}),
        ("d", {"visit_count": HIT, "peer": HIT}),
    ]
    quality = judgements(rows).quality(TITLES)
    assert quality.figures["recall@1"]["visit_count"].mean == 0.75
    assert (quality.figures["recall@1"]["lightweight"].mean, quality.figures["recall@1"]["lightweight"].n) == (1.0, 2)
    between = quality.differences["lightweight - visit_count recall@1"]
    assert (between.mean, between.n) == (0.5, 2)
    ahead = quality.differences["lightweight - peer recall@1"]
    assert (ahead.mean, ahead.n) == (0.5, 2)


def test_a_stage_that_is_worse_is_named() -> None:
    rows = [("a", {"visit_count": HIT, "lightweight": HIT, "full": MISS})]
    worse = judgements(rows).quality(TITLES)
    assert [line.split(":")[0] for line in worse.worse()] == ["full is worse than lightweight"] * 2
    better = judgements([("a", {"visit_count": MISS, "full": HIT})]).quality(TITLES)
    assert better.worse() == []
    said = remarks([better, worse])
    assert said[0] == "seed 0: no stage is worse than the one before"
    assert said[1] == "seed 1: full is worse than lightweight: recall@1 -1.0000 [-1.0000, -1.0000]"


def test_the_table_has_the_mean_of_seeds_and_says_where_one_lacks_an_order() -> None:
    both = judgements([("a", {"visit_count": HIT, "lightweight": HIT})]).quality(TITLES)
    one = judgements([("a", {"visit_count": MISS})]).quality(TITLES)
    text = shown([both, one])
    assert "visit count 0.5000 [1.0000, 1.0000]" in text
    assert "lightweight 1.0000 [1.0000, 1.0000] in 1 of 2 seeds" in text
    assert "full" not in text


def shown(runs: list[StageQuality]) -> str:
    console = Console(width=200, file=StringIO())
    console.print(stages_table("Held out", runs))
    text = console.file.getvalue()
    return " ".join(text.replace("│", " ").split())


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    """Without any model."""
    return Replay(opened_world(tmp_path_factory.mktemp("stages")))


def test_a_full_ranker_without_a_lightweight_one_is_in_the_table(tmp_path: Path) -> None:
    replay = Replay(opened_world(tmp_path))
    process = replay.process
    publish_full(process, replay.opened.clients)
    process.watcher("lightweight", "full").poll()
    with process.store.write(
        "lightweight/homefeed", {"gate": {"reason": "refused: worse than visit count"}}, publish=False
    ):
        pass
    quality = evaluate_stages(replay, "homefeed", PLAN)
    for figure in ("recall@50", "ndcg@20"):
        assert quality.figures[figure]["full"].n == quality.requests > 20
        assert f"full - visit_count {figure}" in quality.differences
        assert "lightweight" not in quality.figures[figure]
    assert quality.missing == {"lightweight": "not published: refused: worse than visit count"}
    assert "lightweight ranker – –" in shown([quality])
    assert "lightweight ranker: not published: refused: worse than visit count" in remarks([quality])
    publish_full(process, replay.opened.clients, held_back=("homefeed",))
    process.watcher("full").poll()
    assert "held it back" in unpublished(process, "homefeed")["full"]


def test_requests_without_an_order_are_counted(replay: Replay, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def sometimes(process: Process, moment: Replayed) -> dict[str, np.ndarray]:
        moment.answer.faults.append("lightweight: a bad day")
        calls.append(1)
        found = orders(process, moment)
        return found | ({"lightweight": found["visit_count"]} if len(calls) % 3 else {})

    monkeypatch.setattr(stages, "orders", sometimes)
    quality = evaluate_stages(replay, "homefeed", PLAN)
    found = quality.figures["recall@50"]["lightweight"]
    lacking = quality.requests - found.n
    assert 0 < lacking < quality.requests
    assert quality.figures["recall@50"]["visit_count"].n == quality.requests
    assert quality.differences["lightweight - visit_count recall@50"].n == found.n
    said = f"not scored in {lacking} of {quality.requests} requests: lightweight: a bad day"
    assert quality.missing["lightweight"] == said
    assert quality.missing["full"] == "not published: never trained, or refused before it was fitted"


class Oracle:
    """Orders that know the future, refit when the replay says so."""

    def __init__(self, replay: Replay) -> None:
        self.titles, self.missing = {"oracle": "oracle", "absent": "absent"}, {"absent": "not scored: too large"}
        self.begins: list[int] = []
        self.asked: list[int] = []
        self._next = {m.answer.ask.at: m.next_pins for m in replay.run("homefeed", PLAN)}

    def refit(self, begin: int) -> None:
        self.begins.append(begin)

    def orders(self, ask: WalkAsk, k: int) -> dict[str, np.ndarray]:
        assert k == 50
        self.asked.append(ask.at)
        assert self.begins[-1] <= ask.at
        return {"oracle": np.unique(self._next[ask.at])}


def test_other_orders_are_judged_over_the_same_requests(replay: Replay) -> None:
    oracle = Oracle(replay)
    quality = evaluate_stages(replay, "homefeed", PLAN, more=oracle)
    assert len(oracle.asked) == quality.requests
    assert oracle.begins == [part.begin for part in replay.slices(PLAN)]
    assert quality.figures["recall@50"]["oracle"].mean == 1.0
    assert quality.missing["absent"] == "not scored: too large"
    assert quality.as_json()["missing"]["absent"] == "not scored: too large"


def test_segments_part_the_requests(replay: Replay) -> None:
    quality = evaluate_stages(replay, "homefeed", PLAN, segments=Segments(new_below=6, cold_below=4))
    parts = quality.segments
    new, known = parts["new users (fewer than 6 actions)"], parts["known users (at least 6 actions)"]
    assert 0 < new.requests < quality.requests
    assert new.requests + known.requests == quality.requests
    locales = [part.requests for name, part in parts.items() if name.startswith("locale")]
    assert len(locales) > 1
    assert sum(locales) == quality.requests
    cold = parts["cold pins (on fewer than 4 boards)"]
    assert 0 < cold.requests < quality.requests
    assert new.as_json()["recall"]["visit_count"]["n"] == new.requests
    console = Console(width=80, file=StringIO())
    for table in segments_tables("homefeed", quality):
        console.print(table)
    lines = console.file.getvalue().splitlines()
    mean = f"{known.figures['recall@50']['visit_count'].mean:.3f} ±"
    assert any("visit count" in line and mean in line for line in lines)
    assert sum("popularity" in line for line in lines) == -(-len(parts) // 3)


def test_rare_locales_are_one_part_and_a_single_locale_is_none() -> None:
    many = [("locale l0",)] * 3 + [(f"locale l{i}",) for i in range(12)]
    named = [name for names in few_locales(many) for name in names]
    assert len(set(named)) == 9
    assert named.count("locale: 4 others") == 4
    assert few_locales([("new", "locale de"), ("known", "locale de")]) == [("new",), ("known",)]
