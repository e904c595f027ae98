"""A project with a published bundle of every kind, and ways to lose a pointer."""

from pathlib import Path

import numpy as np

from apps.project import Opened
from cluster import kinds
from cluster.settings.clients import AllotmentSettings
from cluster.store.bundles import POINTER, BundleStore
from tests.worlds.funnel import opened_world, publish_full, publish_lightweight
from training.quotas.demand import SourceDemand
from training.quotas.learned import LearnedQuotas
from training.quotas.paths import QuotaPath

CLIENT = "homefeed"
KINDS = (kinds.GRAPH, kinds.lightweight(CLIENT), kinds.FULL, kinds.quotas(CLIENT))

BYTES = {"binary": b"\xff\xfe\x00", "empty": b"", "outside": b"../../graph", "lines": b"two\nlines"}
"""What a pointer may hold that names no version."""
LOST_POINTERS = (*BYTES, "folder", "gone")


def world_of_all_kinds(folder: Path) -> Opened:
    """The toy world in `folder`; its homefeed takes quotas that were learned."""
    made = opened_world(folder)
    learned = made.clients[CLIENT].model_copy(update={"allotment": AllotmentSettings(learned=True)})
    made = Opened(made.project, {**made.clients, CLIENT: learned})
    process = made.new_process()
    publish_lightweight(process.store, process.features, CLIENT, "graph_rank")
    publish_full(process, made.clients)
    path = QuotaPath(np.array([0.6]), np.array([[0], [100]], np.int32))
    with process.store.write(kinds.quotas(CLIENT), {}) as (target, _):
        LearnedQuotas(("walk",), path, SourceDemand.even(1), 0.5).save(target)
    return made


def lose_pointer(pointer: Path, how: str) -> None:
    """Replace a pointer by one of `LOST_POINTERS`."""
    pointer.unlink()
    if how == "folder":
        pointer.mkdir()
    elif how != "gone":
        pointer.write_bytes(BYTES[how])


def mend_pointer(pointer: Path, version: str) -> None:
    """Undo `lose_pointer`."""
    if pointer.is_dir():
        pointer.rmdir()
    pointer.write_text(version)


def pointer_of(store: BundleStore, kind: str) -> Path:
    """The file that names the published version."""
    return Path(store.root) / kind / POINTER
