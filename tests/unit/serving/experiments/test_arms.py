"""Arms in the funnel of one process: what they set holds in every stage, and what they lack leaves the control."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from apps.project import Opened
from cluster import kinds
from cluster.errors import ConfigError
from cluster.experiments.assignment import arm_of
from cluster.experiments.definition import Experiment
from cluster.settings.clients import Client
from serving.deploy.process import Process
from serving.deploy.watch import Watcher
from serving.experiments.checks import check_experiment
from serving.logs.impressions import log_row
from serving.request.answer import Answer
from tests.worlds.funnel import NOW, ask, opened_world, publish_full, publish_lightweight


@pytest.fixture
def world(tmp_path: Path) -> Opened:
    return opened_world(tmp_path)


class Live:
    """A process that follows the experiments, at a clock of the test's own."""

    def __init__(self, world: Opened):
        self.now = 0.0
        self.process: Process = world.new_process()
        self.watcher: Watcher = self.process.watcher(clock=lambda: self.now)
        known = self.process.catalogs.current.users
        ids = known.ids.ids_of(np.arange(len(known), dtype=np.int32)).tolist()
        self.known = [user for user in ids if len(known.row(user).pin_ids) > 5][:40]

    def look(self) -> None:
        self.now += 100.0
        self.watcher.poll()

    def start(self, name: str = "e", treatment: dict[str, Any] | None = None, **changes: Any) -> Experiment:
        told = {"name": name, "clients": ["homefeed"], "arms": {"control": {}, "treatment": treatment or {}}, **changes}
        experiment = Experiment.model_validate(told)
        self.process.experiments.start(experiment)
        self.look()
        return experiment

    def answer(self, user: int, **options: Any) -> Answer:
        answer: Answer = self.process.live_funnel.recommend_now(ask(user_id=user), **options)
        return answer

    def users(self, experiment: Experiment) -> tuple[int, int]:
        """One of each arm."""
        first, second = (next(u for u in self.known if arm_of(experiment, u, NOW) == arm) for arm in (0, 1))
        return first, second


@pytest.fixture
def live(world: Opened) -> Live:
    made = Live(world)
    made.look()
    return made


def same(one: Answer, other: Answer) -> bool:
    return (
        one.shown.tolist() == other.shown.tolist()
        and one.candidates.pin_ids.tolist() == other.candidates.pin_ids.tolist()
    )


def sizes(answer: Answer) -> int:
    return len(answer.shown)


SETTINGS: dict[str, tuple[dict[str, Any], Callable[[Answer], Any], Callable[[Client], Any]]] = {
    "answer size": ({"sizes.answer": 7}, sizes, lambda client: 7),
    "walk": ({"sizes.walk": 60, "sizes.lightweight": 50}, lambda a: a.candidates.sources.budget[0], lambda client: 60),
    "quota": ({"sources.walk.quota": 77}, lambda a: a.candidates.sources.budget[0], lambda client: 77),
    "survivors": ({"sizes.lightweight": 40}, lambda a: len(a.ranked.survivors), lambda client: 40),  # type: ignore[union-attr]
    "a new source": ({"sources.popular.quota": 9}, lambda a: a.candidates.sources.names[-1], lambda client: "popular"),
    "a source less": ({"sources": {"popular": 30}}, lambda a: a.candidates.sources.names, lambda client: ("popular",)),
    "utility": (
        {"utility": {"save": 5.0}},
        lambda a: sorted(set(a.scored.weights)),  # type: ignore[union-attr]
        lambda client: [0.0, 5.0],
    ),
    "query": ({"query.max_pins": 1}, lambda a: len(a.candidates.query_pins), lambda client: 1),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_what_an_arm_sets_holds_and_the_control_is_as_without_an_experiment(live: Live, case: str) -> None:
    publish_full(live.process, dict(live.process.clients))
    live.look()
    changes, read, wanted = SETTINGS[case]
    before = {user: live.answer(user) for user in live.known[:20]}
    experiment = live.start(treatment={"set": changes})
    control, treated = live.users(experiment)
    answer = live.answer(control)
    assert same(answer, before[control]) if control in before else True
    assert answer.exposure == ("e/control",)
    assert answer.ask.arm is None
    answer = live.answer(treated)
    assert answer.exposure == ("e/treatment",)
    assert read(answer) == wanted(live.process.clients["homefeed"])
    assert not answer.degraded or "answer" in answer.degraded
    live.process.experiments.stop("e")
    live.look()
    assert live.answer(treated).exposure == ()
    assert same(live.answer(treated), before[treated]) if treated in before else True


def test_policy_and_what_is_seen_are_the_arms_own(live: Live) -> None:
    experiment = live.start(treatment={"set": {"policy.seen_times": 1, "policy.seen_hours": 1.0}})
    control, treated = live.users(experiment)
    first = live.answer(treated)
    assert first.remembered
    second = live.process.live_funnel.recommend_now(ask(user_id=treated, at=NOW + 1_000_000))
    assert not {*first.candidates.pin_ids[first.shown]} & {*second.candidates.pin_ids[second.shown]}
    assert not live.answer(control).remembered


def test_pinned_models_answer_for_the_arm_alone(live: Live) -> None:
    process = live.process
    old = publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    old_full = publish_full(process, dict(process.clients))
    new = publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=-1.0)
    new_full = publish_full(process, dict(process.clients))
    live.look()
    versions = {kinds.lightweight("homefeed"): old, kinds.FULL: old_full}
    experiment = live.start(treatment={"versions": versions})
    control, treated = live.users(experiment)
    for user, lightweight, full in ((control, new, new_full), (treated, old, old_full)):
        answer = live.answer(user, explain=True)
        assert answer.ranked is not None
        assert answer.scored is not None
        assert (answer.ranked.version, answer.scored.version) == (lightweight, full)
        assert not answer.degraded
        assert answer.contributions
        assert answer.reasons
    live.process.experiments.stop("e")
    live.look()
    assert process.lightweight._pinned == {}
    assert process.full._pinned == {}


