"""Takes forgotten users out of the graph bundles that know them. Bundles do not change: each gets a next version."""

import shutil
from dataclasses import dataclass, field

import numpy as np

from cluster.catalog.users import UserTable
from cluster.control.forgotten import Forgotten
from cluster.errors import BundleError
from cluster.graph.ids import IdMap
from cluster.kinds import GRAPH
from cluster.store.bundles import BundleStore, begun_at


@dataclass
class SweptGraphs:
    """What was done."""

    users: int = 0  # rows taken out of all versions together
    versions: list[str] = field(default_factory=list)  # that were replaced
    unreadable: list[str] = field(default_factory=list)  # damaged, or not whole: what they hold cannot be told


def sweep_graphs(store: BundleStore, forgotten: Forgotten) -> SweptGraphs:
    """All stored versions, oldest first; servers swap to the next version of the published one by themselves.

    May be killed at any moment and called again. Raises OSError.
    """
    done = SweptGraphs()
    for version in store.versions(GRAPH):
        try:
            bundle = store.open(GRAPH, version, verify=False)
            users = UserTable.open(bundle.path / "users", IdMap.open(bundle.path / "graph", "pins"))
        except BundleError:
            if store.remove_remains(f"{GRAPH}/{version}"):
                continue
            done.unreadable.append(f"{GRAPH}/{version}")
            continue
        begun = begun_at(version)
        ids = users.ids.ids_of(np.arange(len(users))).tolist()
        gone = [row for row, user in enumerate(ids) if forgotten.before(user) > begun]
        if gone:
            with store.rewrite(GRAPH, version) as folder:
                shutil.rmtree(folder / "users")
                users.save_without(folder / "users", np.array(gone))
            done.users += len(gone)
            done.versions.append(version)
    return done
