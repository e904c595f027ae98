"""One training job of the full ranker: what every worker is given, how its model starts and how its result is
finished.

Used alike by the in-process run and by Ray Train workers (trainer.py). Imports no Ray: a Ray Dataset is only
handed through.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import torch

from training.metrics.by_action import figures_by_action
from training.ranker.batch import RankerSchema, RequestBatch
from training.ranker.calibration import Calibration, fit_calibration
from training.ranker.config import FitConfig, ModelConfig
from training.ranker.evaluate import HeldOutScores
from training.ranker.fit import FitResult
from training.ranker.inputs import to_targets
from training.ranker.model import FullRanker
from training.ranker.scorer import FullScorer
from training.ranker.start import learn_inputs, start_from_score

SAMPLE_REQUESTS = 1024  # rows that set the input statistics
VALIDATION_REQUESTS = 20_000  # held-out rows kept in memory


@dataclass(frozen=True)
class Job:
    """What every worker needs besides the data."""

    schema: RankerSchema
    model: ModelConfig
    fit: FitConfig
    sample: pa.Table
    validation: pa.Table | None
    warm: Mapping[str, torch.Tensor] | None
    paths: tuple[str, ...] | None  # None: the rows come as a Ray Data shard
    n_requests: int | None
    on_step: Callable[[int], None] | None


def finish(job: Job, model: FullRanker, result: FitResult) -> FullScorer:
    """Calibrate on the held-out requests and gather the metrics into a scorer.

    The reported figures are honest: they come from a calibration fitted on the other half of the held-out
    requests. The saved calibration is then fitted on all of them.
    """
    schema = job.schema
    calibration = Calibration.identity(len(schema.clients), len(schema.actions))
    rate = result.examples / max(result.seconds, 1e-9)
    metrics: dict[str, Any] = {
        "steps": result.steps,
        "epochs": len(result.history),
        "best_epoch": result.best_epoch,
        "examples": result.examples,
        "seconds": result.seconds,
        "examples_per_second": rate,
        "resumed": result.resumed,
    }
    held = result.held_out
    if held is not None:
        clients = len(schema.clients)

        def fitted(part: HeldOutScores, rows: Any) -> Calibration:
            return fit_calibration(part.logits[rows], part.labels[rows], part.weights[rows], part.client[rows], clients)

        half = held.request % 2 == 0
        raw = Calibration.identity(clients, len(schema.actions)).apply(held.logits, held.client)
        metrics["validation"] = figures_by_action(
            raw, held.labels, held.weights, held.request, held.client, schema.actions, schema.clients
        )
        if job.fit.calibrate and half.any() and not half.all():
            fair = raw.copy()
            for part, other in ((half, ~half), (~half, half)):
                fair[other] = fitted(held, part).apply(held.logits[other], held.client[other])
            metrics["calibrated"] = figures_by_action(
                fair, held.labels, held.weights, held.request, held.client, schema.actions, schema.clients
            )
            calibration = fitted(held, np.arange(len(held.logits)))
    for action in np.flatnonzero(np.array(job.fit.task_weights) == 0.0):  # never learnt: its logits say nothing
        calibration = calibration.at_base_rate(int(action), *_base_rate(job, held, int(action)))
    return FullScorer(schema, job.model, model.cpu(), calibration, metrics, result.history)


def _base_rate(job: Job, held: HeldOutScores | None, action: int) -> tuple[float, float]:
    """Weight of the examples that have an action, and of all, held out; of the sample of the training rows without."""
    if held is not None:
        labels, weights = held.labels[:, action], held.weights[:, action]
    else:
        targets = to_targets(RequestBatch.from_table(job.sample, job.schema))
        labels, weights = (part[:, action].numpy() for part in (targets.labels, targets.weights))
    return float(weights @ labels), float(weights.sum())


def build_model(job: Job, sparse: bool) -> FullRanker:
    """The network before its first step: in the lightweight order, or with the incumbent's weights when warm."""
    torch.manual_seed(job.fit.seed)
    model = FullRanker(job.schema.widths, job.model, sparse=sparse)
    sample = RequestBatch.from_table(job.sample, job.schema)
    learn_inputs(model, [sample] if sample.n_requests else [])
    if job.warm is None:
        start_from_score(model, job.schema, sample, job.fit)
    else:
        model.load_state_dict(dict(job.warm))  # also the incumbent's input statistics: its weights expect them
    return model


def held_out_batches(job: Job) -> list[RequestBatch]:
    """The validation requests in batches; none when the job has none."""
    if job.validation is None or not job.validation.num_rows:
        return []
    size = max(job.fit.batch_requests, 32)
    return [
        RequestBatch.from_table(job.validation.slice(i, size), job.schema)
        for i in range(0, job.validation.num_rows, size)
    ]


def total_steps(job: Job, world: int) -> int | None:
    """Optimiser steps of all epochs with `world` workers; None when the number of requests is unknown."""
    if job.n_requests is None:
        return None
    return job.fit.epochs * max(1, -(-job.n_requests // (job.fit.batch_requests * world)))


def arrow_tables(source: Any, job: Job) -> Any:
    """Arrow tables from a Ray Dataset or one worker's shard of it."""
    return source.iter_batches(batch_size=job.fit.batch_requests, batch_format="pyarrow", prefetch_batches=4)


def read_held_out(validation: Any) -> pa.Table | None:
    """The validation requests as one table, from a table, paths or a Ray Dataset; None without any."""
    if validation is None or isinstance(validation, pa.Table):
        return validation
    if isinstance(validation, Sequence):
        paths = list(validation)
        if not paths:
            return None
        return ds.dataset([str(p) for p in paths], format="parquet").head(VALIDATION_REQUESTS)
    return collect(validation, VALIDATION_REQUESTS)


def collect(dataset: Any, rows: int) -> pa.Table:
    """The first rows of a Ray Dataset in this process."""
    tables = list(dataset.limit(rows).iter_batches(batch_size=1024, batch_format="pyarrow"))
    return pa.concat_tables(tables) if tables else pa.table({"client": pa.array([], pa.string())})
