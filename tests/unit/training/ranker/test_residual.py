"""A full ranker that sees the lightweight score: it starts in the lightweight order and learns what is missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from apps.bench.full.toy_log import toy_schema, toy_table
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.columns import LIGHTWEIGHT_SCORE
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.fit import fit
from training.ranker.folded import Folded
from training.ranker.inputs import to_inputs
from training.ranker.model import FullRanker
from training.ranker.scorer import FullScorer
from training.ranker.start import learn_inputs, start_from_score
from training.ranker.utility import utility

PLAIN = toy_schema(shared=3, candidate=6, topics=4, length=5)
SCORED = replace(PLAIN, candidate=(*PLAIN.candidate[:-1], LIGHTWEIGHT_SCORE))
CONFIG = ModelConfig.debug().but(pin_buckets=64)
FLAT = FitConfig(flat_actions=("hide",))


def scored_batch(requests: int = 24, seed: int = 0, missing: float = 0.0) -> RequestBatch:
    """Toy requests whose last candidate column is a score that knows the strongest column, but not the user."""
    batch = RequestBatch.from_table(toy_table(PLAIN, requests, 30, seed=seed), PLAIN)
    rng = np.random.default_rng(seed + 100)
    batch.candidates = batch.candidates.copy()
    score = (
        40 + 3 * batch.candidates[:, 0] + rng.normal(size=batch.n_candidates) + 500 * (batch.client[batch.request] == 2)
    )
    batch.candidates[:, -1] = np.where(rng.random(len(score)) < missing, np.nan, score)
    return batch


def started(schema: RankerSchema, batch: RequestBatch, config: FitConfig = FLAT) -> FullRanker:
    """The network before its first step."""
    torch.manual_seed(0)
    model = FullRanker(schema.widths, CONFIG)
    learn_inputs(model, [batch])
    start_from_score(model, schema, batch, config)
    return model.eval()


def in_order_of(score: np.ndarray, values: np.ndarray) -> bool:
    """Whether `values` never fall where `score` rises."""
    return bool((np.diff(values[np.argsort(score, kind="stable")]) >= 0).all())


def test_before_the_first_step_the_order_is_the_lightweight_order() -> None:
    model = started(SCORED, scored_batch())
    batch = scored_batch(12, seed=3)
    scorer = FullScorer(SCORED, CONFIG, model)
    probability = scorer.score(batch)
    weights = {"save": 1.0, "click": 0.5, "hide": -5.0}
    for request in range(batch.n_requests):
        rows = batch.request == request
        score = batch.candidates[rows, -1]
        assert in_order_of(score, utility(probability[rows], weights, SCORED.actions))
        for action, name in enumerate(SCORED.actions):
            assert in_order_of(score, probability[rows, action])
            assert (np.ptp(probability[rows, action]) > 0) == (name != "hide")
    assert len(np.unique(probability[:, 0])) > 0.99 * batch.n_candidates  # told apart, not saturated


def test_each_client_is_scaled_by_its_own_trees() -> None:
    batch = scored_batch()
    model = started(SCORED, batch)
    assert model.residual is not None
    client = batch.client[batch.request]
    z = model.residual.standardised(torch.from_numpy(batch.candidates[:, -1].copy()), torch.from_numpy(client)).numpy()
    for one in (1, 2, 3):
        assert z[client == one].mean() == pytest.approx(0, abs=1e-3)
        assert z[client == one].std() == pytest.approx(1, abs=1e-3)


def test_a_candidate_without_a_score_gets_the_base_rate() -> None:
    batch = scored_batch(missing=0.3)
    model = started(SCORED, batch)
    with torch.inference_mode():
        logits = model(to_inputs(batch)).numpy()
    missing = np.isnan(batch.candidates[:, -1])
    client = batch.client[batch.request]
    np.testing.assert_array_equal(logits[missing], model.client_bias.weight.detach().numpy()[client[missing]])
    assert np.isfinite(logits).all()


def test_without_any_score_all_start_alike() -> None:
    batch = scored_batch(missing=1.0)
    model = started(SCORED, batch)
    later = scored_batch(4, seed=5)  # a client gets its first trees after this ranker was trained
    assert len(np.unique(FullScorer(SCORED, CONFIG, model).logits(later)[:, 0])) <= 3  # a base rate a client


def test_a_ranker_of_the_earlier_format_has_no_such_term() -> None:
    assert FullRanker(PLAIN.widths, CONFIG).residual is None
    assert FullRanker(SCORED.widths, CONFIG.but(residual=False)).residual is None
    assert not PLAIN.reads_score
    assert SCORED.reads_score
    assert RankerSchema.from_json(SCORED.to_json()).reads_score


def test_the_folded_pass_adds_the_same_term() -> None:
    batch = scored_batch(3, missing=0.2)
    model = started(SCORED, scored_batch())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = model(to_inputs(batch)._replace(position=None)).numpy()
    np.testing.assert_allclose(Folded(model).logits(batch), expected, rtol=2e-4, atol=2e-4)


def test_training_starts_from_there_and_never_ends_below() -> None:
    train, held_out = scored_batch(96), scored_batch(16, seed=9)
    model = started(SCORED, train)
    start = FullScorer(SCORED, CONFIG, model).logits(held_out)
    wild = FLAT.but(epochs=2, learning_rate=1.0, warmup_steps=0, clip=0.0, client_dropout=0.0, threads=1)
    result = fit(model, lambda epoch, used: [train], [held_out], wild)
    assert result.best_epoch == -1
    np.testing.assert_allclose(FullScorer(SCORED, CONFIG, model).logits(held_out), start, atol=1e-5)

    careful = FLAT.but(epochs=4, learning_rate=3e-3, warmup_steps=0, client_dropout=0.0, threads=1)
    batches = [train.take(np.arange(i, i + 8)) for i in range(0, 96, 8)]
    result = fit(model, lambda epoch, used: batches, [held_out], careful)
    assert result.best_epoch >= 0
    assert not np.allclose(FullScorer(SCORED, CONFIG, model).logits(held_out), start, atol=1e-2)


def test_a_hidden_client_has_no_score_either(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []

    def kept(batch: RequestBatch, *rest: object) -> object:
        seen.append(np.stack([batch.client[batch.request], np.isnan(batch.candidates[:, -1])]))
        return to_inputs(batch, "cpu")

    monkeypatch.setattr("training.ranker.fit.to_inputs", kept)
    train = scored_batch(48)
    before = train.candidates.copy()
    fit(started(SCORED, train), lambda epoch, used: [train], [], FLAT.but(epochs=1, client_dropout=0.5))
    client, blind = seen[0]
    np.testing.assert_array_equal(client == 0, blind == 1)
    assert 0.2 < blind.mean() < 0.8
    np.testing.assert_array_equal(train.candidates, before)
