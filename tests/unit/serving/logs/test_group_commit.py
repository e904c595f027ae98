"""Callers that wait share a commit; each is told its own outcome, and a failed commit fails all of its group."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from serving.logs.group_commit import GroupCommit


class Disk:
    """Notes the groups it is given; the first one is held until it is let go."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.fails = False

    def commit(self, items: list[int]) -> Sequence[str | Exception]:
        self.groups.append(items)
        if len(self.groups) == 1:
            self.reached.set()
            assert self.go_on.wait(30)
        if self.fails and len(self.groups) > 1:
            raise OSError(28, "No space left")
        return [OSError("too many") if item < 0 else f"stored {item}" for item in items]


def while_one_is_written(
    disk: Disk, items: Sequence[int], most: int = 100
) -> tuple[list["Future[str]"], "GroupCommit[int, str]"]:
    """Futures of 0 and of `items`, which all come while 0 is written."""
    commits = GroupCommit(disk.commit, most)
    with ThreadPoolExecutor(1 + len(items)) as pool:
        futures = [pool.submit(commits, 0, 1)]
        assert disk.reached.wait(30)
        for count, item in enumerate(items):
            futures.append(pool.submit(commits, item, 1))
            wait_until(lambda more=count + 1: len(commits._waiting) >= more or futures[-1].done())
        disk.go_on.set()
    return futures, commits


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(3000):
        if true():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it never came")


def test_those_who_wait_share_the_next_commit_in_their_order() -> None:
    disk = Disk()
    futures, commits = while_one_is_written(disk, [1, 2, 3])
    assert disk.groups == [[0], [1, 2, 3]]
    assert [future.result() for future in futures] == ["stored 0", "stored 1", "stored 2", "stored 3"]
    assert commits(4, 1) == "stored 4"
    assert disk.groups[2:] == [[4]]


def test_each_is_told_its_own_outcome() -> None:
    futures, _ = while_one_is_written(Disk(), [1, -2, 3])
    assert [futures[at].result() for at in (1, 3)] == ["stored 1", "stored 3"]
    with pytest.raises(OSError, match="too many"):
        futures[2].result()


def test_a_failed_commit_fails_all_of_its_group_and_none_after() -> None:
    disk = Disk()
    disk.fails = True
    futures, commits = while_one_is_written(disk, [1, 2])
    assert futures[0].result() == "stored 0"
    for future in futures[1:]:
        with pytest.raises(OSError, match="No space left"):
            future.result()
    disk.fails = False
    assert commits(3, 1) == "stored 3"


def test_who_finds_too_much_waiting_is_refused_at_once() -> None:
    disk = Disk()
    futures, commits = while_one_is_written(disk, [1, 2, 3, 4], most=3)
    assert disk.groups == [[0], [1, 2, 3]]
    with pytest.raises(OSError, match="too much waits for the disk"):
        futures[4].result()
    assert commits(5, 1000) == "stored 5", "however large, what waits alone is taken"
