"""The network, its loss, calibration, metrics, scorer and the plain loop."""

import numpy as np
import pytest
import torch

from tests.worlds.ranker import TINY, toy_batch, toy_model
from training.metrics.probability import expected_calibration_error
from training.ranker.batch import RequestBatch
from training.ranker.calibration import Calibration, fit_calibration
from training.ranker.inputs import Targets, to_inputs
from training.ranker.loss import MultiTaskLoss, listwise_loss, per_task_loss
from training.ranker.numeric import Numeric
from training.ranker.position import PositionBias, bucket_of

SWITCHES = [
    {},
    {"crossing": "none"},
    {"crossing": "mask"},
    {"experts": "ple", "task_experts": 1},
    {"experts": "shared"},
    {"sequence_layers": -1},
    {"sequence_layers": 0},
    {"pin_buckets": 0},
    {"client_gates": False},
    {"bins": 0},
    {"position": False},
]


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_every_part_can_be_switched_off_and_gradients_reach_the_rest(switch: dict) -> None:
    model = toy_model(TINY.but(**switch)).train()
    logits = model(to_inputs(toy_batch()))
    assert logits.shape == (120, 5)
    logits.square().sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None]
    assert idle == []


def test_requests_in_one_pass_score_as_they_do_alone() -> None:
    model, batch = toy_model(), toy_batch()
    batch.sequence_pin[2] = 0  # a user without history
    batch.sequence_pin[3, 2:] = 0
    with torch.no_grad():
        together = model(to_inputs(batch)).numpy()
        alone = [model(to_inputs(batch.take(np.array([i])))).numpy() for i in range(6)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)
    ragged = RequestBatch.concat([toy_batch(1, 3, seed=1), toy_batch(1, 9, seed=2)])
    with torch.no_grad():
        np.testing.assert_allclose(
            model(to_inputs(ragged)).numpy()[3:], model(to_inputs(toy_batch(1, 9, seed=2))).numpy(), atol=1e-5
        )


def test_padding_of_the_sequence_changes_nothing_and_its_content_does() -> None:
    model, batch = toy_model(), toy_batch()
    batch.sequence_pin[:, 3:] = 0
    with torch.no_grad():
        before = model(to_inputs(batch)).numpy()
        batch.sequence_action[:, 3:], batch.sequence_vector[:, 3:] = 2, 9.0
        np.testing.assert_array_equal(model(to_inputs(batch)).numpy(), before)
        batch.sequence_action[:, 0] = (batch.sequence_action[:, 0] + 1) % 5
        assert np.abs(model(to_inputs(batch)).numpy() - before).max() > 1e-4


def test_client_changes_the_scores() -> None:
    model, batch = toy_model(), toy_batch()
    with torch.no_grad():
        before = model(to_inputs(batch)).numpy()
        batch.client[:] = (batch.client + 1) % 4
        assert np.abs(model(to_inputs(batch)).numpy() - before).max() > 1e-3


def test_position_counts_in_training_only_and_is_neutral_on_average() -> None:
    bias = PositionBias(2, 3, 16)
    torch.nn.init.normal_(bias.everyone)
    client = torch.tensor([1, 1, 1, 2, 2, 1])
    position = torch.tensor([0, 1, 40, 0, 3, -1])
    bias.learn(client, position)
    shown = bias(client, position)
    assert shown[5].abs().sum() == 0  # not shown: no bias
    torch.testing.assert_close(shown[:3].mean(0), torch.zeros(3), atol=1e-6, rtol=0)
    assert shown[0].abs().sum() > 0.01
    assert bucket_of(torch.tensor([0, 7, 8, 15, 16, 10**6]), 16).tolist() == [0, 7, 8, 8, 9, 15]
    model, batch = toy_model(), toy_batch()
    assert model.position is not None
    torch.nn.init.normal_(model.position.everyone)
    with torch.no_grad():
        with_place = model(to_inputs(batch))
        torch.testing.assert_close(with_place, model(to_inputs(batch)._replace(position=None)))
        model.train()
        assert (model(to_inputs(batch)) - with_place).abs().max() > 1e-3