def test_requests_of_several_arms_may_be_scored_together(live: Live) -> None:
    process = live.process
    old = publish_full(process, dict(process.clients))
    publish_full(process, dict(process.clients))
    live.look()
    experiment = live.start(treatment={"versions": {"full": old}})
    answers = [live.answer(user) for user in live.users(experiment)]
    requests = [(a.ask, a.candidates, a.ranked) for a in answers]
    together = process.full.score_many(requests)  # type: ignore[arg-type]
    for answer, scored in zip(answers, together, strict=True):
        assert answer.scored is not None
        assert scored.version == answer.scored.version
        np.testing.assert_allclose(scored.utility, answer.scored.utility, rtol=1e-5)


def test_a_version_that_does_not_load_leaves_the_control_and_says_so_until_it_does(live: Live) -> None:
    process = live.process
    old = publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    new = publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=-1.0)
    live.look()
    folder = Path(process.store.root) / "lightweight/homefeed" / old
    shutil.move(folder, folder.with_name("away"))
    experiment = live.start(treatment={"versions": {"lightweight/homefeed": old}, "set": {"sizes.answer": 7}})
    control, treated = live.users(experiment)
    answer = live.answer(treated)
    assert answer.exposure == ("e/treatment",)  # who is compared does not depend on what works
    assert answer.ranked is not None
    assert answer.ranked.version == new
    assert len(answer.shown) == process.clients["homefeed"].sizes.answer  # as a whole
    assert "experiment: e/treatment answers as the control" in answer.degraded
    assert live.answer(control).degraded == ""
    problem = next(one for one in live.watcher.problems() if one.kind == "experiments")
    assert problem.line.startswith("experiments e/treatment cannot be used, the control is served:")
    shutil.move(folder.with_name("away"), folder)
    live.look()
    answer = live.answer(treated)
    assert answer.ranked is not None
    assert answer.ranked.version == old
    assert len(answer.shown) == 7
    assert answer.degraded == ""
    assert not [one for one in live.watcher.problems() if one.kind == "experiments"]


def test_a_stage_that_lacks_the_version_answers_with_the_published_one_and_the_answer_says_so(live: Live) -> None:
    """As a replica that was started a moment ago, or whose file went."""
    process = live.process
    old = publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    new = publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=-1.0)
    live.look()
    _, treated = live.users(live.start(treatment={"versions": {"lightweight/homefeed": old}}))
    process.lightweight._pinned = {}
    answer = live.answer(treated)
    assert answer.ranked is not None
    assert answer.ranked.version == new
    assert f"lightweight/homefeed {old} is not ready, {new} answered" in answer.degraded


