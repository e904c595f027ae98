"""Random inputs of the data contract for tests: tables in contract columns, and a project folder that holds them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.data.schema import TIMESTAMP
from cluster.settings.project import DEFAULT_ACTIONS, DataSettings, FeatureSettings, GraphSettings, Project, Source

FEATURES = FeatureSettings(
    pin_numeric=("price",),
    pin_categorical=("shop",),
    user_numeric=("age",),
    user_categorical=("job",),
    pin_vector_width=3,
    sequence_length=4,
    history_length=8,
    history_actions=DEFAULT_ACTIONS,
)
YEAR_US = 365 * 86_400 * 10**6
START_US = 1_600_000_000 * 10**6


def ids_of(numbers: Any, kind: str) -> pa.Array:
    """Numbers as ids of a project: spread out integers, or strings with letters beyond ASCII."""
    numbers = np.asarray(numbers, np.int64)
    return pa.array(numbers * 7 - 50) if kind == "int64" else pa.array([f"é{n:x}/{n}" for n in numbers], pa.string())


def times_of(us: Any) -> pa.Array:
    """Microseconds since 1970 as timestamps of the contract."""
    return pa.array(np.asarray(us, np.int64)).cast(TIMESTAMP)


def random_tables(
    kind: str = "int64", seed: int = 0, n_edges: int = 2000, n_boards: int = 100, n_pins: int = 300,
    n_events: int = 500, n_cold: int = 12,
) -> dict[str, pa.Table]:  # fmt: skip
    """All four inputs: repeated edges, edges of unknown pins, pins without topics, locale or vector, unknown users.

    The last `n_cold` pins have no edge; they were created one after the other in the year of the edges.
    """
    rng = np.random.default_rng(seed)
    boards = np.minimum(rng.geometric(5 / n_boards, n_edges) - 1, n_boards - 1)
    pins = rng.integers(0, n_pins, n_edges)
    listed = n_pins * 5 // 6
    cold = np.arange(n_pins, n_pins + n_cold)
    created = START_US + np.arange(n_cold) * (YEAR_US // max(n_cold, 1))
    return {
        "edges": pa.table(
            {
                "board_id": ids_of(boards, kind),
                "pin_id": ids_of(pins, kind),
                "saved_at": times_of(START_US + rng.integers(0, YEAR_US, n_edges)),
            }
        ),
        "pins": pa.concat_tables(
            [
                _pins(ids_of(rng.permutation(listed), kind), START_US - rng.integers(0, YEAR_US, listed), rng),
                _pins(ids_of(cold, kind), created, np.random.default_rng(seed + 1)),
            ]
        ),
        "users": pa.table(
            {
                "user_id": ids_of(range(20), kind),
                "locale": pa.array([("de", "fr")[i % 2] for i in range(20)]),
                "interests": pa.array([["t1", "nothing"]] * 20),
                "age": pa.array(range(20), pa.int32()),
                "job": pa.array([("x", None)[i % 2] for i in range(20)], pa.string()),
            }
        ),
        "events": pa.table(
            {
                "user_id": ids_of(rng.integers(10, 40, n_events), kind),
                "pin_id": ids_of(rng.integers(0, n_pins, n_events), kind),
                "action": pa.array(rng.choice(["save", "click", "hide"], n_events)),
                "occurred_at": times_of(START_US + rng.permutation(n_events) * (YEAR_US // n_events)),
            }
        ),
    }


def _pins(ids: pa.Array, created_us: np.ndarray, rng: np.random.Generator) -> pa.Table:
    n = len(ids)
    return pa.table(
        {
            "pin_id": ids,
            "topics": pa.array([[f"t{i % 7}", f"t{i % 3}"] if i % 5 else None for i in range(n)]),
            "locale": pa.array([("de", "us", None)[i % 3] for i in range(n)], pa.string()),
            "created_at": times_of(created_us),
            "vector": pa.array([rng.normal(size=3).tolist() if i % 4 else None for i in range(n)]),
            "price": pa.array(rng.random(n), pa.float32()),
            "shop": pa.array([("a", "b", None)[i % 3] for i in range(n)], pa.string()),
        }
    )


def write_project(
    folder: Path, tables: dict[str, pa.Table], kind: str = "int64", features: FeatureSettings | None = None,
    graph: GraphSettings | None = None, files: int = 2, row_group: int = 700,
    columns: dict[str, dict[str, str]] | None = None,
) -> Project:  # fmt: skip
    """A project whose inputs are `tables`, each written as a folder of Parquet files."""
    for name, table in tables.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        size = -(-len(table) // files) or 1
        for at in range(files):
            pq.write_table(table.slice(at * size, size), folder / name / f"part-{at}.parquet", row_group_size=row_group)
    sources = {name: Source(path=str(folder / name), columns=(columns or {}).get(name, {})) for name in tables}
    settings = {"features": features or FeatureSettings(), "graph": graph or GraphSettings(partitions=3)}
    return Project(home=str(folder / "home"), ids=kind, data=DataSettings(**sources), **settings)
