"""Trains the encoder on what users did, and stops by what some of them did next. Knows nothing of Ray and files."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cluster.progress import Progress, silent
from training.retrieval.batches import Batches, padded
from training.retrieval.cases import Cases, held_out
from training.retrieval.encoder import EncoderConfig, NextItemEncoder
from training.retrieval.ranks import Scores, rank_all
from training.retrieval.sampled_softmax import Negatives, sampled_softmax
from training.retrieval.sequences import UserSequences

STOP_BY = 10
"""Cut of the NDCG that chooses an epoch."""


@dataclass(frozen=True)
class FitSettings:
    """How it is trained."""

    epochs: int = 40
    minutes: float = math.inf  # fewer epochs where all of them would take longer
    tokens: int = 1024  # actions of a batch, about
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    warmup_steps: int = 200
    clip: float = 1.0
    held_users: int = 2000
    looks: int = 10  # how often held-out users are looked at
    seed: int = 0
    negatives: Negatives = field(default_factory=Negatives)


@dataclass
class FittedEncoder:
    """`history`: a row for each look at held-out users; the model has the weights of the best one."""

    model: NextItemEncoder
    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0


def fit(
    known: UserSequences, config: EncoderConfig, settings: FitSettings, progress: Progress = silent
) -> FittedEncoder:
    """Adam with a cosine schedule; every action but a user's first is predicted once an epoch.

    The last actions of `held_users` are not trained on: they choose the epoch.
    """
    rng = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)
    cases = held_out(known, settings.held_users, rng)
    run = _Run(cases.known, config, settings)
    fitted = FittedEncoder(run.model)
    if not run.batches.count:
        return fitted
    best = -1.0
    weights = run.weights()
    began = time.monotonic()
    epoch = 0
    while epoch < run.epochs:
        loss = run.one_epoch(rng)
        epoch += 1
        if epoch == 1:
            run.end_by(settings.minutes * 60 / (time.monotonic() - began))
        if len(cases.user) and (epoch == run.epochs or epoch % max(1, run.epochs // settings.looks) == 0):
            found = rank_all(cases, scorer(run.model, cases), STOP_BY).figures(STOP_BY)
            fitted.history.append({"epoch": epoch, "loss": loss, "seconds": time.monotonic() - began, **found})
            if found[f"ndcg@{STOP_BY}"] > best:
                best = found[f"ndcg@{STOP_BY}"]
                weights = run.weights()
        progress("fit", epoch / run.epochs)
    if fitted.history:
        run.model.load_state_dict(weights)
    run.model.eval()
    fitted.seconds = time.monotonic() - began
    return fitted


class _Run:
    """The model, what it is trained on, and how far its rate has come."""

    def __init__(self, trained: UserSequences, config: EncoderConfig, settings: FitSettings) -> None:
        self.model = NextItemEncoder(config)
        self.batches = Batches(trained, config.length, settings.tokens)
        self.epochs = settings.epochs
        self._settings = settings
        counts = np.bincount(trained.items, minlength=config.items) + 1.0
        self._popularity = torch.from_numpy((counts / counts.sum()).astype(np.float32))
        self._optimiser = torch.optim.AdamW(
            self.model.parameters(), settings.learning_rate, (0.9, 0.98), weight_decay=settings.weight_decay
        )
        self._done = 0

    def end_by(self, epochs: float) -> None:
        """Fewer epochs than were asked for, where the time allows no more; the rate falls accordingly."""
        self.epochs = max(1, int(min(self.epochs, epochs)))

    def weights(self) -> dict[str, Tensor]:
        """A copy."""
        return {name: value.clone() for name, value in self.model.state_dict().items()}

    def one_epoch(self, rng: np.random.Generator) -> float:
        """The mean loss."""
        self.model.train()
        total = 0.0
        for items, seconds, asked, wanted in self.batches.shuffled(rng):
            real = wanted >= 0
            states = self.model(items, seconds, asked)[real]
            loss = sampled_softmax(
                states, wanted[real], self.model.item_vectors(), self._popularity, self._settings.negatives
            )
            self._step(loss)
            total += loss.item()
        return total / self.batches.count

    def _step(self, loss: Tensor) -> None:
        settings = self._settings
        warm = min(1.0, (self._done + 1) / settings.warmup_steps)
        share = min(1.0, self._done / (self.epochs * self.batches.count))
        for group in self._optimiser.param_groups:
            group["lr"] = settings.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * share))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip)
        self._optimiser.step()
        self._done += 1


def scorer(model: NextItemEncoder, cases: Cases) -> Scores:
    """Scores of all items for cases, by the state behind the last known action."""
    known = cases.known

    def scores(chunk: np.ndarray) -> np.ndarray:
        rows = [known.of(user) for user in cases.user[chunk].tolist()]
        spans = [slice(max(row.start, row.stop - model.config.length), row.stop) for row in rows]
        items, seconds, asked, _ = padded(known, spans, cases.asked[chunk])
        model.eval()
        with torch.no_grad():
            last = torch.tensor([max(row.stop - row.start - 1, 0) for row in spans])
            states = model(items, seconds, asked)[torch.arange(len(chunk)), last]
            found: np.ndarray = (states @ model.item_vectors().T).numpy()
        return found

    return scores
