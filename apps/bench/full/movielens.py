"""Real requests for comparing full rankers: MovieLens replayed in time order. Knows nothing of any model.

A request is a moment in a user's history: the next ten films they rate are candidates with labels (click =
rated, save = 4 or more, long_click = 5, hide = 2 or less), beside films drawn by popularity that they have not
rated so far. Every feature uses only ratings before the request. The last fifth of the time is the test, the
tenth before it is for early stopping.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from apps.bench.full.movielens_features import (
    CANDIDATE,
    SHARED,
    Films,
    Past,
    Raters,
    Ratings,
    candidate_features,
    read_movielens,
    shared_features,
)
from apps.bench.full.toy_log import nested
from training.ranker.batch import RankerSchema

ACTIONS = ("save", "click", "long_click", "hide")
BLOCK = 10  # films of a request that the user rates next
FIRST = 5  # ratings before a user's first request
LENGTH = 30  # of the sequence
RENEWALS = 24  # how often the similarities of films are counted anew
TRAIN, VALIDATION = 0.7, 0.8  # shares of the ratings at which each part ends


@dataclass(frozen=True)
class RatingReplay:
    """Three tables of one row per request (docs/ranker.md), in time order, and their schema."""

    schema: RankerSchema
    train: pa.Table
    validation: pa.Table
    test: pa.Table


def replay(folder: Path, negatives: int = 40, seed: int = 0) -> RatingReplay:
    """Build the requests from `ratings.parquet`, `items.parquet`, `users.parquet` in `folder`."""
    rng = np.random.default_rng(seed)
    ratings, films, users = read_movielens(folder)
    n = len(ratings.item)
    past = Past(ratings, len(films.hashed), len(users.age))
    ahead = [np.flatnonzero(ratings.user == user) for user in range(len(users.age))]
    renewals = set(np.linspace(0, n, RENEWALS + 1).astype(int).tolist())
    rows: list[dict[str, Any]] = []
    for i in range(n):
        if i in renewals:
            past.renew_similar()
        user = int(ratings.user[i])
        done = len(past.history[user])
        coming = ahead[user][done : done + BLOCK]
        if done >= FIRST and (done - FIRST) % BLOCK == 0 and len(coming) == BLOCK:
            candidates, stars = _candidates(ratings, past, user, coming, negatives, rng)
            rows.append(_request(i, ratings, films, users, past, candidates, stars))
        past.add(i)
    cuts = [0, int(TRAIN * n), int(VALIDATION * n), n]
    parts = [[row for row in rows if low <= row["time"] < high] for low, high in pairwise(cuts)]
    return RatingReplay(_schema(films), *(_table(part, films) for part in parts))


def _schema(films: Films) -> RankerSchema:
    return RankerSchema(
        shared=SHARED,
        candidate=CANDIDATE,
        actions=ACTIONS,
        clients=("homefeed",),
        n_topics=films.topic.shape[1],
        sequence_length=LENGTH,
        schema_hash="movielens",
        categorical=(("occupation", "shared"),),
    )


def _candidates(
    ratings: Ratings, past: Past, user: int, coming: np.ndarray, negatives: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Films of a request in random order, with the stars that the user gives them next: 0 for the films drawn."""
    weight = np.where(past.rated[user], 0.0, np.sqrt(past.count))
    weight[ratings.item[coming]] = 0
    others = rng.choice(len(weight), negatives, replace=False, p=weight / weight.sum())
    shown = np.concatenate([ratings.item[coming], others])
    stars = np.concatenate([ratings.stars[coming], np.zeros(negatives, np.float32)])
    shuffle = rng.permutation(len(shown))
    return shown[shuffle], stars[shuffle]


def _request(
    i: int, ratings: Ratings, films: Films, users: Raters, past: Past, candidates: np.ndarray, stars: np.ndarray
) -> dict[str, Any]:
    """The request at rating i: everything that its row of the table takes."""
    user = int(ratings.user[i])
    history = past.history[user]
    last = np.array(history[::-1][:LENGTH])
    labels = np.column_stack([stars >= 4, stars > 0, stars == 5, (stars > 0) & (stars <= 2)])
    return {
        "time": i,
        "shared": shared_features(ratings, users, history, user),
        "category": users.job[user],
        "candidates": candidates,
        "dense": candidate_features(films, past, candidates, ratings.item[history], ratings.stars[history]),
        "labels": labels.astype(np.float32),
        "last": ratings.item[last],
        "stars": ratings.stars[last],
        "age": ratings.hours[i] - ratings.hours[last],
    }


def _table(rows: list[dict[str, Any]], films: Films) -> pa.Table:
    """One row per request, as docs/ranker.md describes them."""

    def column(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(row[name]).ravel() for row in rows])

    sizes = np.array([len(row["candidates"]) for row in rows])
    lengths = np.array([len(row["last"]) for row in rows])
    shown = column("candidates")
    last = column("last")
    stars = column("stars")
    action = np.where(stars == 5, "long_click", np.where(stars >= 4, "save", np.where(stars <= 2, "hide", "click")))
    width = films.topic.shape[1]
    return pa.table(
        {
            "client": pa.array(["homefeed"] * len(rows)),
            "shared": nested(column("shared"), np.full(len(rows), len(SHARED))),
            "shared_category": nested(column("category"), np.ones(len(rows), int)),
            "candidates": nested(column("dense"), sizes * len(CANDIDATE)),
            "pin_hash": nested(films.hashed[shown], sizes),
            "vectors": nested(films.topic[shown].ravel(), sizes * width),
            "labels": nested(column("labels"), sizes * len(ACTIONS)),
            "sequence_pin_hash": nested(films.hashed[last], lengths),
            "sequence_action": nested(action, lengths),
            "sequence_client": nested(np.full(len(last), "homefeed"), lengths),
            "sequence_age": nested(column("age").astype(np.float32), lengths),
            "sequence_vectors": nested(films.topic[last].ravel(), lengths * width),
        }
    )
