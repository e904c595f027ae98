"""The pulse calls everything again and again, also after one of the calls has failed, and once more at its end."""

import threading

from serving.deploy.pulse import Pulse


def test_one_call_that_fails_stops_no_other() -> None:
    pulse = Pulse(0.005)
    thrice = threading.Event()
    calls: list[int] = []

    def bad() -> None:
        raise ValueError("no")

    def good() -> None:
        calls.append(1)
        if len(calls) >= 3:
            thrice.set()

    pulse.add(bad)
    pulse.add(good)
    assert thrice.wait(30)
    pulse.close()
    before = len(calls)
    assert not any(thread.name == "pulse" and thread.is_alive() for thread in threading.enumerate())
    pulse.beat()
    assert len(calls) == before + 1
