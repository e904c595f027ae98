"""How much each source is asked for; and that smaller quotas find exactly what a replay of full ones says."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from apps.project import Opened
from cluster.kinds import quotas
from cluster.settings.clients import AllotmentSettings, Client, SourceSettings
from serving.candidates.quotas import MOST, ComputePrice, Quotas
from serving.candidates.stage import CandidatesLogic
from serving.deploy.process import Process
from serving.request.ask import Recents
from serving.request.candidates import Candidates
from tests.unit.training.quotas.test_learned import two_kinds
from tests.worlds.funnel import NOW, ask, opened_world, some_user
from training.quotas.demand import SourceDemand, known_of
from training.quotas.learned import LearnedQuotas
from training.quotas.paths import QuotaPath
from training.quotas.seen import SeenCandidates, replay

SOURCES = ("walk", "popular")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    return opened_world(tmp_path_factory.mktemp("world"))


LEARNED = AllotmentSettings(learned=True)


def _client(world: Opened, **changes: object) -> Client:
    sources = {"walk": SourceSettings(quota=300), "popular": SourceSettings(quota=200)}
    return world.clients["homefeed"].model_copy(update={"sources": sources, "allotment": LEARNED, **changes})


def _stage(world: Opened, client: Client) -> CandidatesLogic:
    return CandidatesLogic(world.new_process().catalogs, {"homefeed": client}, 32)


def _table(walk: int, popular: int, price: float = 0.5) -> LearnedQuotas:
    """One purchase that is worth it at its price, for everyone."""
    path = QuotaPath(np.array([0.6]), np.array([[0, 0], [walk, popular]], np.int32))
    return LearnedQuotas(SOURCES, path, SourceDemand.even(len(SOURCES)), price)


def test_without_learned_quotas_every_source_is_asked_in_full(world: Opened) -> None:
    stage = _stage(world, _client(world))
    assert stage.budgets(stage.query(ask(user_id=some_user(world)))) == {"walk": 300, "popular": 200}


def test_learned_quotas_leave_out_a_source_that_is_not_worth_it(world: Opened) -> None:
    stage = _stage(world, _client(world))
    stage.load_quotas("homefeed", _table(100, 0))
    question = ask(user_id=some_user(world))
    assert stage.budgets(stage.query(question)) == {"walk": 100}
    found = stage.candidates(question)
    assert "popular" not in found.sources.names[:1]
    assert found.sources.budget[0] == 100


def test_a_share_of_the_requests_is_asked_in_full_all_the_same(world: Opened) -> None:
    stage = _stage(world, _client(world, allotment=AllotmentSettings(learned=True, full_share=0.2)))
    stage.load_quotas("homefeed", _table(100, 50))
    query = stage.query(ask(user_id=some_user(world)))
    asked = [stage.budgets(replace(query, ask=replace(query.ask, seed=seed)))["walk"] for seed in range(500)]
    assert 60 < asked.count(300) < 140
    assert asked.count(100) == 500 - asked.count(300)


@pytest.mark.parametrize("walk", [25, 60, 150])
@pytest.mark.parametrize("popular", [10, 40])
def test_smaller_quotas_find_what_the_replay_of_full_ones_says(world: Opened, walk: int, popular: int) -> None:
    question = ask(user_id=some_user(world))
    stage = _stage(world, _client(world))
    full = stage.candidates(question)
    stage.load_quotas("homefeed", _table(walk, popular))
    small = stage.candidates(question)
    seen = _seen(full)
    kept = ((seen.rank >= 0) & (seen.rank < np.array([walk, popular]))).any(axis=1)
    found = full.pins[(full.sources.rank >= 0).any(axis=1)][kept]
    assert set(found.tolist()) <= set(small.pins.tolist())
    assert replay(seen, np.array([walk, popular])).scored.tolist() == [len(found)]
    rank = dict(zip(full.pins.tolist(), full.sources.rank.tolist(), strict=True))
    for pin, ranks in zip(small.pins.tolist(), small.sources.rank.tolist(), strict=True):
        for column, (now, before, quota) in enumerate(zip(ranks, rank[pin], (walk, popular), strict=True)):
            if column == 0 or now < popular:  # popular pins that fill up stand behind the quota
                assert now == (before if 0 <= before < quota else -1), (pin, column)


def _seen(full: Candidates) -> SeenCandidates:
    table = np.stack([full.sources.rank_of(name) for name in SOURCES], axis=1)
    table = table[(table >= 0).any(axis=1)]
    n = len(table)
    return SeenCandidates(SOURCES, np.zeros(n, np.int64), table, np.ones(n, bool), np.ones(n), np.zeros((1, 2)))


def test_serving_counts_a_users_actions_as_the_log_has_them(world: Opened) -> None:
    process = world.new_process()
    column = process.features.shared.index("user_history")
    users = process.catalogs.current.users.ids.ids_of(np.arange(20, dtype=np.int32)).tolist()
    pins = process.catalogs.current.graph.pin_ids.ids_of(np.arange(3, dtype=np.int32)).astype(object)
    names = np.array(["save", "click", "save"], object)
    live = Recents(pins, names, names, NOW - 1 - np.arange(3))
    counts = set()
    for user, recents in [(None, Recents.none()), *((user, live) for user in users), (users[0], Recents.none())]:
        answer = process.funnel.recommend_now(ask(user_id=user, recents=recents))
        assert answer.ranked is not None
        counts.add(process.sources.query(answer.ask).actions)
        assert process.sources.query(answer.ask).actions == round(float(np.expm1(answer.ranked.shared[column])))
    assert len(counts) > 3
    assert 0 in counts


def test_under_load_candidates_become_dearer_and_cheap_again_when_it_is_over() -> None:
    price = ComputePrice(busy=0.5)
    for _ in range(5):
        price.note(0.3)
    assert price.factor == 1.0
    for _ in range(5):
        price.note(1.0)
    high = price.factor
    assert high > 2.0
    for _ in range(200):
        price.note(5.0)
    assert price.factor == MOST
    for _ in range(200):
        price.note(0.1)
    assert price.factor == 1.0


def test_a_higher_price_asks_for_less(world: Opened) -> None:
    table = LearnedQuotas.learn(two_kinds(1), (100, 100))
    table = replace(table, price=float(table.path.worth[-1]))
    of_one = [sum(table.quotas(known_of(0, 0), factor).tolist()) for factor in (1.0, 4.0, 1e6)]
    assert of_one[0] >= of_one[1] >= of_one[2] == 0
    quotas_ = Quotas(_client(world))
    quotas_.load(None)
    query = _stage(world, _client(world)).query(ask(user_id=some_user(world)))
    assert quotas_.budgets(query) == {"walk": 300, "popular": 200}


def test_a_server_takes_published_quotas_without_a_restart(world: Opened, tmp_path: Path) -> None:
    client = _client(world, allotment=AllotmentSettings(learned=True, full_share=0.0))
    process = Process(world.project, {"homefeed": client})
    watcher = process.watcher("mix")
    watcher.poll()
    query = process.sources.query(ask(user_id=some_user(world)))
    assert process.sources.budgets(query)["walk"] == 300
    with process.store.write(quotas("homefeed"), {}) as (folder, _):
        _table(100, 50).save(folder)
    watcher.poll()
    assert process.sources.budgets(query) == {"walk": 100, "popular": 50}
