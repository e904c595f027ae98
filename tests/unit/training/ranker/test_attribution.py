"""Contributions to the full ranker's logits, compared with what the network gives when an input is taken away."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from apps.bench.full.toy_log import toy_schema, toy_table
from tests.worlds.fuzz import examples
from tests.worlds.ranker import TINY, shaken, varied_batch
from training.ranker.attribution import ACTIONS, CLIENT, CONTENT, PIN, attribute, baseline_of
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.calibration import Calibration
from training.ranker.columns import LIGHTWEIGHT_SCORE
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.fit import fit
from training.ranker.inputs import Inputs, to_inputs
from training.ranker.model import Encoded, FullRanker
from training.ranker.scorer import FullScorer
from training.ranker.start import learn_inputs, start_from_score

SCHEMA = replace(
    toy_schema(shared=4, candidate=6, topics=5, length=8),
    categorical=(("plan", "shared"), ("region", "shared"), ("rating", "candidate")),
)


class LinearRanker(FullRanker):
    """Logits that are a weighted sum of the encoded inputs; of the action sequence it reads how much of it is there."""

    def meet(self, e: Encoded, x: Inputs) -> Tensor:
        client = (e.client_user, e.client_scale, e.client_gate, e.client_bias)
        parts = [e.shared, *(part for part in client if part is not None)]
        if e.sequence is not None:
            parts.append(e.real.any(1, keepdim=True) * (torch.ones(1, 1) if e.acted is None else e.acted))
        side = torch.cat([part.expand(int(x.request.max()) + 1, -1) for part in parts], 1)[x.request]
        row = torch.cat([side, e.candidate], 1)
        weights = torch.randn(row.shape[1], self.widths.actions, generator=torch.Generator().manual_seed(5))
        return row @ weights


def one_request(batch: RequestBatch, which: int = 0) -> Inputs:
    return to_inputs(batch.take(np.array([which])))._replace(position=None)


def without(model: FullRanker, schema: RankerSchema, x: Inputs) -> Iterator[tuple[str, Inputs]]:
    """The request with one input after another replaced by the baseline's."""
    base = baseline_of(model, x)

    def columns(part: str, names: tuple[str, ...] | list[str]) -> Iterator[tuple[str, Inputs]]:
        for i, name in enumerate(names):
            values = getattr(x, part).clone()
            values[:, i] = getattr(base, part)[0, i]
            yield name, x._replace(**{part: values})

    for side, dense, names in (("shared", "shared", schema.shared), ("candidate", "candidates", schema.candidate)):
        yield from columns(dense, names)
        yield from columns(f"{side}_category", [name for name, of in schema.categorical if of == side])
    yield CONTENT, x._replace(vector=torch.zeros_like(x.vector))
    yield CLIENT, x._replace(client=torch.zeros_like(x.client))
    if model.pins is not None:
        yield PIN, x._replace(pin=torch.zeros_like(x.pin))
    if model.use_sequence:
        yield ACTIONS, x._replace(sequence_pin=torch.zeros_like(x.sequence_pin))


def changes_without(model: FullRanker, schema: RankerSchema, x: Inputs) -> dict[str, np.ndarray]:
    """The slow, obvious reference: float32[N, A] by which the logits fall when an input is taken away."""
    with torch.no_grad():
        whole = model(x)
        return {name: (whole - model(changed)).numpy() for name, changed in without(model, schema, x)}


def test_of_a_linear_model_a_contribution_is_what_taking_the_input_away_costs() -> None:
    torch.manual_seed(0)
    batch = varied_batch(SCHEMA)
    model = LinearRanker(SCHEMA.widths, TINY)
    learn_inputs(model, [batch])
    shaken(model)
    for which in range(3):
        x = one_request(batch, which)
        found, expected = attribute(model, SCHEMA, x, steps=2), changes_without(model, SCHEMA, x)
        assert set(found.names) == set(expected)
        assert len(found.names) == len(expected)
        for i, name in enumerate(found.names):
            np.testing.assert_allclose(found.values[:, :, i], expected[name], atol=2e-4, err_msg=name)
        assert sum(bool(np.abs(values).max() > 0.01) for values in expected.values()) > 12


PARTS: list[dict[str, Any]] = [
    {},
    {"crossing": "mask"},
    {"crossing": "none"},
    {"experts": "shared"},
    {"experts": "ple", "task_experts": 1},
    {"sequence_layers": -1},
    {"sequence_layers": 0},
    {"pin_buckets": 0},
    {"bins": 0},
    {"client_gates": False},
]


