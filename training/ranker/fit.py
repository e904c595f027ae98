"""The plain training loop of the full ranker: tensors in, weights out. Knows nothing of Ray and files.

`fit` runs alone (tests, benches, num_workers=0) and inside a Ray Train worker, where the caller has set up
torch.distributed. What Ray needs from it (a report per epoch, a state to save every N steps, a state to go on
from) goes through `Hooks`.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from cluster.errors import ModelError
from training.ranker.batch import RequestBatch
from training.ranker.config import FitConfig
from training.ranker.evaluate import HeldOutScores, evaluate, figures
from training.ranker.inputs import Inputs, Targets, to_inputs, to_targets
from training.ranker.loss import MultiTaskLoss
from training.ranker.model import FullRanker
from training.ranker.optimiser import Optimiser

START = -1
"""As `best_epoch`: before the first step nothing was worse than after any epoch."""

State = dict[str, Any]
Batches = Callable[[int, int], Iterable[RequestBatch]]
"""(epoch, requests of it that all workers together have used) -> this worker's batches of the rest."""


@dataclass
class Hooks:
    """Seams for whoever runs the loop. All optional."""

    on_step: Callable[[int], None] | None = None
    """After every step, with the steps done so far."""

    on_checkpoint: Callable[[Callable[[], State], int], None] | None = None
    """Every `checkpoint_steps` steps, with what makes the state and the steps done so far."""

    on_epoch: Callable[[dict[str, Any], Callable[[], State]], None] | None = None
    """After an epoch and its validation, with its row of the history and what makes the state."""


