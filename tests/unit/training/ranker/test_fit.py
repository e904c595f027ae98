"""The plain loop, the scorer and the saved folder of the full ranker."""

import json
import threading

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from apps.bench.full.toy_log import toy_schema, toy_table
from cluster.errors import BundleError, ConfigError, ModelError
from tests.worlds.ranker import SCHEMA, TINY, toy_batch, toy_model
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.empty import empty_requests
from training.ranker.evaluate import figures, predict
from training.ranker.fit import Hooks, fit
from training.ranker.inputs import to_targets
from training.ranker.loss import MultiTaskLoss
from training.ranker.model import FullRanker
from training.ranker.scorer import FullScorer
from training.ranker.start import learn_inputs
from training.ranker.trainer import train_full
from training.ranker.utility import utility


def _run(config: FitConfig, hooks: Hooks | None = None, resume: dict | None = None) -> tuple[FullRanker, object]:
    torch.manual_seed(1)
    model = FullRanker(SCHEMA.widths, TINY.but(dropout=0.1), sparse=True)
    train, held_out = toy_batch(24, 12), toy_batch(8, 12, seed=5)
    learn_inputs(model, [train])

    def feed(epoch: int, used: int):
        return (train.take(np.arange(i, i + 4)) for i in range(used, 24, 4))

    return model, fit(model, feed, [held_out], config, hooks=hooks, resume=resume, total_steps=6 * config.epochs)


def test_same_seed_same_weights_and_a_resumed_run_is_bit_identical() -> None:
    kept: list[dict] = []

    def keep(make, step: int) -> None:
        import copy

        if step == 9:  # in the middle of the second epoch
            kept.append(copy.deepcopy(make()))

    config = FitConfig(epochs=3, checkpoint_steps=3, patience=0)
    first, result = _run(config, Hooks(on_checkpoint=keep))
    again, _ = _run(config)
    resumed, resumed_result = _run(config, resume=kept[0])
    other, _ = _run(config.but(seed=7))
    assert result.steps == resumed_result.steps == 18
    assert (result.resumed, resumed_result.resumed) == ([], [1])
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert not torch.equal(first.tower_out.weight, other.tower_out.weight)


def test_a_request_with_many_actions_does_not_outvote_the_others() -> None:
    batch = toy_batch(24, 12)
    assert batch.labels is not None
    acted = np.array([(batch.labels[batch.request == r] > 0).any(axis=1).sum() for r in range(24)])
    assert acted.max() > 1
    plain = to_targets(batch).weights
    for balance in (0.5, 1.0):
        share = torch.from_numpy((np.maximum(acted, 1) ** -balance).astype(np.float32))[batch.request]
        torch.testing.assert_close(to_targets(batch, balance=balance).weights, plain * share[:, None])
    config = FitConfig(epochs=1, patience=0)
    one, other = _run(config)[0], _run(config.but(request_balance=1.0))[0]
    assert not torch.equal(one.tower_out.weight, other.tower_out.weight)


def test_early_stop_returns_the_best_epoch() -> None:
    _, result = _run(FitConfig(epochs=40, learning_rate=0.05, patience=2))
    losses = [np.mean(row["validation_loss"]) for row in result.history]
    assert len(losses) < 40
    assert result.best_epoch == int(np.argmin(losses)) == len(losses) - 3
    assert result.held_out is not None


def test_training_in_process_saves_what_it_trained_and_warm_starts(tmp_path) -> None:
    pq.write_table(toy_table(SCHEMA, 150, 30, seed=1), tmp_path / "rows.parquet", row_group_size=50)
    held_out = toy_table(SCHEMA, 60, 30, seed=2)
    fit_config = FitConfig(epochs=3, batch_requests=10, learning_rate=0.01, warmup_steps=5)
    metrics = train_full([tmp_path / "rows.parquet"], SCHEMA, TINY, fit_config, tmp_path / "m", validation=held_out)
    assert metrics["validation"]["save"]["auc"] > 0.6
    mean = {k: np.mean([v["ece"] for v in metrics[k].values()]) for k in ("validation", "calibrated")}
    assert mean["calibrated"] < mean["validation"] + 0.01
    scorer = FullScorer.open(tmp_path / "m")
    assert len(scorer.history) == 3
    assert not (tmp_path / "m.checkpoints").exists()
    batch = RequestBatch.from_table(held_out, SCHEMA)
    scorer.save(tmp_path / "copy")
    np.testing.assert_array_equal(FullScorer.open(tmp_path / "copy").score(batch), scorer.score(batch))
    warm = train_full(
        [tmp_path / "rows.parquet"],
        SCHEMA,
        TINY,
        fit_config.but(epochs=1, learning_rate=1e-4),
        tmp_path / "w",
        validation=held_out,
        warm_start=tmp_path / "m",
    )
    assert abs(warm["validation"]["save"]["log_loss"] - metrics["validation"]["save"]["log_loss"]) < 0.01
    with pytest.raises(ModelError, match="cannot warm-start"):
        train_full(
            [tmp_path / "rows.parquet"],
            SCHEMA,
            TINY.but(user_width=8),
            fit_config,
            tmp_path / "x",
            warm_start=tmp_path / "m",
        )


