"""MovieLens files as a pinfunnel project: what a new user writes for their own data, and nothing more.

Users are boards, liked movies (rating >= 4) are their pins. Rating is action: 5 save, 4 click, 3 closeup, else hide.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from cluster.errors import DataError

LIKED = 4.0
ACTIONS = ("hide", "closeup", "click", "save")
"""Actions of ratings up to 2, 3, 4 and 5."""


def prepare(work: Path, ratings: Path, items: Path | None, users: Path | None, seed: int) -> Path:
    """Write edges, events and `pinfunnel.yaml` into `work`; returns its path. Items and users stay where they are."""
    table = pq.read_table(ratings)
    missing = {"user_id", "item_id", "rating", "rated_at"} - set(table.column_names)
    if missing:
        raise DataError(f"{ratings}: column {sorted(missing)[0]} is missing; need user_id, item_id, rating, rated_at")
    text = any(not pa.types.is_integer(table.schema.field(c).type) for c in ("user_id", "item_id"))
    kind = pa.string() if text else pa.int64()
    user, item = table["user_id"].cast(kind), table["item_id"].cast(kind)
    rating = np.asarray(table["rating"].to_numpy(zero_copy_only=False), np.float64)
    liked = pa.array(rating >= LIKED)
    _write(work / "edges", {"board_id": user.filter(liked), "pin_id": item.filter(liked),
                            "saved_at": table["rated_at"].filter(liked)})  # fmt: skip
    action = np.array(ACTIONS, object)[np.searchsorted([2.0, 3.0, 4.0], rating)]
    _write(work / "events", {"user_id": user, "pin_id": item, "action": pa.array(action.tolist()),
                             "occurred_at": table["rated_at"]})  # fmt: skip
    clients = work / "clients"
    clients.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).parent / "clients" / "movies.yaml", clients)
    project: dict[str, Any] = {
        "home": "home",
        "ids": "string" if text else "int64",
        "actions": ["save", "click", "closeup", "hide"],
        "clients": "clients",
        "attribution_hours": 24.0,
        "data": {"edges": {"path": "edges"}, "events": {"path": "events"}},
        "features": {"max_topics": 32, "sequence_length": 32},
        "gbdt": {"seed": seed},
        "ranker": {"seed": seed},
    }
    if items is not None:
        project["data"]["pins"] = {"path": str(items.resolve()), "columns": {"pin_id": "item_id", "topics": "genres"}}
        project["features"]["pin_numeric"] = _present(items, ("release_year",))
    if users is not None:
        project["data"]["users"] = {"path": str(users.resolve())}
        project["features"]["user_numeric"] = _present(users, ("age",))
        project["features"]["user_categorical"] = _present(users, ("gender", "occupation"))
    path = work / "pinfunnel.yaml"
    path.write_text(yaml.safe_dump(project, sort_keys=False))
    return path


def _present(file: Path, names: tuple[str, ...]) -> list[str]:
    """Those of `names` that the file has."""
    schema = pq.read_schema(file)
    return [name for name in names if name in schema.names]


def _write(folder: Path, columns: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "part-0.parquet")
