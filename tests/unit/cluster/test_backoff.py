"""When the next try is due."""

from cluster.backoff import LONGEST_WAIT, Backoff


def test_waits_double_up_to_the_longest_and_begin_anew() -> None:
    now = [100.0]
    backoff = Backoff(lambda: now[0])
    assert not backoff.waiting
    waits = []
    for _ in range(8):
        backoff.failed()
        waits.append(backoff.seconds_left)
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT]
    assert backoff.waiting
    now[0] += LONGEST_WAIT
    assert not backoff.waiting
    assert backoff.seconds_left == 0
    backoff.worked()
    backoff.failed()
    assert backoff.seconds_left == 1


def test_it_never_fails_itself_however_long_a_disk_refuses() -> None:
    backoff = Backoff(lambda: 0.0)
    for _ in range(2000):  # 2 ** 1024 is no float
        backoff.failed()
    assert backoff.seconds_left == LONGEST_WAIT
