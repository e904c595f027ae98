"""When the fault of a killed process is over: not before another runs, however fast that comes."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from apps.faults import processes, storage
from apps.faults.fault import Ground, ServerFault


class Found:
    """A server of which a test says which processes run."""

    def __init__(self, pids: list[int]):
        self.pids = pids
        self.url = "http://127.0.0.1:1"

    def find(self, what: str) -> list[int]:
        """The test's."""
        return self.pids


def made(fault: ServerFault, pids: list[int], logs: Path, broken: pytest.MonkeyPatch) -> tuple[Found, Ground]:
    """The fault, made on a server whose kills do nothing."""
    server = Found(pids)
    home = SimpleNamespace(opened=SimpleNamespace(project=SimpleNamespace(home=logs)))
    ground = cast(Ground, SimpleNamespace(server=server, site=home, logs=logs / "logs"))
    for module in (processes, storage):
        broken.setattr(module, "kill", lambda pid, how: None)
    broken.setattr(storage.httpx, "post", lambda *said, **more: cast(Any, None))
    fault.make(ground)
    return server, ground


@pytest.mark.parametrize("fault", [processes.Killed("events"), storage.UnreadableParts()], ids=lambda fault: fault.name)
def test_it_lasts_while_the_killed_one_is_seen_and_until_another_is(
    fault: ServerFault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for log in ("events", "serving"):
        (tmp_path / "logs" / log).mkdir(parents=True)
        (tmp_path / "logs" / log / "part-1.parquet").write_bytes(b"rows" * 100)
    server, ground = made(fault, [11], tmp_path, monkeypatch)
    assert not fault.over(ground), "a kill that changed nothing is no fault that is over"
    server.pids = []
    assert not fault.over(ground)
    server.pids = [12]
    assert fault.over(ground)


def test_all_of_several_have_to_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = processes.Killed("ingress")
    server, ground = made(fault, [11, 12], tmp_path, monkeypatch)
    server.pids = [12]
    assert not fault.over(ground)
    server.pids = [12, 13]
    assert fault.over(ground)
