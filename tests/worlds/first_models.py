"""The README's own commands on a project whose log is history alone, and what each stage is worth on later time.

The inputs are cut at a moment, as a new user has them today; the rest of them is the time that comes after.

python -m tests.worlds.first_models FOLDER_OF_REAL_DATA toys|ml-100k [USERS]
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from apps.backfill.moment import ReplayPlan
from apps.backfill.replay import Replay
from apps.cli import app
from apps.project import open_project
from apps.reports.stages import evaluate_stages
from apps.reports.stages_quality import StageQuality

START = 1_700_000_000
DAY = 86_400
LATER = 0.2
"""Share of the actions that lies after the moment at which the commands run."""
SCRIPTED = {"standalone_mode": False}

COMMANDS = ("validate", "build-graph", "backfill --client {0}", "train lightweight --client {0}", "train full")


@dataclass(frozen=True)
class Site:
    """One user's data: acts of users, oldest first, and what is known of the items."""

    acts: pa.Table  # user_id, item_id, liked (bool), at (timestamp)
    items: pa.Table  # item_id, topics
    client: str = "homefeed"

    def cut(self) -> datetime:
        """The moment before which all but `LATER` of the acts happened."""
        at = np.sort(self.acts["at"].cast(pa.int64()).to_numpy())
        return datetime.fromtimestamp(int(at[int(len(at) * (1 - LATER))]) / 1e6, UTC)

    def write(self, folder: Path, until: datetime | None = None) -> Path:
        """The project's files, with the acts before `until`. Returns the path of its `pinfunnel.yaml`."""
        acts = self.acts if until is None else self.acts.filter(pc.less(self.acts["at"], pa.scalar(until)))
        liked = acts.filter(acts["liked"])
        edges = {"board_id": liked["user_id"], "pin_id": liked["item_id"], "saved_at": liked["at"]}
        action = pc.if_else(acts["liked"], "save", "click")
        events = {"user_id": acts["user_id"], "pin_id": acts["item_id"], "action": action, "occurred_at": acts["at"]}
        pins = {"pin_id": self.items["item_id"], "topics": self.items["topics"]}
        for name, columns in {"edges": edges, "events": events, "pins": pins}.items():
            pq.write_table(pa.table(columns), folder / f"{name}.parquet")
        path = folder / "pinfunnel.yaml"
        data = {name: {"path": f"{name}.parquet"} for name in ("edges", "events", "pins")}
        path.write_text(yaml.safe_dump({"ids": "int64", "data": data}))
        return path


def toys(data: Path, users: int) -> Site:
    """Amazon's toys, whose acts have an order and no time: users begin on sixty days, and act once a day from then."""
    acts = pq.read_table(data / "toys" / "interactions.parquet")
    user, step = (acts[name].to_numpy() for name in ("user_id", "step"))
    chosen = user <= np.unique(user)[min(users, len(np.unique(user))) - 1]
    second = START + DAY * (user * 7919 % 60 + step) + user % DAY
    at = pa.array(second * 1_000_000).cast(pa.timestamp("us", tz="UTC"))
    table = pa.table({"user_id": user, "item_id": acts["item_id"], "liked": np.ones(len(user), bool), "at": at})
    items = pq.read_table(data / "toys" / "items.parquet")
    return Site(table.filter(pa.array(chosen)), items.rename_columns({"attributes": "topics"}))


def movies(data: Path, users: int) -> Site:
    """MovieLens 100K: all ratings, those from 4 up as likes."""
    acts = pq.read_table(data / "ml-100k" / "ratings.parquet").filter(pc.field("user_id") <= users)
    liked = pc.greater_equal(acts["rating"], 4)
    table = pa.table({"user_id": acts["user_id"], "item_id": acts["item_id"], "liked": liked, "at": acts["rated_at"]})
    items = pq.read_table(data / "ml-100k" / "items.parquet")
    return Site(table, pa.table({"item_id": items["item_id"], "topics": items["genres"]}))


SITES: dict[str, Callable[[Path, int], Site]] = {"toys": toys, "ml-100k": movies}


def run(site: Site, folder: Path) -> StageQuality:
    """The commands on what was known at the cut, in this process, and every published stage on what came after."""
    cut = site.cut()
    path = site.write(folder, cut)
    for command in COMMANDS:
        app([*command.format(site.client).split(), "--project", str(path)], **SCRIPTED)
    site.write(folder)
    later = Replay(open_project(path))
    later.process.watcher("lightweight", "full").poll()
    return evaluate_stages(later, site.client, ReplayPlan(graphs=2, every=10, since=cut))


if __name__ == "__main__":
    from cluster import session

    data, name, *rest = sys.argv[1:]
    with session.session(dashboard=False), tempfile.TemporaryDirectory() as scratch:
        found = run(SITES[name](Path(data), int(rest[0]) if rest else 1_500), Path(scratch))
    print(f"{found.requests} requests of {found.users} users")
    for figure, by_order in found.figures.items():
        for order, it in by_order.items():
            print(f"{figure} {order} {it.mean:.4f} [{it.low:.4f}, {it.high:.4f}]")
    for what, it in found.differences.items():
        print(f"{what} {it.mean:+.4f} [{it.low:+.4f}, {it.high:+.4f}]")
