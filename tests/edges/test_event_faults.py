"""Which faults lose which events of the log: the rows of the table in docs/operations.md that no other test has.

Killed processes and full disks have tests in tests/unit/serving/logs, brokers in tests/integration.
"""

import shutil
import socket
from pathlib import Path

import pytest

from serving.logs.state_folder import machine_folder
from tests.unit.serving.logs.test_events import event
from tests.unit.serving.logs.writers import Writers

BATCH = [event(f"e{user}", user_id=user, pin_id=user) for user in range(20)]
NAMES = sorted(f"e{user}" for user in range(20))


@pytest.mark.parametrize("number", [1, 3])
def test_another_machine_goes_on_with_a_home_on_shared_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """The storage lets go of the locks of a machine that is gone; the kernel does it here."""
    with Writers(tmp_path, number) as gone:
        gone.send(BATCH)
    here = machine_folder(tmp_path / "logs")
    monkeypatch.setattr(socket, "gethostname", lambda: "another")
    assert machine_folder(tmp_path / "logs") != here
    with Writers(tmp_path, number) as other:
        assert other.send(BATCH).accepted == 20
        assert [other.state(user).recents.pin_ids.tolist() for user in range(20)] == [[user] for user in range(20)]
        other.flush()
        assert other.stored() == NAMES


def test_of_a_home_that_is_lost_there_is_what_was_copied(tmp_path: Path) -> None:
    """A copy may be taken while the log is written."""
    home = tmp_path / "home"
    with Writers(home, 2) as running:
        running.send(BATCH[:5])
        running.flush()
        running.send(BATCH[5:10])
        shutil.copytree(home, tmp_path / "copy")
        running.send(BATCH[10:])
    shutil.rmtree(home)
    (tmp_path / "copy").rename(home)
    with Writers(home, 2) as again:
        again.flush()
        assert again.stored() == sorted(f"e{user}" for user in range(10))
        assert again.send(BATCH).accepted == 20
        again.flush()
        assert again.stored() == NAMES


def test_several_writers_take_nothing_while_their_home_is_away(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with Writers(home, 2) as writers:
        writers.send(BATCH[:10])
        home.rename(tmp_path / "away")
        with pytest.raises(OSError, match=r"writer \d of 2: .*home is gone: is its volume mounted"):
            writers.send(BATCH)
        assert not home.exists()
        (tmp_path / "away").rename(home)
        assert writers.send(BATCH).accepted == 20
        writers.flush()
        assert writers.stored() == NAMES