@dataclass
class FitResult:
    """`history`: one dict per epoch. `best_epoch`: START if no epoch was better than that. `held_out`: the best model
    on the validation batches, None without any. `resumed`: the epochs in which the run went on from a checkpoint.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    steps: int = 0
    examples: int = 0  # candidates seen by this worker
    seconds: float = 0.0  # training steps only, without validation
    resumed: list[int] = field(default_factory=list)
    held_out: HeldOutScores | None = None


class _Objective(nn.Module):
    """Model and loss as one module, so that DDP also averages the learned task weights."""

    def __init__(self, model: nn.Module, loss: MultiTaskLoss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, inputs: Inputs, targets: Targets, n_requests: int) -> tuple[Tensor, Tensor]:
        out: tuple[Tensor, Tensor] = self.loss(self.model(inputs), targets, n_requests)
        return out


class _Run:
    """One training run: the model with its loss, optimiser and random state, and how far it has come."""

    def __init__(self, model: FullRanker, config: FitConfig, device: torch.device, total_steps: int | None) -> None:
        on_gpu = device.type == "cuda"
        self.model = model.to(device)
        self.config = config
        self.device = device
        self.total_steps = total_steps
        self.half = config.precision == "bfloat16" or (config.precision == "auto" and on_gpu)
        self.loss = MultiTaskLoss(model.widths.actions, config.task_weights, config.uncertainty, config.listwise).to(
            device
        )
        self.optimiser = Optimiser(model, self.loss, config, total_steps)
        compiled = config.compile == "on" or (config.compile == "auto" and on_gpu)
        network: Any = torch.compile(model, dynamic=True) if compiled else model
        self.objective: nn.Module = _Objective(network, self.loss)
        self.world = dist.get_world_size() if dist.is_initialized() else 1
        if self.world > 1:
            self.objective = nn.parallel.DistributedDataParallel(self.objective, find_unused_parameters=True)

        self.result = FitResult()
        self.epoch = 0
        self.used = 0  # requests of this epoch that all workers together have trained on
        self.done = 0  # steps of the learning rate's schedule
        self.best: dict[str, Tensor] | None = None  # weights of the best epoch
        self.best_loss = math.inf
        torch.manual_seed(config.seed + (dist.get_rank() if self.world > 1 else 0))  # workers drop out differently
        self.dropout = np.random.default_rng([config.seed, 1])

    def state(self) -> State:
        """Everything that an equal run needs to go on from here."""
        names = ("history", "best_epoch", "steps", "examples", "seconds", "resumed")
        return {
            "model": self.model.state_dict(),
            "loss": self.loss.state_dict(),
            "optimiser": [part.state_dict() for part in self.optimiser.parts],
            "epoch": self.epoch,
            "used": self.used,
            "done": self.done,
            "total": self.total_steps,
            "best": self.best,
            "best_loss": self.best_loss,
            "result": {name: getattr(self.result, name) for name in names},
            "rng": torch.get_rng_state(),
            "dropout": self.dropout.bit_generator.state,
        }

    def restore(self, state: State) -> None:
        """Go on from `state`."""
        self.model.load_state_dict(state["model"])
        self.loss.load_state_dict(state["loss"])
        for part, saved in zip(self.optimiser.parts, state["optimiser"], strict=True):
            part.load_state_dict(saved)
        self.epoch = state["epoch"]
        self.used = state["used"]
        self.done = state["done"]
        if self.total_steps and state["total"]:  # another number of workers makes another number of steps
            self.done = round(self.done * self.total_steps / state["total"])
        self.best = state["best"]
        self.best_loss = state["best_loss"]
        self.result = FitResult(**state["result"])
        self.result.resumed = [*self.result.resumed, self.epoch]
        torch.set_rng_state(state["rng"])
        self.dropout.bit_generator.state = state["dropout"]

    def train_epoch(self, batches: Batches, hooks: Hooks) -> dict[str, Any]:
        """Train on what is left of this epoch; its row of the history, with the mean cross-entropy of each action."""
        self.model.train()
        entropy = torch.zeros(self.model.widths.actions)
        count = 0
        started = time.perf_counter()
        for batch in batches(self.epoch, self.used):
            entropy += self._step(batch)
            count += 1
            if hooks.on_step is not None:
                hooks.on_step(self.result.steps)
            if hooks.on_checkpoint is not None and self.result.steps % self.config.checkpoint_steps == 0:
                hooks.on_checkpoint(self.state, self.result.steps)
        self.result.seconds += time.perf_counter() - started
        mean = (entropy / max(count, 1)).tolist()
        if not all(math.isfinite(value) for value in mean):
            raise ModelError(
                f"training diverged in epoch {self.epoch}: lower learning_rate or check the features for huge values"
            )
        return {"epoch": self.epoch, "step": self.result.steps, "train_loss": mean, "seconds": self.result.seconds}

    def _step(self, batch: RequestBatch) -> Tensor:
        """One optimiser step; the batch's cross-entropy of each action, float[A] on the CPU."""
        if self.config.client_dropout:
            hidden = self.dropout.random(batch.n_requests) < self.config.client_dropout
            batch = batch.of_new_clients(hidden, self.model.widths.score)
        batch = batch.thin_negatives(self.config.negatives, self.dropout)
        inputs = to_inputs(batch, self.device)
        targets = to_targets(batch, self.device, self.config.request_balance)
        self.optimiser.zero()
        with torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext():
            total, entropy = self.objective(inputs, targets, batch.n_requests)
        total.backward()
        self.optimiser.step(self.done)
        self.done += 1
        self.used += batch.n_requests * self.world
        self.result.steps += 1
        self.result.examples += batch.n_candidates
        out: Tensor = entropy.cpu()
        return out

    def judge(self, validation: Sequence[RequestBatch]) -> dict[str, list[float]]:
        """Figures of the model as it is, which is kept if it is the best so far: least loss, as training has it."""
        scored = evaluate(self.model, validation, self.device)
        found = figures(scored)
        loss = self.loss.held_out(np.array(found["validation_loss"]), scored)
        if loss < self.best_loss:
            self.best_loss = loss
            self.best = {name: value.detach().clone() for name, value in self.model.state_dict().items()}
            self.result.best_epoch = self.epoch
            self.result.held_out = scored
        return found

    def end_epoch(self, row: dict[str, Any]) -> None:
        """Note the row and turn to the next epoch; to none if the last `patience` epochs brought nothing better."""
        self.result.history.append(row)
        waited = self.epoch - self.result.best_epoch
        stop = "validation_loss" in row and bool(self.config.patience) and waited >= self.config.patience
        self.epoch = self.config.epochs if stop else self.epoch + 1
        self.used = 0

    def finish(self, validation: Sequence[RequestBatch]) -> FitResult:
        """Leave the model with its best weights, in eval mode."""
        if self.best is not None:
            self.model.load_state_dict(self.best)
            if self.result.held_out is None and validation:  # resumed after the best epoch
                self.result.held_out = evaluate(self.model, validation, self.device)
        self.model.eval()
        return self.result


def fit(
    model: FullRanker,
    batches: Batches,
    validation: Sequence[RequestBatch],
    config: FitConfig,
    *,
    device: torch.device | str = "cpu",
    total_steps: int | None = None,
    resume: State | None = None,
    hooks: Hooks | None = None,
) -> FitResult:
    """Train `model` in place; it ends with the weights of its best validation epoch (the last without validation).

    `total_steps` over all epochs, for the learning rate's decay. `resume` is a state that `on_checkpoint` or
    `on_epoch` got. Raises ModelError if the loss is no longer a number.
    """
    hooks = hooks or Hooks()
    run = _Run(model, config, torch.device(device), total_steps)
    if resume is not None:
        run.restore(resume)
    elif validation and model.residual is not None:
        run.judge(validation)  # the start may be the best: then nothing that was learnt is kept
        run.result.best_epoch = START
    while run.epoch < config.epochs:
        row = run.train_epoch(batches, hooks)
        if validation:
            row |= run.judge(validation)
        run.end_epoch(row)
        if hooks.on_epoch is not None:
            hooks.on_epoch(row, run.state)
    return run.finish(validation)