@settings(max_examples=examples(20))
@example({"sequence_layers": 0}, 2165, 8, 0, False)  # 256 points leave 4.1 % of an action's sum
@given(st.sampled_from(PARTS), st.integers(0, 10_000), st.sampled_from([8, 0]), st.integers(0, 2), st.booleans())
def test_contributions_add_up_to_the_logit(
    parts: dict[str, Any], seed: int, length: int, which: int, scored: bool
) -> None:
    """Completeness, for random networks and requests with full, gappy and no sequences and missing columns."""
    torch.manual_seed(seed)
    last = LIGHTWEIGHT_SCORE if scored else SCHEMA.candidate[-1]
    schema = replace(SCHEMA, sequence_length=length, candidate=(*SCHEMA.candidate[:-1], last))
    batch = varied_batch(schema, candidates=6, seed=seed)
    model = FullRanker(schema.widths, TINY.but(**parts))
    learn_inputs(model, [batch])
    start_from_score(model, schema, batch, FitConfig())
    shaken(model, seed, 0.1)
    x = one_request(batch, which)
    with torch.no_grad():
        logits = model(x).numpy()
        base = model(baseline_of(model, x)).numpy()[0]
    rough, fine = (attribute(model, schema, x, steps) for steps in (2, 1024))
    np.testing.assert_allclose(fine.baseline, base, atol=1e-5)
    gaps = [np.abs(found.values.sum(2) - (logits - base)) for found in (rough, fine)]
    assert (gaps[1] <= 0.04 * np.abs(fine.values).sum(2) + 1e-4).all()
    assert gaps[1].mean() <= gaps[0].mean() + 1e-4  # it is the sum over points that is rough


@pytest.fixture(scope="module")
def fitted() -> tuple[FullRanker, list[RequestBatch]]:
    """A small network that has learnt the toy log's rule: topics that match, and column 0, twice in `search`."""
    schema = toy_schema(shared=3, candidate=6, topics=4, length=5)
    config = ModelConfig.debug().but(pin_buckets=256, dropout=0.0)
    torch.manual_seed(0)
    model = FullRanker(schema.widths, config)
    batches = [RequestBatch.from_table(toy_table(schema, 32, 40, seed=seed), schema) for seed in range(12)]
    learn_inputs(model, batches[:4])
    fit(model, lambda epoch, start: batches, [], FitConfig.debug().but(epochs=4, patience=0))
    return model, [RequestBatch.from_table(toy_table(schema, 8, 20, seed=99), schema)]


def test_of_a_fitted_model_contributions_tell_what_taking_an_input_away_does(
    fitted: tuple[FullRanker, list[RequestBatch]],
) -> None:
    model, (batch,) = fitted
    schema = toy_schema(shared=3, candidate=6, topics=4, length=5)
    told, measured = [], []
    for which in range(batch.n_requests):
        x = one_request(batch, which)
        found, expected = attribute(model, schema, x), changes_without(model, schema, x)
        told.append(found.values)
        measured.append(np.stack([expected[name] for name in found.names], axis=2))
    ours, truth = np.concatenate(told), np.concatenate(measured)
    large = np.abs(ours) > 0.2
    assert large.mean() > 0.02
    assert (np.sign(ours) == np.sign(truth))[large].all()
    assert np.abs(ours - truth)[large].mean() < 0.2 * np.abs(truth)[large].mean()
    assert np.corrcoef(ours.ravel(), truth.ravel())[0, 1] > 0.96
    by_size = np.array(found.names)[np.argsort(-np.abs(ours).mean((0, 1)))]
    assert by_size[:2].tolist() == ["pin_0", ACTIONS]


def test_of_a_fitted_model_the_served_number_of_points_is_enough(
    fitted: tuple[FullRanker, list[RequestBatch]],
) -> None:
    model, (batch,) = fitted
    for which in range(batch.n_requests):
        x = one_request(batch, which)
        found = attribute(model, toy_schema(shared=3, candidate=6, topics=4, length=5), x)
        with torch.no_grad():
            np.testing.assert_allclose(found.logits, model(x).numpy(), atol=1e-5)
        gap, moved = np.abs(found.values.sum(2) - (found.logits - found.baseline)), np.abs(found.values).sum(2)
        assert (gap < 0.05 * moved + 0.01).all()
        assert gap.mean() < 0.01 * moved.mean()


def test_a_scorer_explains_the_probabilities_that_it_gives() -> None:
    torch.manual_seed(0)
    batch = varied_batch(SCHEMA)
    model = FullRanker(SCHEMA.widths, TINY)
    learn_inputs(model, [batch])
    rng = np.random.default_rng(0)
    shape = len(SCHEMA.clients) + 1, len(SCHEMA.actions)
    platt = Calibration(np.exp(rng.normal(size=shape)), rng.normal(size=shape))
    scorer = FullScorer(SCHEMA, TINY, shaken(model), platt)
    one = batch.take(np.array([1]))
    raw, found = attribute(model, SCHEMA, one_request(batch, 1)), scorer.explain(one)
    np.testing.assert_allclose(1 / (1 + np.exp(-found.logits)), scorer.score(one), atol=1e-4)
    slope, offset = platt.slope[one.client[0]], platt.offset[one.client[0]]
    np.testing.assert_allclose(found.values, raw.values * slope[:, None], atol=1e-5)
    np.testing.assert_allclose(found.baseline, raw.baseline * slope + offset, atol=1e-5)


def test_before_the_first_step_the_lightweight_score_explains_the_order() -> None:
    torch.manual_seed(0)
    schema = replace(SCHEMA, candidate=(*SCHEMA.candidate[:-1], LIGHTWEIGHT_SCORE))
    batch = varied_batch(schema)
    model = FullRanker(schema.widths, TINY)
    learn_inputs(model, [batch])
    start_from_score(model, schema, batch, FitConfig())
    found = attribute(model.eval(), schema, one_request(batch, 1))
    others = [name not in (LIGHTWEIGHT_SCORE, CLIENT) for name in found.names]
    assert not found.values[:, :, others].any()
    assert np.ptp(found.values[:, :, found.names.index(LIGHTWEIGHT_SCORE)]) > 0.1