def test_one_bad_arm_leaves_those_of_other_experiments(live: Live) -> None:
    good = live.start("good", {"set": {"sizes.answer": 7}})
    bad = live.start("bad", {"versions": {"full": "20260101T000000-abcdef"}})
    both = next(u for u in range(1, 500) if arm_of(good, u, NOW) == arm_of(bad, u, NOW) == 1)
    answer = live.answer(both)
    assert set(answer.exposure) == {"good/treatment", "bad/treatment"}
    assert len(answer.shown) == 7
    assert "bad/treatment answers as the control" in answer.degraded


def test_arms_of_two_layers_meet(live: Live) -> None:
    one = live.start("one", {"set": {"sizes.answer": 7}})
    two = live.start("two", {"set": {"sources.walk.quota": 77}})
    for user in range(1, 40):
        answer = live.answer(user)
        arms = arm_of(one, user, NOW), arm_of(two, user, NOW)
        assert (len(answer.shown) == 7, answer.candidates.sources.budget[0] == 77) == (arms[0] == 1, arms[1] == 1)


def test_interleaved_answers_are_of_both_orders_and_say_who_placed_what(live: Live) -> None:
    process = live.process
    old = publish_lightweight(process.store, process.features, "homefeed", "graph_rank")
    publish_lightweight(process.store, process.features, "homefeed", "graph_rank", sign=-1.0)
    live.look()
    user = live.known[0]
    first = live.answer(user)
    live.start(
        treatment={"versions": {"lightweight/homefeed": old}, "set": {"policy.diversity": 0.0}}, design="interleaving"
    )
    answer = live.answer(user)
    assert answer.exposure == ("e/control", "e/treatment")
    assert len(answer.team) == len(answer.shown) == len(set(answer.shown.tolist())) == len(first.shown)
    assert abs(int((answer.team == 0).sum()) - int((answer.team == 1).sum())) <= 1
    assert not answer.explored.any()
    assert answer.explored_rate == 0
    arms = [answer.ask, replace(answer.ask, arm=process.arms.draw(answer.ask).other)]
    orders = [process.lightweight.rank(each, answer.candidates).survivors.tolist() for each in arms]
    assert orders[0] != orders[1]
    for team, order in enumerate(orders):
        placed = [order.index(pin) for pin in answer.shown[answer.team == team].tolist()]
        assert placed == sorted(placed)  # its best that were left
        assert placed[0] <= 1
    row = log_row(answer, "r", "h", "", None)
    assert (row["team"][answer.shown] == answer.team).all()
    assert live.answer(user, by_visits=True).exposure == ()


def test_a_switchback_gives_all_users_of_a_window_one_arm(live: Live) -> None:
    live.start(treatment={"set": {"sizes.answer": 7}}, design="switchback", minutes=30)
    lengths = set()
    for window in range(12):
        at = NOW + window * 30 * 60_000_000
        shown = {len(live.process.live_funnel.recommend_now(ask(user_id=user, at=at)).shown) for user in (1, 2, None)}
        assert len(shown) == 1
        lengths |= shown
    assert len(lengths) == 2


def test_traffic_changes_without_a_restart_and_moves_nobody_who_stays(live: Live) -> None:
    live.start(traffic=0.2)
    before = {user: live.answer(user).exposure for user in live.known}
    live.start(traffic=0.7)
    after = {user: live.answer(user).exposure for user in live.known}
    assert sum(map(bool, before.values())) < sum(map(bool, after.values()))
    assert all(after[user] == told for user, told in before.items() if told)


def test_requests_by_nobody_by_visits_or_of_another_client_are_in_none(live: Live) -> None:
    live.start()
    assert live.answer(3).exposure
    assert live.answer(None).exposure == ()  # type: ignore[arg-type]
    assert live.answer(3, by_visits=True).exposure == ()
    other = live.process.live_funnel.recommend_now(ask("notifications", user_id=3))
    assert other.exposure == ()
    assert live.process.funnel.recommend_now(ask(user_id=3)).exposure == ()  # what is replayed


