"""The plug of one of two workers is pulled: under load, while a graph is built, while a model is trained.

After test_cluster.py, on its cluster.
"""

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from cluster.store.bundles import BundleStore
from tests.hosts.calls import LONG, WHY_NOT, Load, Said, deploy, lay, on_head, wait_until_listed, wait_until_whole
from tests.hosts.hosts import Machines
from tests.worlds.outside import soon

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

TRAINED = {"ranker": {"workers": 2, "size": "small", "epochs": 30, "fit": {"patience": 0}}}
IN_PIECES = {"graph": {"partitions": 64}}
BY_LOGS = "rates/"
"""Files of a graph that are counted from the logs, which have grown meanwhile."""


def files_of(folder: Path) -> dict[str, str]:
    """A bundle's files but its manifest, and what they hold."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    held = (name for name in files if name != "manifest.json" and not name.startswith(BY_LOGS))
    return {name: sha256(files[name].read_bytes()).hexdigest() for name in held}


def test_under_load_no_acknowledged_event_is_lost(cluster: Machines) -> None:
    said = Said()
    deploy(cluster)
    survivor, victim = cluster["worker-1"], cluster["worker-2"]
    wait_until_whole(survivor, 240)
    said("deployed anew")
    with Load(survivor) as load:
        soon(lambda: load.answers.total(), lambda number: number > 8)
        victim.power_off()
        said("worker-2 lost its power")
        soon(lambda: set(load.answers), lambda found: found > {"whole"}, 5)
        seconds = wait_until_whole(survivor, 240)
    wait_until_listed(cluster, victim, False)
    said(f"normal {seconds:.1f} s later; meanwhile: {dict(load.answers)}; {len(load.acknowledged)} acknowledged")
    victim.power_on()
    wait_until_listed(cluster, victim, True)
    said("worker-2 is back")
    assert load.lost(cluster) == set()
    assert len(load.acknowledged) > 5
    assert sum(load.errors.values()) < 8, load.errors  # what worker-2 had in hand, or was sent until that was seen


def test_mid_build_the_graph_is_that_of_an_undisturbed_build(cluster: Machines) -> None:
    said = Said()
    home = cluster.root / "shared" / "home"
    store = BundleStore(home / "bundles")
    before = store.current("graph")
    assert before is not None
    lay(cluster, "pieces.yaml", "pinfunnel.yaml", IN_PIECES)

    def done() -> int:
        return len(list((home / "build").glob("*/boards/*.json")))

    with ThreadPoolExecutor(1) as aside:
        building = aside.submit(cluster.run, on_head("pinfunnel build-graph --project pieces.yaml"), 600)
        soon(done, lambda pieces: pieces > 15 or building.done(), 120)
        cluster["worker-2"].power_off()
        said(f"worker-2 lost its power with {done()} of 64 pieces done")
        assert not building.done()
        building.result()
        said("built")
    after = store.current("graph")
    assert after is not None
    assert after > before
    assert files_of(home / "bundles" / "graph" / after) == files_of(home / "bundles" / "graph" / before)
    cluster["worker-2"].power_on()
    wait_until_listed(cluster, cluster["worker-2"], True)


@pytest.mark.skipif(bool(LONG), reason=LONG)
def test_mid_training_it_goes_on_from_the_last_checkpoint(cluster: Machines) -> None:
    said = Said()
    deploy(cluster)
    lay(cluster, "trained.yaml", "pinfunnel.yaml", TRAINED)
    home = cluster.root / "shared" / "home"
    handed_in: set[str] = set()

    def checkpoints() -> set[str]:
        handed_in.update(path.name for path in home.glob("train/full-*/models/*/full-ranker/checkpoint_2*"))
        return handed_in

    with ThreadPoolExecutor(1) as aside:
        training = aside.submit(cluster.run, on_head("pinfunnel train full --project trained.yaml"), 600)
        soon(checkpoints, lambda names: len(names) > 3 or training.done(), 300)
        cluster["worker-2"].power_off()
        said(f"worker-2 lost its power, {len(handed_in)} checkpoints were handed in")
        wait_until_listed(cluster, cluster["worker-2"], False)
        cluster["worker-2"].power_on()
        told = " ".join(training.result().stdout.split())
    said(told[told.rindex("full: ") :][:400])
    assert "a worker was lost: training went on from its last checkpoint, in epoch " in told
    store = BundleStore(home / "bundles")
    assert store.open("full", max(store.versions("full")), verify=True)
