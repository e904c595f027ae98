"""What may be chosen, and when another than the first candidate is."""

import pytest

from cluster.errors import ConfigError
from cluster.settings.project import GbdtSettings
from training.judge.lightweight import LightweightReport
from training.lightweight.choose import GRID, MIN_JUDGED, candidates, decide, settings_of
from training.lightweight.jobs import parameters, require_monotone
from training.metrics.intervals import Interval

FIGURE = "ndcg@10"
FIRST = next(iter(GRID))


def report(gains: dict[str, tuple[float, float]], n: int = MIN_JUDGED) -> LightweightReport:
    """Of gains against the first: mean and half the width of the interval."""
    orders = {FIRST: {FIGURE: Interval(0.5, 0.4, 0.6, n)}}
    differences = {}
    for name, (mean, half) in gains.items():
        orders[name] = {FIGURE: Interval(0.5 + mean, 0.4, 0.6, n)}
        differences[name] = {FIGURE: Interval(-mean, -mean - half, -mean + half, n)}  # of the first minus this one
    return LightweightReport("movies", n, n, orders, differences, {})


@pytest.fixture
def grid() -> dict[str, GbdtSettings]:
    return candidates(GbdtSettings())


def test_a_project_that_names_nothing_may_get_any_candidate(grid: dict[str, GbdtSettings]) -> None:
    assert list(grid) == list(GRID)
    assert grid[FIRST] == GbdtSettings(objective="logistic")  # the defaults are what a small log gets
    assert {s.objective for s in grid.values()} == {"logistic", "rank"}
    for name, found in grid.items():
        assert {key: getattr(found, key) for key in GRID[name]} == GRID[name]
        assert found.rounds == GbdtSettings().rounds


def test_what_a_project_names_is_not_chosen() -> None:
    named = candidates(GbdtSettings(max_depth=4, seed=7))
    assert {s.max_depth for s in named.values()} == {4}
    assert {s.seed for s in named.values()} == {7}
    both = candidates(GbdtSettings(objective="both"))
    assert {s.objective for s in both.values()} == {"both"}
    assert {s.max_depth for s in both.values()} == {3, 5}
    assert {s.objective for s in candidates(GbdtSettings(backend="xgboost-ray")).values()} == {"logistic"}
    (one,) = candidates(GbdtSettings(objective="logistic", max_depth=5, min_child_weight=2.0)).items()
    assert one == ("logistic, as set", GbdtSettings(objective="logistic", max_depth=5, min_child_weight=2.0))
    assert list(candidates(GbdtSettings(row_share=0.5))) == ["logistic, as set", "rank, as set"]


def test_the_first_stands_unless_another_is_better_beyond_doubt(grid: dict[str, GbdtSettings]) -> None:
    deep, flat, best = list(GRID)[1:4]
    rounds = {name: [10, 20] for name in GRID}
    rest = dict.fromkeys(list(GRID)[4:], (0.0, 0.01))
    unsure = decide(grid, report(rest | {deep: (0.05, 0.06), flat: (-0.1, 0.01), best: (0.0, 0.01)}), rounds)
    assert unsure.settings == grid[FIRST]
    assert "none is better beyond doubt" in unsure.reason
    sure = decide(grid, report(rest | {deep: (0.05, 0.06), flat: (0.02, 0.01), best: (0.03, 0.01)}), rounds)
    assert sure.settings == grid[best]
    assert "+0.0300 [+0.0200, +0.0400]" in sure.reason
    assert sure.to_dict()["figures"][best]["against_first"]["mean"] == pytest.approx(0.03)
    assert sure.to_dict()["figures"][best]["rounds"] == [10, 20]
    assert sure.to_dict()["settings"]["objective"] == GRID[best]["objective"]


def test_a_published_choice_can_be_had_again(grid: dict[str, GbdtSettings]) -> None:
    last = list(GRID)[-1]
    choice = decide(
        grid, report(dict.fromkeys(list(GRID)[1:-1], (0.02, 0.01)) | {last: (0.03, 0.01)}), {name: [] for name in GRID}
    )
    assert settings_of({"trees": choice.to_dict()}, GbdtSettings()) == grid[last]
    assert settings_of({}, GbdtSettings(seed=3)) == GbdtSettings(seed=3)  # of a bundle from before there was a choice


def test_few_judged_requests_choose_nothing(grid: dict[str, GbdtSettings]) -> None:
    gains = dict.fromkeys(list(GRID)[1:], (0.2, 0.01))
    few = decide(grid, report(gains, MIN_JUDGED - 1), {name: [] for name in GRID})
    assert few.settings == grid[FIRST]
    assert f"{MIN_JUDGED - 1} requests are too few" in few.reason


def test_monotone_constraints_go_by_the_names_of_features() -> None:
    settings = GbdtSettings(monotone={"graph_score": 1, "pin_age_days": -1})
    names = ("pin_degree", "graph_score", "pin_age_days")
    assert parameters(settings, "rank:ndcg", 1, names)["monotone_constraints"] == (0, 1, -1)
    assert "monotone_constraints" not in parameters(GbdtSettings(), "rank:ndcg", 1, names)
    require_monotone(settings, names)
    with pytest.raises(ConfigError, match=r"gbdt.monotone: no feature is called 'graph_scor': did you mean 'graph_sc"):
        require_monotone(GbdtSettings(monotone={"graph_scor": 1}), names)
