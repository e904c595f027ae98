"""The encoder sees the past alone, knows how long ago it was, and learns what comes next."""

import numpy as np
import pytest
import torch

from tests.worlds.sequences import chains, sequences_of
from training.retrieval.block import GAPS, gap_buckets
from training.retrieval.cases import split
from training.retrieval.encoder import EncoderConfig, NextItemEncoder
from training.retrieval.fit import FitSettings, FittedEncoder, fit, scorer
from training.retrieval.popular import popular_lately
from training.retrieval.ranks import rank_all
from training.retrieval.sampled_softmax import Negatives, sampled_softmax

QUICK = FitSettings(epochs=12, tokens=512, warmup_steps=10, learning_rate=5e-3, negatives=Negatives(64))


def model_of(items: int = 30, **shape: object) -> NextItemEncoder:
    torch.manual_seed(0)
    return NextItemEncoder(EncoderConfig(items, 16, 2, 2, 8, **shape)).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("of_time", [True, False])
def test_a_state_knows_nothing_of_what_comes_later(gated: bool, of_time: bool) -> None:
    model = model_of(gated=gated, of_time=of_time)
    items = torch.randint(1, 31, (3, 8))
    seconds = torch.arange(8).repeat(3, 1) * 3600
    states = model(items, seconds, seconds + 60)
    other, later = items.clone(), seconds.clone()
    other[:, 5:] = 7
    later[:, 5:] += 9999
    torch.testing.assert_close(
        model(other, later, torch.cat([seconds[:, :5] + 60, later[:, 5:]], 1))[:, :5], states[:, :5]
    )
    torch.testing.assert_close(model(items[:, :5], seconds[:, :5], seconds[:, :5] + 60), states[:, :5])
    assert not torch.allclose(model(other, later, later)[:, 5:], states[:, 5:])


def test_only_a_model_of_time_knows_how_long_ago_it_was() -> None:
    items = torch.randint(1, 31, (1, 4))
    seconds = torch.arange(4)[None]
    for of_time in (True, False):
        model = model_of(of_time=of_time)
        for block in model.blocks:
            if block.bias.gap is not None:
                torch.nn.init.normal_(block.bias.gap)
        soon, late = (model(items, seconds, seconds + wait)[:, -1] for wait in (1, 86_400))
        assert torch.equal(soon, late) != of_time


def test_gaps_are_buckets_of_powers_of_two() -> None:
    seconds = torch.tensor([[0, 10, 1000]])
    bucket = gap_buckets(torch.tensor([[0, 11, 2**50]]), seconds)
    assert bucket[0].tolist() == [[0, 0, 0], [3, 1, 0], [GAPS - 1] * 3]


def test_the_loss_is_that_of_a_loop_over_the_same_draws() -> None:
    rng = np.random.default_rng(0)
    states, vectors = (torch.from_numpy(rng.standard_normal((n, 5)).astype(np.float32)) for n in (7, 4))
    wanted = torch.tensor([0, 1, 2, 3, 0, 0, 1])
    popularity = torch.tensor([0.5, 0.3, 0.1, 0.1])
    torch.manual_seed(3)
    found = sampled_softmax(states, wanted, vectors, popularity, Negatives(6, 5))
    torch.manual_seed(3)
    drawn = torch.randint(4, (6,)).tolist()
    others = wanted[torch.randint(7, (5,))].tolist()
    losses = []
    for state, right in zip(states, wanted.tolist(), strict=True):
        logits = [float(state @ vectors[right])]
        logits += [float(state @ vectors[i]) for i in drawn if i != right]
        logits += [float(state @ vectors[i] - torch.log(popularity[i] * 4)) for i in others if i != right]
        losses.append(np.log(np.exp(logits).sum()) - logits[0])
    assert float(found) == pytest.approx(np.mean(losses), rel=1e-5)


def test_it_learns_a_chain_that_popularity_cannot_know() -> None:
    cases = split(chains(300, 40, 12), "leave-one-out")
    fitted = fit(cases.known, EncoderConfig(40, 32, 1, 2, 20, 0.1, of_time=False), QUICK)
    found = rank_all(cases, scorer(fitted.model, cases), 5).figures(5)
    popular = rank_all(cases, popular_lately(cases), 5).figures(5)
    assert found["recall@5"] > 0.7 > 0.4 > popular["recall@5"]
    assert [row["epoch"] for row in fitted.history] == list(range(1, 13))


def test_the_same_seed_learns_the_same() -> None:
    known = chains(60, 20, 8)
    config = EncoderConfig(20, 16, 1, 2, 10)
    settings = FitSettings(epochs=2, tokens=128, negatives=Negatives(8, 8))
    first, second = (fit(known, config, settings) for _ in range(2))
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_short_of_time_it_learns_fewer_epochs_and_ends_them() -> None:
    told: list[float] = []
    fitted: FittedEncoder = fit(
        chains(60, 20, 8),
        EncoderConfig(20, 16, 1, 2, 10),
        FitSettings(epochs=50, minutes=1e-6),
        lambda _, s: told.append(s),
    )
    assert told == [1.0]
    assert len(fitted.history) == 1


def test_nothing_to_learn_from_is_no_error() -> None:
    fitted = fit(sequences_of([[0], [1]]), EncoderConfig(2, 16, 1, 2, 10), FitSettings())
    assert not fitted.history
