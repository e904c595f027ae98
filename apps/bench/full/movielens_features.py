"""MovieLens as arrays, and the features of a request from the ratings before it. Knows no requests and no model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.hashing import hash_ids

SHARED = ("age", "male", "log_history", "mean_stars", "std_stars", "liked_share", "session_hours")
CANDIDATE = (
    "log_count",
    "mean",
    "liked",
    "year",
    "n_genres",
    "taste",
    "recent",
    "genre_mean",
    "cf_sum",
    "cf_mean",
    "cf_max",
    "cf_stars",
    "cf_last",
)


@dataclass(frozen=True)
class Ratings:
    """Ratings in time order: index of film and user, stars, hours since 1970."""

    item: np.ndarray
    user: np.ndarray
    stars: np.ndarray
    hours: np.ndarray


@dataclass(frozen=True)
class Films:
    """What is known of films: hashed id, genres as flags and as a unit vector, year."""

    hashed: np.ndarray
    topic: np.ndarray
    unit: np.ndarray
    year: np.ndarray


@dataclass(frozen=True)
class Raters:
    """What is known of the users who rated."""

    age: np.ndarray
    male: np.ndarray
    job: np.ndarray


class Past:
    """What the ratings so far tell of films and users."""

    def __init__(self, ratings: Ratings, n_items: int, n_users: int) -> None:
        self._ratings = ratings
        self.count = np.ones(n_items)
        self.total = np.full(n_items, 3.5)
        self.liked = np.full(n_items, 0.5)
        self.rated = np.zeros((n_users, n_items), np.bool_)
        self.similar = np.zeros((n_items, n_items), np.float32)
        self.history: list[list[int]] = [[] for _ in range(n_users)]  # ratings of each user

    def add(self, i: int) -> None:
        """Rating i has happened."""
        user = int(self._ratings.user[i])
        item = self._ratings.item[i]
        stars = self._ratings.stars[i]
        self.history[user].append(i)
        self.rated[user, item] = True
        self.count[item] += 1
        self.total[item] += stars
        self.liked[item] += stars >= 4

    def renew_similar(self) -> None:
        """Item-to-item cosine of what is known so far, shrunk towards 0 for films with few ratings."""
        rated = self.rated.astype(np.float32)
        norm = np.sqrt(np.maximum(rated.sum(0), 1))
        self.similar = (rated.T @ rated) / (norm[:, None] * norm[None, :] + 10)


def read_movielens(folder: Path) -> tuple[Ratings, Films, Raters]:
    """The three files as arrays; films and users in the order of their ids."""
    ratings = pq.read_table(folder / "ratings.parquet").sort_by([("rated_at", "ascending"), ("user_id", "ascending")])
    items = pq.read_table(folder / "items.parquet").sort_by("item_id")
    users = pq.read_table(folder / "users.parquet").sort_by("user_id")
    genres = [list(row or []) for row in items["genres"].to_pylist()]
    names = sorted({name for row in genres for name in row})
    topic = np.array([[name in row for name in names] for row in genres], np.float32)
    return (
        Ratings(
            item=np.searchsorted(items["item_id"].to_numpy(), ratings["item_id"].to_numpy()),
            user=np.searchsorted(users["user_id"].to_numpy(), ratings["user_id"].to_numpy()),
            stars=ratings["rating"].to_numpy(),
            hours=ratings["rated_at"].cast(pa.timestamp("s", "UTC")).cast(pa.int64()).to_numpy() / 3600.0,
        ),
        Films(
            hashed=hash_ids(items["item_id"].to_numpy()),
            topic=topic,
            unit=topic / np.maximum(np.linalg.norm(topic, axis=1, keepdims=True), 1),
            year=items["release_year"].to_numpy().astype(np.float32),
        ),
        Raters(
            age=users["age"].to_numpy().astype(np.float32),
            male=np.array([gender == "M" for gender in users["gender"].to_pylist()], np.float32),
            job=hash_ids(users["occupation"].combine_chunks()),
        ),
    )


def shared_features(ratings: Ratings, users: Raters, history: list[int], user: int) -> np.ndarray:
    """float32[SHARED] of a user with these ratings so far."""
    got = ratings.stars[history]
    stamps = ratings.hours[history]
    values = [
        users.age[user],
        users.male[user],
        np.log(len(history)),
        got.mean(),
        got.std(),
        (got >= 4).mean(),
        stamps[-1] - stamps[0],
    ]
    return np.array(values, np.float32)


def candidate_features(
    films: Films, past: Past, candidates: np.ndarray, mine: np.ndarray, got: np.ndarray
) -> np.ndarray:
    """float32[n, CANDIDATE] of films `candidates` for a user who rated the films `mine` with `got` stars."""
    c = candidates
    taste = ((got - 3.0)[:, None] * films.unit[mine]).sum(0)
    recent = films.unit[mine[-5:]].mean(0)
    mean_of_genre = (films.topic[mine] * got[:, None]).sum(0) / np.maximum(films.topic[mine].sum(0), 1)
    near = past.similar[np.ix_(c, mine)]
    n_genres = films.topic[c].sum(1)
    columns = {
        "log_count": np.log(past.count[c]),
        "mean": past.total[c] / past.count[c],
        "liked": past.liked[c] / past.count[c],
        "year": films.year[c],
        "n_genres": n_genres,
        "taste": films.unit[c] @ taste,
        "recent": films.unit[c] @ recent,
        "genre_mean": (films.topic[c] * mean_of_genre).sum(1) / np.maximum(n_genres, 1),
        "cf_sum": near.sum(1),
        "cf_mean": near.mean(1),
        "cf_max": near.max(1),
        "cf_stars": (near * (got - 3.0)).sum(1),
        "cf_last": near[:, -5:].mean(1),
    }
    return np.column_stack([columns[name] for name in CANDIDATE]).astype(np.float32)
