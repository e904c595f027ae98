"""The table of strategies, class by class, and the sampling of unimpressed candidates."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.data.schema import IMPRESSED, RANKED, WALKED
from cluster.errors import ConfigError
from cluster.settings.clients import Client, LabelSettings, StrategyTable
from training.lightweight import strategies as folder
from training.lightweight.strategies.registry import check_strategies, known_strategies, resolve
from training.lightweight.strategies.strategy import (
    ACTION,
    NEGATIVE,
    SEEN,
    UNSEEN,
    LabelRule,
    Labels,
    LoggedCandidates,
    label_request,
    sample,
)

ACTIONS, BAD = ("save", "click", "hide"), ("hide",)
WEIGHTS = {"save": 2.0, "click": 0.5}
# rows: saved · clicked · shown, nothing · shown by exploration, nothing · saved and hidden · ranked · walked
STAGE = np.array([IMPRESSED] * 5 + [RANKED, WALKED], np.int8)
EXPLORED = np.array([0, 0, 0, 1, 0, 0, 0], bool)
DONE = np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 1], [0, 0, 0], [0, 0, 0]], np.float32)
TEACHER = np.array([0.9, 0.5, 0.2, 0.1, -1.0, 0.3, np.nan], np.float32)
NOWHERE = np.zeros(7, np.float32)
SOFT = StrategyTable(
    impressed_no_action_label=1.0, impressed_no_action_weight=0.1, unimpressed_label=0.0, unimpressed_weight=0.1
)  # the soft variant of funnel_blended, as docs/strategies.md writes it out


def label(
    rule: LabelRule,
    stage: np.ndarray = STAGE,
    explored: np.ndarray = EXPLORED,
    done: np.ndarray = DONE,
    local: np.ndarray = NOWHERE,
    teacher: np.ndarray = TEACHER,
) -> Labels:
    return label_request(rule, LoggedCandidates("r1", stage, explored, done, local, teacher))


def labels(
    strategy: str = "custom",
    table: StrategyTable | None = None,
    local: np.ndarray = NOWHERE,
    bonus: float = 0.0,
    balance: float = 0.0,
) -> Labels:
    settings = LabelSettings(
        strategy=strategy, table=table, action_weights=WEIGHTS, local_label_weight=bonus, request_balance=balance
    )
    return label(resolve(settings, ACTIONS, BAD), local=local)


def test_classes_do_not_depend_on_the_strategy() -> None:
    for strategy in ("engagement", "funnel_pure", "funnel_blended", "distillation"):
        assert labels(strategy).example_class.tolist() == [ACTION, ACTION, SEEN, SEEN, NEGATIVE, UNSEEN, UNSEEN]


def test_engagement_learns_from_what_was_shown() -> None:
    out = labels("engagement")
    assert out.kept.tolist() == [True] * 5 + [False] * 2
    assert out.label[:5].tolist() == [1, 1, 0, 0, 0]
    assert out.weight.tolist() == [2.0, 0.5, 1, 1, 1, 0, 0]


def test_funnel_pure_takes_passing_the_funnel_as_success_but_not_by_exploration_or_hide() -> None:
    table = known_strategies()["funnel_pure"].table
    out = labels("funnel_pure")
    assert out.label.tolist() == [1, 1, 1, 0, 0, 0, 0]
    seen, unseen = np.float32(table.impressed_no_action_weight), np.float32(table.unimpressed_weight)
    assert out.weight.tolist() == [2.0, 0.5, seen, unseen, 1, unseen, unseen]


def test_funnel_blended_in_both_variants() -> None:
    assert labels("funnel_blended").label.tolist() == [1, 1, 0, 0, 0, 0, 0]
    soft = labels(table=SOFT)
    assert soft.label.tolist() == [1, 1, 1, 0, 0, 0, 0]
    assert soft.weight[2] < soft.weight[1]


def test_a_request_with_many_actions_does_not_outvote_the_others() -> None:
    plain = labels("funnel_blended")
    for balance, share in ((1.0, 1 / 2), (0.5, 2**-0.5)):  # two candidates were acted on
        out = labels("funnel_blended", balance=balance)
        np.testing.assert_allclose(out.weight, plain.weight * share, rtol=1e-6)
        np.testing.assert_array_equal(out.label, plain.label)
    assert LabelSettings().request_balance == 0.5
    nobody = label(resolve(LabelSettings(action_weights=WEIGHTS), ACTIONS, BAD), done=np.zeros_like(DONE))
    assert nobody.weight[2] == 1.0  # a request without actions keeps its weights


def test_blended_does_not_learn_the_visit_count_order_back() -> None:
    """Without a full ranker, unimpressed only says fewer visits; what was shown gives the negatives."""
    rule = resolve(LabelSettings(strategy="funnel_blended", action_weights=WEIGHTS), ACTIONS, BAD)
    cold = np.full(7, np.nan, np.float32)
    out = label(rule, teacher=cold)
    assert out.kept.tolist() == [True] * 5 + [False] * 2
    pure = resolve(LabelSettings(strategy="funnel_pure", action_weights=WEIGHTS), ACTIONS, BAD)
    assert label(pure, teacher=cold).kept.all()
    replayed = np.where((DONE > 0).any(axis=1), STAGE, 1).astype(np.int8)  # nothing shown but what was acted on
    assert label(rule, replayed, np.zeros(7, bool), teacher=cold).kept.all()


def test_distillation_regresses_the_teacher_where_it_scored() -> None:
    out = labels("distillation")
    assert out.kept.tolist() == [True] * 6 + [False]
    np.testing.assert_array_equal(out.label[:6], TEACHER[:6])
    rule = resolve(LabelSettings(strategy="distillation", action_weights=WEIGHTS), ACTIONS, BAD)
    assert rule.strategy.objective == "reg:squarederror"
    written = LabelSettings(strategy="custom", action_weights=WEIGHTS, table=StrategyTable(distillation=True))
    assert resolve(written, ACTIONS, BAD).strategy.label is rule.strategy.label


def test_a_table_of_ones_own_wins_and_custom_needs_one() -> None:
    out = labels(
        "engagement",
        StrategyTable(impressed_no_action_label=None, unimpressed_label=0.25, action_weight={"click": 3.0}),
    )
    assert out.kept.tolist() == [True, True, False, True, True, True, True]  # the explored one was drawn at random
    assert out.weight[:2].tolist() == [3.0, 3.0]
    assert out.label[5:].tolist() == [0.25, 0.25]
    with pytest.raises(ConfigError, match=r"labels\.table"):
        labels("custom")
    with pytest.raises(ConfigError, match="unimpressed_label"):
        labels(table=StrategyTable(unimpressed_label=-1.0))
    with pytest.raises(ConfigError, match="wave"):
        resolve(LabelSettings(action_weights={"wave": 1.0}), ACTIONS, BAD)


def test_a_local_pin_weighs_as_an_added_positive_example() -> None:
    local = np.array([1, np.nan, 1, 0, 1, 1, 0], np.float32)
    plain, out = labels("funnel_blended"), labels("funnel_blended", local=local, bonus=0.5)
    # the soft label's loss w·L(y') equals the loss of the example and of its extra positive for every prediction
    unchanged = [1, 3, 4, 6]
    np.testing.assert_array_equal(out.weight[unchanged], plain.weight[unchanged])
    assert out.weight[0] == 2.5
    assert out.label[0] == 1.0
    np.testing.assert_allclose(out.label[2] * out.weight[2], 0.5)
    np.testing.assert_allclose(out.weight[2] - plain.weight[2], 0.5)
    np.testing.assert_allclose(out.label[5], 0.5 / 1.5, rtol=1e-6)
    assert out.label[4] == 0.0  # a hidden local pin stays a negative


@given(n=st.integers(1, 300), most=st.integers(0, 40), request_id=st.text(max_size=8))
def test_the_sample_stands_for_all_unimpressed_candidates(n: int, most: int, request_id: str) -> None:
    table = StrategyTable(unimpressed_label=0.0, unimpressed_per_request=most, unimpressed_weight=0.5)
    rule = resolve(
        LabelSettings(strategy="custom", table=table), ("save", "click", "closeup", "long_click", "hide"), BAD
    )
    shown = LoggedCandidates(
        request_id, np.zeros(n, np.int8), np.zeros(n, bool), np.zeros((n, 5), np.float32), np.zeros(n), np.zeros(n)
    )
    out = label_request(rule, shown)
    assert out.kept.sum() == min(n, most)
    if most:
        np.testing.assert_allclose(out.weight.sum(), 0.5 * n, rtol=1e-5)
    again = label_request(rule, shown)
    np.testing.assert_array_equal(out.kept, again.kept)


def test_logged_samples_stand_for_the_candidates_that_were_not_logged() -> None:
    """From all 300 candidates or from the 100 of them that were logged: the unimpressed weigh the same together."""
    for strategy in ("funnel_blended", "distillation"):
        rule = resolve(LabelSettings(strategy=strategy), ("save", "click", "closeup", "long_click", "hide"), BAD)
        whole, logged = (
            LoggedCandidates(
                "r", np.ones(n, np.int8), np.zeros(n, bool), np.zeros((n, 5), np.float32), np.zeros(n), np.ones(n),
                kept_rate=rate,
            )
            for n, rate in ((300, 1.0), (100, 1 / 3))
        )  # fmt: skip
        weight = label_request(rule, whole).weight.sum()
        np.testing.assert_allclose(label_request(rule, logged).weight.sum(), weight, rtol=1e-5)
        assert weight > 0


@pytest.mark.parametrize("live", [False, True])
def test_an_action_that_weighs_nothing_hides_no_negatives_of_a_replay(live: bool) -> None:
    """A replay marks what was acted on as impressed. One action without a weight made its request look shown, and in
    visit-count order: none of the candidates that nobody touched became a negative.
    """
    rule = resolve(LabelSettings(action_weights={"save": 1.0}), ACTIONS, BAD)
    stage = np.array([IMPRESSED, IMPRESSED, RANKED, RANKED, RANKED], np.int8)  # saved · clicked · three untouched
    done = np.zeros((5, 3), np.float32)
    done[0, 0] = done[1, 1] = 1.0
    unknown = np.full(5, np.nan, np.float32)
    out = label_request(rule, LoggedCandidates("r", stage, np.zeros(5, bool), done, unknown, unknown, live=live))
    assert out.example_class.tolist() == [ACTION, SEEN, UNSEEN, UNSEEN, UNSEEN]
    assert out.kept.tolist() == [True, True] + [not live] * 3
    assert (out.label[2:] == 0.0).all()


def test_sampling_is_uniform_over_requests() -> None:
    drawn = np.zeros(20)
    for i in range(2000):
        drawn[sample(np.arange(20), 5, f"request-{i}")[0]] += 1
    assert np.abs(drawn / 2000 - 0.25).max() < 0.05  # 5 standard deviations


def test_every_file_of_the_folder_is_a_strategy_by_its_own_name() -> None:
    files = {path.stem for path in Path(folder.__path__[0]).glob("*.py")}
    machinery = {"__init__", "registry", "strategy", "table"}
    assert set(known_strategies()) == files - machinery
    for name, strategy in known_strategies().items():
        assert strategy.name == name
        assert strategy.meaning
        resolve(LabelSettings(strategy=name, action_weights=WEIGHTS), ACTIONS, BAD)


def test_a_new_file_is_all_that_a_strategy_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = (Path(folder.__path__[0]) / "engagement.py").read_text()
    (tmp_path / "shown_only.py").write_text(source.replace('name="engagement"', 'name="shown_only"'))
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    known_strategies.cache_clear()
    try:
        out = labels("shown_only")
        assert out.weight.tolist() == labels("engagement").weight.tolist()
    finally:
        known_strategies.cache_clear()
        sys.modules.pop(f"{folder.__name__}.shown_only", None)


def test_an_unknown_strategy_is_named_with_its_client_and_the_known_ones() -> None:
    client = Client(name="ads", labels=LabelSettings(strategy="engagment"))
    with pytest.raises(ConfigError, match=r"client ads: .*'engagment'.*distillation, engagement, .*custom"):
        check_strategies({"ads": client})
