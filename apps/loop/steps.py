"""The steps of a round: commands of `pinfunnel`, each for a process of its own: one that dies takes no other along."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster import kinds
from cluster.extras import torch_there
from cluster.settings.clients import Client
from cluster.settings.loop import LoopSettings
from cluster.store.bundles import BundleStore


@dataclass(frozen=True)
class Step:
    """A command, as arguments behind `pinfunnel`. `adds`: the file of edges that it takes in."""

    arguments: tuple[str, ...]
    adds: str | None = None

    @property
    def name(self) -> str:
        """Its command, as one types it."""
        return " ".join(self.arguments)


def steps_of(
    settings: LoopSettings, clients: Mapping[str, Client], new_edges: Sequence[str], has_graph: bool, has_fresh: bool
) -> list[Step]:
    """What a round does, in its order. `new_edges` are files that no round has added yet.

    Logs are compacted before they are read, and bundles pruned behind what publishes new ones.
    """
    out = []
    if settings.graph == "build" or not has_graph:
        out.append(Step(("build-graph",)))
    if settings.graph == "add":
        out += [Step(("add-edges", "--edges", file), adds=file) for file in new_edges]
        if has_fresh and not new_edges:
            out.append(Step(("add-edges",)))
    out += [Step(("compact-logs",)), *training_steps(clients, settings.full)]
    return [*out, Step(("models", "prune", "--keep", str(settings.keep_versions)))]


def full_left_out(full: bool, store: BundleStore) -> str:
    """Why the full ranker that is wanted is not trained here; empty where it is, or is not wanted.

    Without torch, no round fails for a stage that the site never had; where it had one, the step fails and tells.
    """
    if not full or torch_there() or store.versions(kinds.FULL):
        return ""
    return "train full is left out: it needs torch, which is not installed: pip install 'pinfunnel[full]'"


def training_steps(clients: Mapping[str, Client], full: bool) -> list[Step]:
    """Every model from the logs, each stage behind the one whose scores it reads."""
    out = [Step(("train", "lightweight", "--all"))]
    if full:
        out.append(Step(("train", "full")))
    learned = [name for name, client in clients.items() if client.allotment.learned]
    return out + [Step(("train", "quotas", "--client", name)) for name in learned]


def arrived(folder: str | None, taken: Iterable[str]) -> list[str]:
    """Paths of the files of edges in a folder, oldest name first, without those that were taken."""
    if folder is None or not Path(folder).is_dir():
        return []
    found = {str(path) for path in Path(folder).glob("*.parquet")}
    return sorted(found - set(taken))
