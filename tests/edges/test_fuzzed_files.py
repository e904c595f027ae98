"""Mutations of every kind of file but bundles: it is read, or left out, or one line says why not."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cluster.contract.moments import MomentContract
from cluster.data.inputs import open_inputs
from cluster.errors import PinfunnelError
from cluster.settings.access import load_keys
from cluster.settings.clients import load_client
from cluster.settings.project import DEFAULT_ACTIONS, Project
from cluster.store.logs import LogStore
from serving.logs.contract import EventContract
from serving.logs.events import EventLog
from serving.logs.owned_folder import OwnedFolder
from serving.logs.state_folder import POINTER, StatePublisher, StateReader
from serving.logs.user_state import UserStates
from serving.logs.wal import recover
from serving.logs.writers_file import NAME, WritersFile
from tests.worlds.fuzz import examples, mutated
from tests.worlds.keys import KeyFiles
from tests.worlds.logs import make_world
from tests.worlds.toy import toy_project
from training.log.index import read_index
from training.log.tasks import LogWindow

pytestmark = pytest.mark.fuzz
TRIES = examples(60)
tried: Counter[str] = Counter()
"""Mutations by kind of file, and how many of them were refused."""


def tries(kind: str, files: list[Path], read: Callable[[], Any], seed: int) -> None:
    """Reads with one mutated file at a time; nothing but one clear line may come of it."""
    rng = random.Random(seed)
    for at in range(TRIES):
        path = files[at % len(files)]
        whole = path.read_bytes()
        path.write_bytes(mutated(whole, rng))
        tried[kind] += 1
        try:
            read()
        except PinfunnelError:
            tried[f"{kind} (refused)"] += 1
        except Exception as error:
            raise AssertionError(f"mutation {at} of {path.name}: {type(error).__name__}: {error}") from error
        finally:
            path.write_bytes(whole)


def test_log_files(tmp_path: Path) -> None:
    world = make_world(tmp_path, ("homefeed",), requests=120, n=20)
    files = sorted((tmp_path / "logs").rglob("*.parquet"))

    def read() -> None:
        read_index(world.logs.serving_files(), LogWindow())
        world.logs.read_events()

    tries("log parts", files, read, 1)


def test_input_files(tmp_path: Path) -> None:
    inputs = open_inputs(Project.load(toy_project(tmp_path)))
    for name, found in inputs.items():
        tries(f"input {name}", [Path(path) for path in found.files], found.read, 2)


def event(number: int) -> dict[str, Any]:
    moment = datetime.now(UTC) - timedelta(hours=1)
    fields = {"event_id": f"e{number}", "user_id": number % 3, "pin_id": 2, "action": "save", "client": "homefeed"}
    return {**fields, "request_id": "r", "occurred_at": moment}


def open_log(folder: Path) -> EventLog:
    return EventLog(
        OwnedFolder(folder / "wal"),
        LogStore(folder / "logs"),
        EventContract.of("int64", DEFAULT_ACTIONS, MomentContract(timedelta(days=90))),
        UserStates(("hide",)),
    )


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """The write-ahead file of a writer that was killed."""
    log = open_log(tmp_path / "first")
    for start in range(0, 40, 8):
        log.append([event(number) for number in range(start, start + 8)])
    [path] = (tmp_path / "first" / "wal").glob("events-*.wal")
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    log.close()
    return copy


def test_write_ahead_files(left: Path, tmp_path: Path) -> None:
    whole = recover(left).rows
    assert len(whole) == 40
    seen = []

    def read() -> None:
        rows = recover(left).rows
        assert rows == whole[: len(rows)], "what is read was acknowledged, in its order"
        folder = tmp_path / f"start-{len(seen)}"
        (folder / "wal").mkdir(parents=True)
        (folder / "wal" / left.name).write_bytes(left.read_bytes())
        log = open_log(folder)
        log.append([event(1000)])
        log.close()
        seen.append(len(rows))

    tries("write-ahead files", [left], read, 3)
    assert min(seen) < 40


def test_settings(tmp_path: Path) -> None:
    project = toy_project(tmp_path, settings={"serving": {"port": 8000}, "access": {"keys": "keys.yaml"}})
    tries("pinfunnel.yaml", [project], lambda: Project.load(project), 4)
    client = tmp_path / "homefeed.yaml"
    client.write_text((Path(__file__).parents[2] / "apps" / "clients" / "homefeed.yaml").read_text())
    tries("clients", [client], lambda: load_client(client), 5)
    keys = KeyFiles(tmp_path)
    keys.add("ours", "recommend", "events", clients=["homefeed"], not_after="2030-01-01T00:00:00Z", per_second=5)
    tries("keys", [keys.path], lambda: load_keys(str(keys.path)), 6)


def test_pointers_of_logs(tmp_path: Path) -> None:
    root = tmp_path / "state"
    log = open_log(tmp_path / "log")
    publisher = StatePublisher(root)
    publisher.folder.mkdir(parents=True)
    publisher.publish()
    publisher.close()
    reader = StateReader(root, 10, 10)
    tries("pointers to users' state", [root / POINTER], lambda: reader.of(1, stale=True), 7)
    reader.close()
    log.close()
    writers = tmp_path / "writers"
    first = WritersFile(writers, 2, lambda: None)
    tries("number of writers", [writers / NAME], lambda: WritersFile(writers, 2, lambda: None).release(), 8)
    first.release()


def test_so_many_were_tried() -> None:
    """Says how many: `-s` shows it."""
    print("fuzzed files:", dict(sorted(tried.items())))
    assert sum(count for kind, count in tried.items() if "refused" not in kind) >= TRIES
