"""A build that prunes by topics: the edges that `prune` leaves, and nothing else in the bundle changed."""

from pathlib import Path

import numpy as np
import pytest

from cluster.catalog.build import Tables, build_catalog_in_memory
from cluster.catalog.pruning import PRUNED
from cluster.errors import ConfigError
from cluster.graph.prune import prune
from cluster.settings.project import DataSettings, GraphSettings, Project, Source
from cluster.walk.walker import Walker, WalkParams
from tests.worlds.inputs import FEATURES, random_tables


def project_of(kind: str, graph: GraphSettings | None = None) -> Project:
    source = DataSettings(edges=Source(path="unused"))
    return Project(ids=kind, data=source, features=FEATURES, graph=graph or GraphSettings())


@pytest.mark.parametrize("kind", ["int64", "string"])
def test_pruning_drops_what_prune_says_and_nothing_else(tmp_path: Path, kind: str) -> None:
    tables = random_tables(kind)
    given = Tables(**tables)
    whole = build_catalog_in_memory(given, project_of(kind), tmp_path / "whole")
    pruning = GraphSettings(prune_boards=0.2, prune_delta=0.7)
    slim = build_catalog_in_memory(given, project_of(kind, pruning), tmp_path / "slim")
    expected = prune(whole.graph, np.asarray(whole.pins.topics), 0.2, 0.7)
    assert 0 < slim.graph.n_edges == slim.counts["edges"] < whole.graph.n_edges
    for name in ("pin_index", "pin_boards", "board_index", "board_pins", "locale_bounds"):
        np.testing.assert_array_equal(getattr(slim.graph, name), getattr(expected, name))
    for index in ("pin_ids", "board_ids"):
        mine, theirs = getattr(slim.graph, index), getattr(whole.graph, index)
        assert mine.ids_of(np.arange(len(mine))).tolist() == theirs.ids_of(np.arange(len(theirs))).tolist()
    assert slim.graph.locales == whole.graph.locales
    assert slim.drops["edges"]["dropped"][PRUNED] == whole.graph.n_edges - slim.graph.n_edges
    assert {**slim.drops["edges"]["dropped"], PRUNED: 0} == {**whole.drops["edges"]["dropped"], PRUNED: 0}
    for folder in ("pins", "users"):  # features and popular pins stay those of the data
        for file in sorted((tmp_path / "whole" / folder).iterdir()):
            assert file.read_bytes() == (tmp_path / "slim" / folder / file.name).read_bytes(), file.name


def test_a_pin_that_lost_its_last_edge_can_still_be_asked_for(tmp_path: Path) -> None:
    project = project_of("int64", GraphSettings(prune_boards=0.5))
    tables = random_tables()
    catalog = build_catalog_in_memory(Tables(tables["edges"], tables["pins"]), project, tmp_path)
    alone = catalog.graph.pin_ids.ids_of(np.flatnonzero(catalog.graph.pin_degree == 0)[:1])
    other = catalog.graph.pin_ids.ids_of([int(np.argmax(catalog.graph.pin_degree))])
    walker, params = Walker(catalog.graph), WalkParams(steps=1000, top_k=5)
    assert len(walker.walk(alone.tolist(), params=params).pin_ids) == 0
    assert len(walker.walk([*alone.tolist(), *other.tolist()], params=params).pin_ids) == 5


@pytest.mark.parametrize(("pins", "says"), [(False, "there is no pins input"), (True, "no pin has a topic")])
def test_pruning_without_topics_is_one_line(tmp_path: Path, pins: bool, says: str) -> None:
    project = project_of("int64", GraphSettings(prune_delta=0.9))
    tables = random_tables()
    listed = tables["pins"].drop_columns(["topics"]) if pins else None
    with pytest.raises(ConfigError, match=f"prune by the pins' topics, but {says}: give `data.pins` a column `topics`"):
        build_catalog_in_memory(Tables(tables["edges"], listed), project, tmp_path)