def test_dense_columns_survive_missing_constant_and_huge_values() -> None:
    rng = np.random.default_rng(0)
    sample = rng.normal(size=(500, 4)).astype(np.float32)
    sample[:, 1] = 7.0
    sample[:, 2] = np.exp(4 * sample[:, 2])
    sample[:, 3] = np.nan
    numeric = Numeric(4, bins=4)
    numeric.learn(sample)
    out = numeric(torch.from_numpy(sample)).numpy()
    assert out.shape == (500, 4 * 6)
    assert np.isfinite(out).all()
    assert abs(out[:, 2].mean()) < 1e-4
    assert abs(out[:, 2].std() - 1) < 0.02  # the log made the heavy tail normal
    assert (out[:, 1] == 0).all()
    assert (out[:, 7] == 1).all()  # column 3's missing indicator
    wild = numeric(torch.tensor([[np.inf, -np.inf, np.inf, 1.0], [np.nan] * 4])).numpy()
    assert np.isfinite(wild).all()
    assert (wild[1, 8:] == 0).all()
    edge = numeric(torch.tensor([[np.median(sample[:, 0]), 7, 1, 0]], dtype=torch.float32)).numpy()[0, 8:12]
    np.testing.assert_allclose(edge, [1, 1, 0, 0], atol=0.02)  # the median has passed half of the quantile bins


def test_loss_equals_the_slow_sum_and_ignores_what_has_no_weight() -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=(7, 2)))
    labels = torch.from_numpy((rng.random((7, 2)) < 0.5).astype(float))
    weights = torch.from_numpy(rng.random((7, 2)))
    weights[3] = 0
    request = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    slow, ranked = [], []
    for a in range(2):
        p = 1 / (1 + np.exp(-logits[:, a].numpy()))
        y, w = labels[:, a].numpy(), weights[:, a].numpy()
        slow.append((w * -(y * np.log(p) + (1 - y) * np.log(1 - p))).sum() / w.sum())
        total = 0.0
        for r in (0, 1):
            mine = (request.numpy() == r) & (w > 0)
            z = logits[mine, a].numpy()
            total += ((y * w)[mine] * -(z - np.log((w[mine] * np.exp(z)).sum()))).sum()
        ranked.append(total / (y * w).sum())
    targets = Targets(labels, weights, request)
    np.testing.assert_allclose(per_task_loss(logits, targets).numpy(), slow)
    np.testing.assert_allclose(listwise_loss(logits, targets, 2).numpy(), ranked)
    fixed, _ = MultiTaskLoss(2, (3.0, 1.0))(logits, targets, 2)
    assert float(fixed) == pytest.approx((3 * slow[0] + slow[1]) / 4)


def test_uncertainty_weighting_settles_at_the_log_of_the_loss() -> None:
    loss = MultiTaskLoss(1, uncertainty=True)
    targets = Targets(torch.tensor([[1.0], [0.0]]), torch.ones(2, 1), torch.zeros(2, dtype=torch.long))
    logits = torch.tensor([[0.5], [0.5]])
    step = torch.optim.SGD(loss.parameters(), 0.5)
    for _ in range(300):
        step.zero_grad()
        total, entropy = loss(logits, targets, 1)
        total.backward()
        step.step()
    assert loss.log_variance is not None
    assert loss.log_variance.item() == pytest.approx(np.log(2 * float(entropy[0])), abs=1e-3)


def test_calibration_repairs_skewed_logits_per_client_and_keeps_the_order() -> None:
    rng = np.random.default_rng(0)
    client = np.repeat([1, 2], 20_000)
    true = rng.normal(-2, 1, 40_000)
    label = (rng.random(40_000) < 1 / (1 + np.exp(-true))).astype(np.float32)
    logits = (2 * true + np.where(client == 1, 3, -1))[:, None].astype(np.float32)
    fitted = fit_calibration(logits, label[:, None], np.ones((40_000, 1), np.float32), client, 2)
    p = fitted.apply(logits, client)[:, 0]
    raw = Calibration.identity(2, 1).apply(logits, client)[:, 0]
    for c in (1, 2):
        mine = client == c
        assert (
            expected_calibration_error(p[mine], label[mine])
            < 0.012
            < expected_calibration_error(raw[mine], label[mine])
        )
        assert (np.diff(p[mine][np.argsort(logits[mine, 0])]) >= 0).all()
    np.testing.assert_allclose(fitted.slope[1:, 0], 0.5, atol=0.05)
    one_class = fit_calibration(logits[:9], np.zeros((9, 1), np.float32), np.ones((9, 1), np.float32), client[:9], 2)
    assert (one_class.slope == 1).all()