def test_scoring_from_many_threads_is_the_same(tmp_path) -> None:
    scorer = FullScorer(SCHEMA, TINY, toy_model())
    scorer.warm()
    batches = [toy_batch(2, 10, seed=i) for i in range(4)]
    expected = [scorer.score(b) for b in batches]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(5):
            if not np.array_equal(scorer.score(batches[i]), expected[i]):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


def test_errors_say_what_to_do(tmp_path) -> None:
    scorer = FullScorer(SCHEMA, TINY, toy_model())
    with pytest.raises(ModelError, match="serve the model trained for this schema"):
        scorer.score(empty_requests(toy_schema(shared=3, candidate=7, topics=4, length=5), 1, 2))
    with pytest.raises(BundleError, match="publish it again"):
        FullScorer.open(tmp_path / "nothing")
    scorer.save(tmp_path / "m")
    (tmp_path / "m" / "weights.pt").write_bytes(b"torn")
    with pytest.raises(BundleError, match="publish it again"):
        FullScorer.open(tmp_path / "m")
    scorer.save(tmp_path / "m")
    about = json.loads((tmp_path / "m" / "ranker.json").read_text())
    (tmp_path / "m" / "ranker.json").write_text(json.dumps(about | {"format": 99}))
    with pytest.raises(BundleError, match="format 99"):
        FullScorer.open(tmp_path / "m")
    with pytest.raises(ConfigError, match="learning_rat"):
        FitConfig.from_dict({"learning_rat": 1})
    with pytest.raises(ModelError, match="no training requests"):
        train_full([], SCHEMA, TINY, FitConfig(), tmp_path / "none")
    assert scorer.score(empty_requests(SCHEMA, 1, 0)).shape == (0, 5)


def test_utility_adds_up_and_hide_counts_against() -> None:
    p = np.array([[0.5, 0.0, 0.0, 0.0, 0.1], [0.5, 0.0, 0.0, 0.0, 0.4]], np.float32)
    score = utility(p, {"save": 2.0, "hide": -5.0}, SCHEMA.actions)
    np.testing.assert_allclose(score, [0.5, -1.0], atol=1e-6)
    with pytest.raises(ModelError, match="'share'"):
        utility(p, {"share": 1.0}, SCHEMA.actions)


def test_schema_and_configs_survive_json() -> None:
    schema = RankerSchema(("a",), ("b",), categorical=(("country", "shared"), ("board", "candidate")))
    assert RankerSchema.from_json(schema.to_json()) == schema
    assert schema.widths.shared_category == schema.widths.candidate_category == 1
    for config in (ModelConfig.debug(), ModelConfig.base(), ModelConfig.large()):
        assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_saved_folder_has_its_curves(tmp_path) -> None:
    from xml.etree import ElementTree

    fit_config = FitConfig(epochs=3, batch_requests=8, patience=0, threads=1)
    path = tmp_path / "rows.parquet"
    pq.write_table(toy_table(SCHEMA, 24, 10), path)
    train_full([path], SCHEMA, TINY, fit_config, tmp_path / "m", validation=toy_table(SCHEMA, 8, 10, seed=1))
    root = ElementTree.parse(tmp_path / "m" / "history.svg").getroot()
    lines = [e.attrib["points"].split() for e in root.iter("{http://www.w3.org/2000/svg}polyline")]
    assert len(lines) == 3 * len(SCHEMA.actions)
    assert {len(points) for points in lines} == {3}


def test_curves_of_odd_histories_are_drawn() -> None:
    from xml.etree import ElementTree

    from training.ranker.curves import history_svg

    rows = [{"epoch": 0, "train_loss": [0.5, float("nan")]}]
    root = ElementTree.fromstring(history_svg(rows, ("a<b", "c")))
    assert "a<b" in [e.text for e in root.iter()]
    assert "nan" not in history_svg(rows, ("a", "c"))
    assert history_svg([], ("a",)).startswith("<svg")


@pytest.mark.parametrize("listwise", [0.0, 0.6])
def test_epochs_are_compared_by_the_loss_that_training_has(listwise: float) -> None:
    batch = toy_batch(12, 15, seed=3)
    model = toy_model()
    loss = MultiTaskLoss(model.widths.actions, (2.0, 1.0, 1.0, 0.5, 1.0), listwise=listwise)
    scored = predict(model, [batch.take(np.arange(0, 5)), batch.take(np.arange(5, 12))])
    whole, _ = loss(torch.from_numpy(scored.logits), to_targets(batch), batch.n_requests)
    assert loss.held_out(np.array(figures(scored)["validation_loss"]), scored) == pytest.approx(float(whole), rel=1e-5)
