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
from training.ranker.batch import Floats, Ints, RequestBatch
from training.ranker.config import FitConfig
from training.ranker.inputs import Inputs, Targets, to_inputs, to_targets
from training.ranker.loss import MultiTaskLoss
from training.ranker.metrics import log_loss, weighted_auc
from training.ranker.model import FullRanker
from training.ranker.optimiser import Optimiser

State = dict[str, Any]
Batches = Callable[
    [int, int], Iterable[RequestBatch]
]  # (epoch, requests of it already used over all workers) -> the rest


@dataclass
class Hooks:
    """Seams for whoever runs the loop. All optional."""

    on_step: Callable[[int], None] | None = None  # after every step, with the steps done so far
    on_checkpoint: Callable[[Callable[[], State], int], None] | None = (
        None  # every checkpoint_steps: (make state, step)
    )
    on_epoch: Callable[[dict[str, Any], Callable[[], State]], None] | None = None  # after validation


@dataclass
class Scored:
    """Logits of the validation candidates and what they are compared with."""

    logits: Floats  # [N, A]
    labels: Floats
    weights: Floats  # 0 = unknown label
    request: Ints  # [N]
    client: Ints  # [N]


@dataclass
class FitResult:
    """`history`: one dict per epoch. `held_out`: the best model on the validation batches, None without any."""

    history: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    steps: int = 0
    examples: int = 0  # candidates seen by this worker
    seconds: float = 0.0  # training steps only, without validation
    held_out: Scored | None = None


class _Objective(nn.Module):
    """Model and loss as one module, so that DDP also averages the learned task weights."""

    def __init__(self, model: nn.Module, loss: MultiTaskLoss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, inputs: Inputs, targets: Targets, n_requests: int) -> tuple[Tensor, Tensor]:
        out: tuple[Tensor, Tensor] = self.loss(self.model(inputs), targets, n_requests)
        return out


def learn_inputs(model: FullRanker, batches: Sequence[RequestBatch]) -> None:
    """Set the model's input statistics (dense columns, places shown) from a sample of training batches."""
    if not batches:
        raise ModelError("the full ranker got no training requests: check the date range and the client filter")
    model.shared_numeric.learn(np.concatenate([b.shared for b in batches]))
    model.candidate_numeric.learn(np.concatenate([b.candidates for b in batches]))
    if model.position is not None and all(b.position is not None for b in batches):
        client = torch.from_numpy(np.concatenate([b.client[b.request] for b in batches]))
        model.position.learn(
            client, torch.from_numpy(np.concatenate([b.position for b in batches if b.position is not None]))
        )


@torch.no_grad()
def predict(model: nn.Module, batches: Iterable[RequestBatch], device: torch.device | str = "cpu") -> Scored:
    """Logits without position bias and dropout, for labelled batches."""
    model.eval()
    parts: list[tuple[Any, ...]] = []
    seen = 0
    for batch in batches:
        targets = to_targets(batch)
        logits = model(to_inputs(batch, device)).float().cpu().numpy()
        parts.append(
            (logits, targets.labels.numpy(), targets.weights.numpy(), batch.request + seen, batch.client[batch.request])
        )
        seen += batch.n_requests
    return Scored(*(np.concatenate(p) for p in zip(*parts, strict=True)))


