"""From logged requests to example matrices: features are the logged ones, labels the table's, splits strict in time."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import DataError, ModelError
from cluster.features.assemble import FeatureBlock
from cluster.store.log_parts import read_part
from tests.worlds.logs import LogsWorld, make_world
from tests.worlds.training import examples, requests, split, time_split
from training.lightweight.blocks import ExampleRows, count_classes, roles_in
from training.lightweight.examples import ClientExamples
from training.lightweight.splits import LEFT_OUT, TRAIN, VALID, TimeSplit, inside, split_without
from training.lightweight.strategies.registry import known_strategies, resolve
from training.lightweight.strategies.strategy import CLASSES, LabelRule, LoggedCandidates, label_request
from training.log.index import read_index
from training.log.moments import Moments
from training.log.tasks import Cut, LogWindow, Read

NO_SPLIT = TimeSplit(np.datetime64("2026-01-01", "us"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> LogsWorld:
    return make_world(tmp_path_factory.mktemp("logs"), requests=80, n=40)


def test_every_event_of_the_log_is_found_on_its_candidate(world: LogsWorld) -> None:
    events, _ = world.logs.read_events()
    marks = sum(float(r.actions.sum()) for c in world.clients for r in requests(world, c))
    assert marks == events.num_rows > 0
    for request in requests(world, "homefeed"):
        assert not request.actions[request.stage < 2].any()  # this world acts only on what was shown


def test_rows_are_the_logged_features_with_the_labels_of_the_request(world: LogsWorld) -> None:
    client = world.clients["homefeed"]
    table = examples(world, "homefeed", LogWindow())
    rule = resolve(client.labels, world.project.actions, world.project.negative_actions)
    local = world.features.candidate.index("cross_locale_match")
    x, label, weight, grade = [], [], [], []
    for r in requests(world, "homefeed"):
        shown = LoggedCandidates(r.request_id, r.stage, r.explored, r.actions, r.candidates[:, local], r.full_score)
        out = label_request(rule, shown)
        x.append(FeatureBlock(r.shared, r.candidates).matrix()[out.kept])
        label.append(out.label[out.kept])
        weight.append(out.weight[out.kept])
        grade.append(out.grade[out.kept])
    got = ExampleRows.of(table, np.ones(table.num_rows, bool))
    for expected, found in zip((x, label, weight, grade), (got.x, got.label, got.weight, got.grade), strict=True):
        np.testing.assert_array_equal(np.concatenate(expected), found)
    assert got.group.tolist() == [len(part) for part in x]  # a row a request, its examples side by side
    assert np.isnan(got.x).any()  # a missing value stays missing


def test_examples_lie_before_the_held_out_requests_and_validate_on_the_latest(world: LogsWorld) -> None:
    before, held = split(world, "notifications")
    names = {r.request_id for r in requests(world, "notifications", before)}
    later = {r.request_id for r in requests(world, "notifications", held)}
    assert not names & later
    assert len(later) == 20
    assert max(names) < min(later)  # ids of this world run in time
    counts = count_classes(examples(world, "notifications", before), [time_split(world, "notifications", before)])[0]
    assert counts[VALID].sum() / counts.sum() == pytest.approx(0.2, abs=0.03)
    assert counts.sum(axis=0)[CLASSES.index("unimpressed")] == 30 * 60


def test_a_window_is_cut_to_the_span_of_the_query() -> None:
    day = [np.datetime64(f"2026-01-0{i}", "us") for i in range(1, 6)]
    assert LogWindow(day[1], None, 0.5).within(LogWindow(day[0], day[3])) == LogWindow(day[1], day[3], 0.5)
    assert LogWindow(day[1], day[2]).within(LogWindow(day[2], day[4])) == LogWindow(day[2], day[2])


def test_a_share_of_a_window_is_the_same_in_every_process(world: LogsWorld) -> None:
    some = [r.request_id for r in requests(world, "homefeed", LogWindow(share=0.5))]
    assert some == [r.request_id for r in requests(world, "homefeed", LogWindow(share=0.5))]
    assert 20 < len(some) < 60


def test_a_request_logged_twice_counts_once(tmp_path: Path) -> None:
    world = make_world(tmp_path, ("homefeed",), requests=6, n=20, days=1)
    again = read_part(world.logs.serving_files().paths[0]).slice(2, 2)
    world.logs.write_serving(again, world.features)
    index = read_index(world.logs.serving_files(), LogWindow())
    assert index.repeated == 2
    cut, rows = Cut({"homefeed": LogWindow()}, index.repeats), []
    for path in world.logs.serving_files().paths:
        rows.append(cut(read_part(path), path).num_rows)
    assert rows == [6, 0]


def test_reading_gives_every_row_in_pieces(world: LogsWorld) -> None:
    paths = world.logs.serving_files("homefeed").paths
    read = Read(("request_id", "client", "requested_at"), Cut({"homefeed": LogWindow()}, {}))
    pieces = list(read(pa.table({"path": paths})))
    assert sum(p.num_rows for p in pieces) == 80
    late = Read(read.columns, Cut({"homefeed": LogWindow(since=np.datetime64("2030-01-01"))}, {}))
    assert [p.num_columns for p in late(pa.table({"path": paths}))] == [3] * len(pieces)


def test_an_empty_time_is_an_error_that_says_so(world: LogsWorld) -> None:
    with pytest.raises(DataError, match="no requests in the time"):
        read_index(world.logs.serving_files(), LogWindow(since=np.datetime64("2030-01-01")))


@pytest.mark.parametrize(
    ("counts", "distillation", "why"),
    [
        ({}, False, "no examples"),
        ({}, True, "train full first"),
        ({"impressed": 50}, False, "no actions"),
        ({"action": 50}, False, "only one class"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_with_the_reason(
    counts: dict, distillation: bool, why: str, world: LogsWorld
) -> None:
    strategy = known_strategies()["distillation" if distillation else "engagement"]
    rule = LabelRule(strategy, (1.0,))
    with pytest.raises(ModelError, match=why):
        ClientExamples("ads", 0, (), rule, [], NO_SPLIT, {"train": counts}).require_learnable()


def test_a_block_that_ray_data_left_without_rows_and_columns_counts_nothing() -> None:
    """What comes back for a log file whose requests all lie outside the windows of training."""
    nothing = pa.table({})
    assert count_classes(nothing, [NO_SPLIT] * 3).shape == (3, 2, len(CLASSES))
    assert not count_classes(nothing, [NO_SPLIT] * 3).any()
    assert not len(roles_in(nothing, 0, NO_SPLIT))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(2, 6))
def test_folds_of_time_hold_every_request_once_and_never_part_a_moment(minutes: list[int], folds: int) -> None:
    times = np.array(minutes).astype("datetime64[us]")
    windows = Moments.of(times).folds(folds)
    held = np.stack([inside(window, times) for window in windows])
    assert (held.sum(axis=0) == 1).all()
    assert held.any(axis=1).all()
    assert len(windows) <= folds
    if len(set(minutes)) == len(minutes) >= folds:
        assert np.ptp(held.sum(axis=1)) <= 1


@given(st.lists(st.integers(0, 40), min_size=2, max_size=60), st.floats(0, 1))
def test_a_split_leaves_out_what_it_should_and_stops_on_the_latest_rest(minutes: list[int], share: float) -> None:
    times = np.array(minutes).astype("datetime64[us]")
    without = Moments.of(times).folds(3)[0]
    draw = np.random.default_rng(len(minutes)).random(len(times))
    roles = split_without(Moments.of(times), [without], 0.2, share).roles(times, draw)
    assert (roles[inside(without, times)] == LEFT_OUT).all()
    assert (roles[draw >= share] == LEFT_OUT).all()
    kept = ~inside(without, times) & (draw < share)
    assert (roles[kept] != LEFT_OUT).all()
    if (roles == TRAIN).any() and (roles == VALID).any():
        assert times[roles == TRAIN].max() < times[roles == VALID].min()
