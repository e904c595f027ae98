"""Real requests for comparing rankers: MovieLens-shaped ratings replayed in time order. Knows nothing of any
model.

A request is a moment in a user's history: the next ten films they rate are candidates with labels (click =
rated, save = 4 or more, long_click = 5, hide = 2 or less), beside films drawn by popularity that they have not
rated so far. Every feature uses only ratings before the request. The last fifth of the time is the test, the
tenth before it is for early stopping.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from apps.bench.full.toy_log import nested
from cluster.hashing import hash_ids
from training.ranker.batch import RankerSchema

ACTIONS = ("save", "click", "long_click", "hide")
BLOCK, FIRST, LENGTH, CHUNKS = 10, 5, 30, 24


@dataclass(frozen=True)
class Replay:
    """Three tables of one row per request (docs/ranker.md), in time order, and their schema."""

    schema: RankerSchema
    train: pa.Table
    validation: pa.Table
    test: pa.Table


def replay(folder: Path, negatives: int = 40, seed: int = 0) -> Replay:
    """Build the requests from `ratings.parquet`, `items.parquet`, `users.parquet` in `folder`."""
    rng = np.random.default_rng(seed)
    ratings = pq.read_table(folder / "ratings.parquet").sort_by([("rated_at", "ascending"), ("user_id", "ascending")])
    items, users = pq.read_table(folder / "items.parquet"), pq.read_table(folder / "users.parquet")
    item_ids, user_ids = items["item_id"].to_numpy(), users["user_id"].to_numpy()
    item = np.searchsorted(np.sort(item_ids), ratings["item_id"].to_numpy())
    user = np.searchsorted(np.sort(user_ids), ratings["user_id"].to_numpy())
    stars = ratings["rating"].to_numpy()
    hours = ratings["rated_at"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()).to_numpy() / 3600.0
    order = np.argsort(item_ids)
    genres = [list(g or []) for g in items["genres"].take(pa.array(order)).to_pylist()]
    known = sorted({g for row in genres for g in row})
    topic = np.array([[g in row for g in known] for row in genres], np.float32)
    unit = topic / np.maximum(np.linalg.norm(topic, axis=1, keepdims=True), 1)
    year = items["release_year"].take(pa.array(order)).to_numpy(zero_copy_only=False).astype(np.float32)
    by_user = users.take(pa.array(np.argsort(user_ids)))
    age = by_user["age"].to_numpy().astype(np.float32)
    male = np.array([g == "M" for g in by_user["gender"].to_pylist()], np.float32)
    job = hash_ids(by_user["occupation"].combine_chunks())
    hashed = hash_ids(np.sort(item_ids))
    n_items, n_users = len(item_ids), len(user_ids)

    count, total, liked = np.ones(n_items), np.full(n_items, 3.5), np.full(n_items, 0.5)
    seen = np.zeros((n_users, n_items), np.float32)  # 1 = rated below 4, 2 = 4 and more
    history: list[list[int]] = [[] for _ in range(n_users)]
    future: list[np.ndarray] = [np.flatnonzero(user == u) for u in range(n_users)]
    done = np.zeros(n_users, np.int64)
    edges = np.linspace(0, len(item), CHUNKS + 1).astype(int)
    similar = np.zeros((n_items, n_items), np.float32)
    rows: list[dict[str, Any]] = []
    for i in range(len(item)):
        if i in edges:  # item-to-item cosine, renewed a few times from what is known so far
            have = (seen > 0).astype(np.float32)
            norm = np.sqrt(np.maximum(have.sum(0), 1))
            similar = (have.T @ have) / (norm[:, None] * norm[None, :] + 10)
        u = int(user[i])
        past = history[u]
        coming = future[u][done[u] : done[u] + BLOCK]
        if len(past) >= FIRST and (len(past) - FIRST) % BLOCK == 0 and len(coming) == BLOCK:
            weight = np.where(seen[u] > 0, 0.0, np.sqrt(count))
            weight[item[coming]] = 0
            others = rng.choice(n_items, negatives, replace=False, p=weight / weight.sum())
            shown = np.concatenate([item[coming], others])
            shuffle = rng.permutation(len(shown))
            star = np.concatenate([stars[coming], np.zeros(negatives, np.float32)])[shuffle]
            c = shown[shuffle]
            last = np.array(past[::-1][:LENGTH])
            mine, got = item[past], stars[past]
            taste = ((got - 3.0)[:, None] * unit[mine]).sum(0)
            recent = unit[mine[-5:]].mean(0)
            near = similar[np.ix_(c, mine)]
            seen_genres = topic[mine].sum(0)
            rated_like = (topic[mine] * got[:, None]).sum(0) / np.maximum(seen_genres, 1)
            dense = np.column_stack(
                [
                    np.log(count[c]), total[c] / count[c], liked[c] / count[c], year[c], topic[c].sum(1),
                    unit[c] @ taste, unit[c] @ recent, (topic[c] * rated_like).sum(1) / np.maximum(topic[c].sum(1), 1),
                    near.sum(1), near.mean(1), near.max(1), (near * (got - 3.0)).sum(1), near[:, -5:].mean(1),
                ]
            ).astype(np.float32)  # fmt: skip
            stamps = hours[past]
            shared = [
                age[u],
                male[u],
                np.log(len(past)),
                got.mean(),
                got.std(),
                (got >= 4).mean(),
                stamps[-1] - stamps[0],
            ]
            labels = np.column_stack([star >= 4, star > 0, star == 5, (star > 0) & (star <= 2)])
            rows.append(
                {
                    "time": i, "shared": np.array(shared, np.float32), "category": job[u], "c": c, "dense": dense,
                    "labels": labels.astype(np.float32), "last": item[last], "star": stars[last],
                    "age": hours[i] - hours[last],
                }
            )  # fmt: skip
        history[u].append(i)
        done[u] += 1
        seen[u, item[i]] = 2 if stars[i] >= 4 else 1
        count[item[i]] += 1
        total[item[i]] += stars[i]
        liked[item[i]] += stars[i] >= 4
    names = ("log_count", "mean", "liked", "year", "n_genres", "taste", "recent", "genre_mean",
             "cf_sum", "cf_mean", "cf_max", "cf_stars", "cf_last")  # fmt: skip
    schema = RankerSchema(
        shared=("age", "male", "log_history", "mean_stars", "std_stars", "liked_share", "session_hours"),
        candidate=names, actions=ACTIONS, clients=("homefeed",), n_topics=len(known), sequence_length=LENGTH,
        schema_hash="movielens", categorical=(("occupation", "shared"),),
    )  # fmt: skip
    cuts = [int(0.7 * len(item)), int(0.8 * len(item))]
    parts = [
        _table([r for r in rows if low <= r["time"] < high], hashed, topic)
        for low, high in ((0, cuts[0]), (cuts[0], cuts[1]), (cuts[1], len(item)))
    ]
    return Replay(schema, *parts)


def _table(rows: list[dict[str, Any]], hashed: np.ndarray, topic: np.ndarray) -> pa.Table:
    sizes = np.array([len(r["c"]) for r in rows])
    past = np.array([len(r["last"]) for r in rows])
    star = np.concatenate([r["star"] for r in rows])
    action = np.where(star == 5, "long_click", np.where(star >= 4, "save", np.where(star <= 2, "hide", "click")))

    def column(name: str) -> np.ndarray:
        return np.concatenate([np.asarray(r[name]).ravel() for r in rows])

    shown, last, width = column("c"), column("last"), topic.shape[1]
    return pa.table(
        {
            "client": pa.array(["homefeed"] * len(rows)),
            "shared": nested(column("shared"), np.full(len(rows), len(rows[0]["shared"]))),
            "shared_category": nested(np.array([r["category"] for r in rows]), np.ones(len(rows), int)),
            "candidates": nested(column("dense"), sizes * rows[0]["dense"].shape[1]),
            "pin_hash": nested(hashed[shown], sizes),
            "vectors": nested(topic[shown].ravel(), sizes * width),
            "labels": nested(column("labels"), sizes * len(ACTIONS)),
            "sequence_pin_hash": nested(hashed[last], past),
            "sequence_action": nested(action, past),
            "sequence_client": nested(np.full(len(last), "homefeed"), past),
            "sequence_age": nested(column("age").astype(np.float32), past),
            "sequence_vectors": nested(topic[last].ravel(), past * width),
        }
    )