def test_an_arm_that_fits_its_client_no_more_answers_as_the_control(world: Opened) -> None:
    Live(world).process.experiments.start(
        Experiment.model_validate(
            {"name": "e", "clients": ["homefeed"], "arms": {"c": {}, "t": {"set": {"sizes.answer": 300}}}}
        )
    )
    client = world.clients["homefeed"]
    smaller = client.model_copy(update={"sizes": client.sizes.model_copy(update={"walk": 100, "lightweight": 100})})
    live = Live(Opened(world.project, {**world.clients, "homefeed": smaller}))
    live.look()
    answers = [live.answer(user) for user in live.known]
    treated = [answer for answer in answers if answer.exposure == ("e/t",)]
    assert treated
    assert all("e/t answers as the control" in answer.degraded for answer in treated)
    assert all(len(answer.shown) == client.sizes.answer for answer in answers)


CHECKS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown client": ({"clients": ["homefed"]}, "clients: unknown client 'homefed'; did you mean 'homefeed'"),
    "unknown action": ({"action": "buy"}, "action: unknown 'buy'"),
    "unknown guardrail": ({"guardrails": ["buy"]}, "guardrails: unknown 'buy'"),
    "sizes": ({"arms": {"c": {}, "t": {"set": {"sizes.answer": 5000}}}}, "arms.t: sizes: Value error, a funnel"),
    "path": ({"arms": {"c": {}, "t": {"set": {"api_key_env": "X"}}}}, "arms.t: set.api_key_env: arms may set"),
    "source": ({"arms": {"c": {}, "t": {"set": {"sources.bords": 3}}}}, "did you mean 'boards'"),
    "step": ({"arms": {"c": {}, "t": {"set": {"policy.steps": {"x": {}}}}}}, "unknown step 'x'"),
    "label": ({"arms": {"c": {}, "t": {"set": {"policy.forbid": {"rating": ["x"]}}}}}, "'rating' is not among"),
    "utility": ({"arms": {"c": {}, "t": {"set": {"utility": {"buy": 1.0}}}}}, "utility: unknown action 'buy'"),
    "boost": ({"arms": {"c": {}, "t": {"set": {"boosts": [{"feature": "x", "factor": 2}]}}}}, "x"),
    "version": ({"arms": {"c": {}, "t": {"versions": {"full": "2026"}}}}, "versions.full: full 2026 is not stored"),
    "learned": ({"arms": {"c": {}, "t": {"set": {"allotment.learned": True}}}}, "allotment.learned"),
}  # fmt: skip


@pytest.mark.parametrize("case", CHECKS)
def test_what_cannot_be_answered_is_refused_before_it_starts(world: Opened, case: str) -> None:
    changes, told = CHECKS[case]
    plain = {"name": "e", "clients": ["homefeed"], "arms": {"c": {}, "t": {}}}
    experiment = Experiment.model_validate({**plain, **changes})
    with pytest.raises(ConfigError, match="experiment e: ") as caught:
        check_experiment(experiment, (), world.project, world.clients, world.new_process().store)
    assert told in str(caught.value)


def test_arms_that_meet_must_fit_together(world: Opened) -> None:
    plain = {"clients": ["homefeed"]}
    one = Experiment.model_validate(
        {**plain, "name": "one", "arms": {"c": {}, "t": {"set": {"sizes.lightweight": 100}}}}
    )
    two = Experiment.model_validate({**plain, "name": "two", "arms": {"c": {}, "t": {"set": {"sizes.answer": 200}}}})
    check_experiment(two, (), world.project, world.clients)
    with pytest.raises(ConfigError, match=r"one/t\+two/t: sizes: .* a funnel narrows"):
        check_experiment(two, (one,), world.project, world.clients)


def test_more_settings_than_are_kept_ready_are_refused(world: Opened) -> None:
    paths = [
        "sizes.explore",
        "policy.diversity",
        "walk.boost",
        "query.max_pins",
        "policy.topic_cap",
        "policy.board_cap",
        "walk.restart",
    ]
    values = [1, 0.5, 0.5, 5, 3, 3, 0.4]
    made = [
        Experiment.model_validate(
            {"name": f"e{at}", "clients": ["homefeed"], "arms": {"c": {}, "t": {"set": {path: value}}}}
        )
        for at, (path, value) in enumerate(zip(paths, values, strict=True))
    ]
    check_experiment(made[5], made[:5], world.project, world.clients)
    with pytest.raises(ConfigError, match="put experiments into one layer"):
        check_experiment(made[6], made[:6], world.project, world.clients)
