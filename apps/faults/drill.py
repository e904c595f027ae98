"""Makes faults one after the other, each under load and once all was normal, and gives a row for each."""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from pathlib import Path

from apps.faults.fault import CannotFault, Ground, ServerFault
from apps.faults.grounds import GROUNDS, ground_of
from apps.faults.load import Sent, SteadyLoad
from apps.faults.row import FaultRow, count_lost, fill
from apps.faults.site import FaultSite

CALM = 3.0
"""Seconds in which every request must be answered as ever for all to be normal."""
WARM_SECONDS = 90.0
"""A new server compiles, and a busy machine takes its time."""

Told = Callable[[str], None]


class Drill:
    """The faults to make, and the rows so far. `told` hears what happens, a line each."""

    def __init__(self, folder: Path, faults: Sequence[ServerFault], rate: float, minutes: float, told: Told):
        self._folder = folder
        self._faults = faults
        self._rate = rate
        self._until = time.monotonic() + 60 * minutes
        self._told = told
        self.rows: list[FaultRow] = []

    def run(self) -> list[FaultRow]:
        """Make all of them; those that there is no time for are named."""
        if self._faults:
            self._told("making a site")
            site = FaultSite.make(self._folder)
            for name, faults in groupby(self._faults, key=lambda fault: fault.ground):
                self._on(name, site, list(faults))
        return self.rows

    def _on(self, name: str, site: FaultSite, faults: list[ServerFault]) -> None:
        """The faults of one ground. One that never becomes normal again costs the next ones a new server."""
        while faults:
            if time.monotonic() > self._until:
                self._skip(faults, "no time was left")
                return
            self._told(f"starting a server: {GROUNDS[name].about}")
            rows: list[tuple[FaultRow, list[Sent]]] = []
            try:
                with ground_of(name, site) as ground:
                    faults = self._make(ground, faults, rows)
            except CannotFault as error:
                self._skip(faults, str(error))
                return
            for row, sent in rows:
                count_lost(row, sent, ground.stored)

    def _make(
        self, ground: Ground, faults: list[ServerFault], rows: list[tuple[FaultRow, list[Sent]]]
    ) -> list[ServerFault]:
        """Make faults until one does not become normal; those that are left."""
        fixed = not GROUNDS[faults[0].ground].own_clock
        load = SteadyLoad(ground.server.url, ground.site, ground.judge, self._rate, fixed)
        load.start()
        try:
            if self._calm(load, time.monotonic(), WARM_SECONDS) is None:
                raise CannotFault(f"not normal without a fault: {abnormal(load.sent)}")
            for at, fault in enumerate(faults):
                if time.monotonic() > self._until:
                    self._skip(faults[at:], "no time was left")
                    break
                row, sent = self._one(ground, load, fault)
                rows.append((row, sent))
                if row.seconds_to_normal is None and not row.skipped:
                    return faults[at + 1 :]
            return []
        finally:
            load.stop()

    def _one(self, ground: Ground, load: SteadyLoad, fault: ServerFault) -> tuple[FaultRow, list[Sent]]:
        row = FaultRow(fault.name, fault.about)
        self.rows.append(row)
        made = time.monotonic()
        try:
            notes = [fault.make(ground)]
            time.sleep(fault.hold)
            notes.append(fault.mend(ground))
        except CannotFault as error:
            row.skipped = str(error)
            self._told(f"{fault.name}: skipped: {error}")
            return row, []
        there = self._calm(load, made, fault.patience, lambda: fault.over(ground))
        sent = [each for each in list(load.sent) if each.due >= made or not each.done or each.done >= made]
        fill(row, [each for each in sent if each.done], made, there)
        row.note = ", ".join(filter(None, notes))
        self._told(line(row))
        return row, sent

    def _calm(
        self, load: SteadyLoad, since: float, seconds: float, over: Callable[[], bool] = lambda: True
    ) -> float | None:
        """Wait until everything has been answered as ever for a while; None when that does not come in time.

        Else the moment at which `over` held, not before `since`.
        """
        there = since if over() else None
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(0.2)
            now = time.monotonic()
            if there is None and over():
                there = now
            lately = [each for each in list(load.sent) if now - CALM - 1.0 <= each.due <= now - 1.0]
            calm = bool(lately) and all(each.done and each.normal for each in lately)
            if there is not None and calm and now - since >= CALM + 1.0:
                return there
        return None

    def _skip(self, faults: Iterable[ServerFault], why: str) -> None:
        for fault in faults:
            self.rows.append(FaultRow(fault.name, fault.about, skipped=why))
            self._told(f"{fault.name}: SKIPPED: {why}")


def abnormal(sent: Sequence[Sent]) -> str:
    """The last request that was not answered as ever, in words."""
    last = next((each for each in reversed(sent) if not each.normal), None)
    return "" if last is None else f"{last.status} {last.degraded} {last.wrong}".strip()


def line(row: FaultRow) -> str:
    """A row in a line, for whoever waits."""
    back = "NEVER NORMAL AGAIN" if row.seconds_to_normal is None else f"normal after {row.seconds_to_normal} s"
    errors = ", ".join(f"{count} x {status}" for status, count in row.errors.items()) or "no errors"
    wrong = f"; {row.wrong} WRONG: {row.wrong_why}" if row.wrong else ""
    return f"{row.fault}: {row.requests} requests, {errors}, {row.degraded} degraded, {back}{wrong} {row.note}".strip()
