"""Processes that die or hang: every kind of replica, the proxy, the controller."""

import signal
import time
from collections.abc import Collection

from apps.faults.fault import CannotFault, Ground, ServerFault
from apps.faults.server import kill

LONGEST_HANG = 45.0
"""Seconds after which a process that hangs may go on."""


class Nothing(ServerFault):
    """For comparison: what the load alone comes to."""

    name = "nothing"
    about = "no fault: what the load alone comes to on this machine"
    hold = 10.0

    def make(self, ground: Ground) -> str:
        """Nothing."""
        return ""


class Killed(ServerFault):
    """`kill -9` of one process of a kind, several times where it is said so."""

    def __init__(self, what: str, ground: str = "colocated", times: int = 1, short: bool = False):
        self.what = what
        self.ground = ground
        self.times = times
        self.short = short
        often = f"-{times}x" if times > 1 else ""
        self.name = (f"kill-{what}" if ground == "colocated" else f"kill-{what}-{ground}") + often
        self.about = f"kill -9 of {named(what)}" + (f", {times} times" if times > 1 else "")

    def make(self, ground: Ground) -> str:
        """Kill one that is there, wait until there is one again, and so on."""
        await_one(ground, self.what)
        self._count = len(ground.server.find(self.what))
        self._killed: set[int] = set()
        for left in reversed(range(self.times)):
            pid = await_one(ground, self.what)
            kill(pid, signal.SIGKILL)
            self._killed.add(pid)
            if left:
                await_one(ground, self.what, but=pid)
                time.sleep(1.0)
        return ""

    def over(self, ground: Ground) -> bool:
        """As many as before are there again, none of them one that was killed."""
        return replaced(ground, self.what, self._killed, self._count)


class KilledNode(ServerFault):
    """`kill -9` of all processes of the node that the event log runs on."""

    name = "kill-node"
    about = "kill -9 of a worker node: the one with `events`, and all that runs there"
    ground = "nodes"
    patience = 120.0

    def make(self, ground: Ground) -> str:
        """Kill the raylet, then what it has started."""
        events = await_one(ground, "events")
        self._ingresses = len(ground.server.find("ingress"))
        assert ground.server.cluster is not None
        node = ground.server.cluster.node_of(events)
        for pid in node:
            kill(pid, signal.SIGKILL)
        return f"{len(node)} processes"

    def over(self, ground: Ground) -> bool:
        """The event log and as many ingresses as before are there again."""
        found = ground.server.find
        return bool(found("events")) and len(found("ingress")) >= self._ingresses


class Hung(ServerFault):
    """SIGSTOP of one process of a kind, until it is replaced, or for `LONGEST_HANG`."""

    def __init__(self, what: str, ground: str = "colocated"):
        self.what = what
        self.ground = ground
        self.name = f"hang-{what}" if ground == "colocated" else f"hang-{what}-{ground}"
        self.about = f"SIGSTOP of {named(what)}, until it is replaced, for {LONGEST_HANG:.0f} s at most"

    def make(self, ground: Ground) -> str:
        """Stop one that is there, and wait."""
        self._pid = await_one(ground, self.what)
        self._count = len(ground.server.find(self.what))
        began = time.monotonic()
        kill(self._pid, signal.SIGSTOP)
        while time.monotonic() - began < LONGEST_HANG:
            time.sleep(0.5)
            if self._pid not in ground.server.find(self.what):
                return f"gone after {time.monotonic() - began:.0f} s"
        return "never replaced"

    def mend(self, ground: Ground) -> str:
        """Let it go on, if it is there."""
        kill(self._pid, signal.SIGCONT)
        return ""

    def over(self, ground: Ground) -> bool:
        """As many as before are there again."""
        return len(ground.server.find(self.what)) >= self._count


def named(what: str) -> str:
    """A kind of process in words."""
    return {"proxy": "HAProxy", "controller": "Serve's controller"}.get(what, f"a replica of `{what}`")


def replaced(ground: Ground, what: str, killed: Collection[int], count: int) -> bool:
    """Whether `count` processes of a kind are there and no killed one is: so a fault was made, however short."""
    found = set(ground.server.find(what))
    return len(found) >= count and not found & set(killed)


def await_one(ground: Ground, what: str, but: int | None = None, seconds: float = 60.0) -> int:
    """A process of a kind. Raises CannotFault when there is none in time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = [pid for pid in ground.server.find(what) if pid != but]
        if found:
            return found[0]
        time.sleep(0.1)
    raise CannotFault(f"no process is {named(what)}")
