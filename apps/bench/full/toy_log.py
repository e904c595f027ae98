"""A seeded toy log for the full ranker's tests and benches: requests whose actions follow a known rule. No Ray, no
torch.
"""

import numpy as np
import pyarrow as pa

from cluster.hashing import hash_ids
from training.ranker.batch import RankerSchema

ACTIONS = ("save", "click", "closeup", "long_click", "hide")
CLIENTS = ("homefeed", "related_pins", "search")


def toy_schema(shared: int = 8, candidate: int = 24, topics: int = 8, length: int = 16) -> RankerSchema:
    """A schema with so many dense columns; candidate column 1 is missing at random, column 2 is heavy-tailed."""
    return RankerSchema(
        shared=tuple(f"user_{i}" for i in range(shared)),
        candidate=tuple(f"pin_{i}" for i in range(candidate)),
        actions=ACTIONS,
        clients=CLIENTS,
        n_topics=topics,
        sequence_length=length,
        schema_hash="toy",
    )


def nested(flat: np.ndarray, sizes: np.ndarray) -> pa.ListArray:
    """A list column from its values end to end and the length of each row."""
    return pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32), pa.array(flat))


def toy_table(
    schema: RankerSchema, requests: int, candidates: int, seed: int = 0, n_pins: int = 5000, position_bias: float = 0.0
) -> pa.Table:
    """One row per request. The chance of an action grows with the match of the pin's topics and those the user
    acted on, with a pin column that counts double in `search`, and falls with the position shown by
    `position_bias` per doubling.
    """
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(0)  # the world's pins are the same for every seed
    b = requests
    c = candidates
    t = max(schema.n_topics, 1)
    length = schema.sequence_length
    topics = fixed.dirichlet(np.full(t, 0.3), n_pins).astype(np.float32)
    taste = rng.dirichlet(np.full(t, 0.3), b).astype(np.float32)
    client = rng.integers(0, len(schema.clients), b)
    pins = rng.integers(0, n_pins, (b, c))
    liked = np.argmax(
        np.log(taste + 1e-3)[:, None, :] + rng.gumbel(size=(b, max(length, 1), t)).astype(np.float32), axis=2
    )
    by_topic = [np.flatnonzero(topics.argmax(1) == k) for k in range(t)]
    acted = np.zeros((b, length), np.int64)
    for k in range(t):
        where = np.argwhere(liked[:, :length] == k)
        pool = by_topic[k] if len(by_topic[k]) else np.arange(n_pins)
        if length and len(where):
            acted[where[:, 0], where[:, 1]] = pool[rng.integers(0, len(pool), len(where))]
    shared = rng.normal(size=(b, len(schema.shared))).astype(np.float32)
    dense = rng.normal(size=(b, c, len(schema.candidate))).astype(np.float32)
    match = np.einsum("bt,bct->bc", taste, topics[pins])
    strength = np.array([2.0 if name == "search" else 1.0 for name in schema.clients])[client][:, None]
    latent = 5 * match + 0.7 * strength * dense[:, :, 0] + 0.5 * shared[:, :1] * dense[:, :, 3 % dense.shape[2]]
    position = np.tile(np.arange(c), (b, 1))
    latent -= position_bias * np.log2(position + 1)
    base = np.array([-4.0, -3.0, -3.5, -4.5, -2.0], np.float32)[: len(schema.actions)]
    direction = np.array([1.0, 0.8, 0.6, 1.2, -0.8], np.float32)[: len(schema.actions)]
    chance = 1 / (1 + np.exp(-(base + direction * latent[:, :, None])))
    labels = (rng.random(chance.shape) < chance).astype(np.float32)
    if dense.shape[2] > 2:
        dense[:, :, 1][rng.random((b, c)) < 0.3] = np.nan
        dense[:, :, 2] = np.exp(3 * dense[:, :, 2])
    ids, names = hash_ids(np.arange(n_pins)), np.array(schema.actions)
    return pa.table(
        {
            "client": pa.array(np.array(schema.clients)[client]),
            "shared": nested(shared.ravel(), np.full(b, shared.shape[1])),
            "candidates": nested(dense.ravel(), np.full(b, c * dense.shape[2])),
            "pin_hash": nested(ids[pins].ravel(), np.full(b, c)),
            "vectors": nested(topics[pins][:, :, : schema.n_topics].ravel(), np.full(b, c * schema.n_topics)),
            "position": nested(position.astype(np.int16).ravel(), np.full(b, c)),
            "labels": nested(labels.ravel(), np.full(b, c * len(schema.actions))),
            "weights": nested(np.ones(b * c, np.float32), np.full(b, c)),
            "sequence_pin_hash": nested(ids[acted].ravel(), np.full(b, length)),
            "sequence_action": nested(names[rng.integers(0, 4, b * length)], np.full(b, length)),
            "sequence_client": nested(
                np.array(schema.clients)[rng.integers(0, len(schema.clients), b * length)], np.full(b, length)
            ),
            "sequence_age": nested((rng.exponential(48, b * length)).astype(np.float32), np.full(b, length)),
            "sequence_vectors": nested(
                topics[acted][:, :, : schema.n_topics].ravel(), np.full(b, length * schema.n_topics)
            ),
        }
    )
