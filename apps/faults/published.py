"""Bundles that are bad when they are published, and bundles that are published all the time."""

import shutil
import time
from pathlib import Path

from apps.faults.bundles import damage_file, publish_copy
from apps.faults.fault import Ground, ServerFault
from apps.faults.site import KINDS
from cluster.store.bundles import POINTER, BundleStore
from cluster.store.manifest import MANIFEST

SWAP_EVERY = 2.0
KEPT = 8
"""Versions that stay on the disk: a server on a busy machine may be some swaps late."""


class BadBundle(ServerFault):
    """A version of every kind that is damaged is published; later the good one again."""

    hold = 8.0

    def __init__(self, how: str, about: str, short: bool = False):
        self.how = how
        self.name = f"bundle-{how}"
        self.about = about
        self.short = short

    def make(self, ground: Ground) -> str:
        """Store a copy, damage its largest file, publish it."""
        store = ground.site.opened.new_process().store
        for kind in KINDS:
            bad = publish_copy(store, kind, publish=False)
            folder = Path(store.root) / kind / bad
            if self.how == "half":  # a copy that was cut off: the pointer names it, the manifest is not there yet
                (folder / MANIFEST).unlink()
                damage_file(_largest(folder), "cut")
            else:
                damage_file(_largest(folder), self.how)
            ground.judge.published(kind, bad, "")
            (Path(store.root) / kind / POINTER).write_text(bad)  # `publish` refuses one that has no manifest
        return ""

    def mend(self, ground: Ground) -> str:
        """Publish the good version again."""
        told = {problem["kind"] for problem in ground.server.health().get("problems", [])}
        ground.site.publish("AAA")
        return f"health named {len(told & set(KINDS))} of {len(KINDS)}"


class Swaps(ServerFault):
    """A new version of every kind every two seconds, A and B in turns; each is served, or the next one."""

    name = "swaps"
    about = f"a new version of every bundle every {SWAP_EVERY:.0f} s"

    def __init__(self, seconds: float, name: str, short: bool = False):
        self.seconds = seconds
        self.name = name
        self.about = f"{Swaps.about} for {seconds:.0f} s"
        self.short = short

    def make(self, ground: Ground) -> str:
        """Publish until the time is over."""
        store = ground.site.opened.new_process().store
        began = time.monotonic()
        count = 0
        self._made: dict[str, list[Path]] = {kind: [] for kind in KINDS}
        while time.monotonic() - began < self.seconds:
            letter = "BA"[count % 2]
            self._publish(ground, store, letter)
            count += 1
            time.sleep(max(began + count * SWAP_EVERY - time.monotonic(), 0.0))
        return f"{count} swaps"

    def mend(self, ground: Ground) -> str:
        """Publish the first version again."""
        for kind in KINDS:
            ground.judge.published(kind, ground.site.versions[kind][0], "A")
        ground.site.publish("AAA")
        return ""

    def _publish(self, ground: Ground, store: BundleStore, letter: str) -> None:
        for kind in KINDS:
            version = publish_copy(store, kind, publish=False, version=ground.site.versions[kind]["AB".index(letter)])
            ground.judge.published(kind, version, letter)
            store.publish(kind, version)
            self._made[kind].append(Path(store.root) / kind / version)
            for old in self._made[kind][:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
            del self._made[kind][:-KEPT]


def _largest(folder: Path) -> Path:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST]
    return max(files, key=lambda path: path.stat().st_size)
