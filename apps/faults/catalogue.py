"""All faults, in the order in which they are made: server by server, as a start takes longer than most faults."""

from apps.faults.clock import ClockStep
from apps.faults.fault import ServerFault
from apps.faults.processes import Hung, Killed, KilledNode, Nothing
from apps.faults.published import BadBundle, Swaps
from apps.faults.storage import FullDisk, UnreadableParts
from apps.faults.writer import NAME
from cluster.errors import ConfigError

SHORT_SWAPS = "swaps-short"


def all_faults() -> list[ServerFault]:
    """Every fault that is made on a server."""
    return [
        Nothing(),
        Killed("ingress", short=True),
        Killed("events"),
        Killed("events", times=3),
        Killed("proxy", short=True),
        Killed("controller"),
        Hung("ingress"),
        Hung("events"),
        BadBundle("flip", "a version of every kind with a flipped bit is published", short=True),
        BadBundle("half", "a version of every kind that was written half way is published"),
        UnreadableParts(),
        Swaps(10.0, SHORT_SWAPS, short=True),
        Swaps(300.0, "swaps"),
        Killed("walk", "separate"),
        Killed("lightweight", "separate"),
        Killed("full", "separate"),
        Killed("events", "separate"),
        Killed("ingress", "separate"),
        Hung("walk", "separate"),
        Hung("full", "separate"),
        FullDisk(),
        KilledNode(),
        ClockStep("+3600", "an hour ahead"),
        ClockStep("-3600", "an hour back"),
    ]


def chosen(only: list[str], short: bool) -> list[ServerFault]:
    """The faults of these names; without any all, or those of the short form. Raises ConfigError for unknown ones."""
    known = {fault.name: fault for fault in all_faults()}
    if unknown := sorted(set(only) - set(known) - {NAME}):
        raise ConfigError(f"--only: no fault is called {', '.join(unknown)}; there are {', '.join([*known, NAME])}")
    if only:
        return [fault for name, fault in known.items() if name in only]
    return [fault for fault in known.values() if (fault.short if short else fault.name != SHORT_SWAPS)]