def _validate(model: nn.Module, batches: Sequence[RequestBatch], device: torch.device) -> Scored:
    """Every worker scores its share and gets everybody's results."""
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    mine = list(batches[rank::world])
    local = predict(model, mine, device) if mine else None
    if world == 1:
        assert local is not None
        return local
    gathered: list[Scored | None] = [None] * world
    dist.all_gather_object(gathered, local)
    parts = [g for g in gathered if g is not None]
    for i, part in enumerate(parts[1:], 1):
        part.request += parts[i - 1].request.max() + 1
    names = ("logits", "labels", "weights", "request", "client")
    return Scored(*(np.concatenate([getattr(p, n) for p in parts]) for n in names))


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
    `on_epoch` got.
    """
    device, hooks = torch.device(device), hooks or Hooks()
    world = dist.get_world_size() if dist.is_initialized() else 1
    model.to(device)
    loss = MultiTaskLoss(model.widths.actions, config.task_weights, config.uncertainty, config.listwise).to(device)
    optimiser = Optimiser(model, loss, config, total_steps)
    compiled = config.compile == "on" or (config.compile == "auto" and device.type == "cuda")
    runner: nn.Module = _Objective(torch.compile(model, dynamic=True) if compiled else model, loss)  # type: ignore[arg-type]
    if world > 1:
        runner = nn.parallel.DistributedDataParallel(runner, find_unused_parameters=True)
    half = config.precision == "bfloat16" or (config.precision == "auto" and device.type == "cuda")
    result, best, best_loss, epoch, used, done = FitResult(), None, math.inf, 0, 0, 0
    torch.manual_seed(config.seed + (dist.get_rank() if world > 1 else 0))  # drop-out differs between workers
    dropout = np.random.default_rng([config.seed, 1])
    if resume is not None:
        model.load_state_dict(resume["model"])
        loss.load_state_dict(resume["loss"])
        for part, saved in zip(optimiser.parts, resume["optimiser"], strict=True):
            part.load_state_dict(saved)
        done = resume["done"]
        if total_steps and resume["total"]:  # another number of workers makes another number of steps
            done = round(done * total_steps / resume["total"])
        epoch, used, best, best_loss = resume["epoch"], resume["used"], resume["best"], resume["best_loss"]
        result = FitResult(**resume["result"])
        torch.set_rng_state(resume["rng"])
        dropout.bit_generator.state = resume["dropout"]

    def state() -> State:
        progress = {k: getattr(result, k) for k in ("history", "best_epoch", "steps", "examples", "seconds")}
        return {
            "model": model.state_dict(),
            "loss": loss.state_dict(),
            "optimiser": [p.state_dict() for p in optimiser.parts],
            "epoch": epoch,
            "used": used,
            "done": done,
            "total": total_steps,
            "best": best,
            "best_loss": best_loss,
            "result": progress,
            "rng": torch.get_rng_state(),
            "dropout": dropout.bit_generator.state,
        }

    while epoch < config.epochs:
        model.train()
        sums, count = torch.zeros(model.widths.actions), 0
        started = time.perf_counter()
        for batch in batches(epoch, used):
            if config.client_dropout:
                hidden = dropout.random(batch.n_requests) < config.client_dropout
                batch.client = np.where(hidden, 0, batch.client)
            batch = batch.thin_negatives(config.negatives, dropout)
            inputs, targets = to_inputs(batch, device), to_targets(batch, device, config.request_balance)
            optimiser.zero()
            with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
                total, entropy = runner(inputs, targets, batch.n_requests)
            total.backward()
            optimiser.step(done)
            done += 1
            result.steps += 1
            result.examples += batch.n_candidates
            used += batch.n_requests * world
            sums, count = sums + entropy.cpu(), count + 1
            if hooks.on_step is not None:
                hooks.on_step(result.steps)
            if hooks.on_checkpoint is not None and result.steps % config.checkpoint_steps == 0:
                hooks.on_checkpoint(state, result.steps)
        result.seconds += time.perf_counter() - started
        mean_loss = (sums / max(count, 1)).tolist()
        if not all(math.isfinite(v) for v in mean_loss):
            raise ModelError(
                f"training diverged in epoch {epoch}: lower learning_rate or check the features for huge values"
            )
        row: dict[str, Any] = {"epoch": epoch, "step": result.steps, "train_loss": mean_loss, "seconds": result.seconds}
        stop = False
        if validation:
            scored = _validate(model, validation, device)
            probability = 1 / (1 + np.exp(-scored.logits.astype(np.float64)))
            each = [
                log_loss(probability[:, i], scored.labels[:, i], scored.weights[:, i])
                for i in range(model.widths.actions)
            ]
            row["validation_loss"] = each
            row["validation_auc"] = [
                weighted_auc(probability[k, i], scored.labels[k, i], scored.weights[k, i])
                for i, k in enumerate((scored.weights > 0).T)
            ]
            now = float(np.nansum(np.array(each) * loss.fixed.cpu().numpy()) / float(loss.fixed.sum()))
            if now < best_loss:
                best_loss, result.best_epoch, result.held_out = now, epoch, scored
                best = {k: v.detach().clone() for k, v in model.state_dict().items()}
            stop = bool(config.patience) and epoch - result.best_epoch >= config.patience
        result.history.append(row)
        epoch, used = (config.epochs if stop else epoch + 1), 0
        if hooks.on_epoch is not None:
            hooks.on_epoch(row, state)
    if best is not None:
        model.load_state_dict(best)
        if result.held_out is None and validation:  # resumed after the best epoch
            result.held_out = _validate(model, validation, device)
    model.eval()
    return result
