"""Prunes a project's graph by its pins' topics (`graph.prune_boards`, `graph.prune_delta`) on the way into a bundle."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cluster.catalog.pins import pin_rows
from cluster.catalog.vocabulary import Vocabulary
from cluster.data.cleaning import Tally
from cluster.errors import ConfigError
from cluster.graph.csr import Graph
from cluster.graph.prune import prune
from cluster.settings.project import GraphSettings

PRUNED = "edge was pruned by topics (graph.prune_boards, graph.prune_delta)"
"""What `Tally.dropped` calls these edges; they are distinct ones, counted after everything else was dropped."""


def require_topics(pins: pa.Table | None) -> None:
    """Raises ConfigError when no pin of the cleaned pins input has a topic, before anything is built."""
    if pins is None or not len(pc.list_flatten(pins["topics"]).drop_null()):
        what = "there is no pins input" if pins is None else "no pin has a topic"
        raise ConfigError(
            f"graph.prune_boards and graph.prune_delta prune by the pins' topics, but {what}: give `data.pins` a "
            "column `topics` (docs/data.md), or take both settings out of pinfunnel.yaml"
        )


def prune_graph(graph: Graph, pins: pa.Table, vocabulary: Vocabulary, settings: GraphSettings, tally: Tally) -> Graph:
    """The pruned graph, in memory: same pins, boards, ids and locales. Counts the edges that went as PRUNED.

    A pin may lose its last edge; walks then neither start from it nor reach it.
    """
    rows = pin_rows(graph.pin_ids, pins)
    there = np.flatnonzero(rows >= 0)
    topics = np.zeros((graph.n_pins, vocabulary.width), np.float32)
    topics[there] = vocabulary.topic_rows(pins["topics"].take(pa.array(rows[there])))
    slim = prune(graph, topics, settings.prune_boards, settings.prune_delta)
    tally.dropped[PRUNED] += graph.n_edges - slim.n_edges
    return slim


def replace_graph(folder: Path, graph: Graph) -> Graph:
    """Saves `graph` instead of the one in `folder`, whose arrays may still be mapped, and opens it."""
    aside = folder.with_name(f"{folder.name}.pruned")
    graph.save(aside)  # reads ids that are mapped from `folder`: only then may that go
    shutil.rmtree(folder)
    aside.rename(folder)
    return Graph.open(folder)
