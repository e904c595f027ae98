"""How well does the encoder find a user's next item, beside what is popular? One file in, figures out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa

from cluster.errors import DataError
from cluster.progress import Progress, silent
from training.retrieval.cases import Protocol, split
from training.retrieval.encoder import EncoderConfig, parameters
from training.retrieval.fit import FitSettings, fit, scorer
from training.retrieval.popular import DAY, popular_lately
from training.retrieval.ranks import rank_all
from training.retrieval.sequences import UserSequences, read_sequences

LONGEST = 200
"""Actions that are looked back at, at most."""


def evaluate_sequence(
    table: pa.Table,
    user: str,
    item: str,
    time_column: str,
    k: int = 10,
    protocol: Protocol = "leave-one-out",
    settings: FitSettings | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Trains on what came before the cases of a protocol, and ranks all items for each of them.

    {"recall@k", "ndcg@k"}: what the user has had is left out, but for what is wanted; "…_with_seen": nothing is. Beside
    it "popular_7_days" with the same figures. Raises DataError for a table that cannot be read or asks nothing.
    """
    began = time.monotonic()
    sequences, _, _ = read_sequences(table, user, item, time_column)
    cases = split(sequences, protocol)
    if not len(cases.user):
        raise DataError(f"{protocol}: no user has an action to hold out and one before it")
    config = shape_for(cases.known)
    fitted = fit(cases.known, config, settings or FitSettings(), progress)
    found = rank_all(cases, scorer(fitted.model, cases), k).figures(k)
    popular = rank_all(cases, popular_lately(cases), k).figures(k)
    return {
        **found,
        "popular_7_days": popular,
        "seconds": time.monotonic() - began,
        "parameters": parameters(fitted.model),
        "protocol": protocol,
        "users": sequences.n_users,
        "items": sequences.n_items,
        "interactions": len(sequences.items),
        "cases": len(cases.user),
        "clock": config.of_time,
        "history": fitted.history,
    }


def shape_for(known: UserSequences) -> EncoderConfig:
    """As many actions back as nearly all users have, up to LONGEST; time only where there is a clock."""
    length = int(np.clip(np.quantile(known.lengths, 0.95), 20, LONGEST))
    span = int(known.seconds.max() - known.seconds.min())
    return EncoderConfig(known.n_items, length=length, of_time=span > DAY)
