"""Which experiments run, for any number of processes: a journal in the project's folder of what was asked for by hand.

What a line says depends on the lines before it alone, so that every process that reads it has the same experiments,
whenever it started. One that was started while it could not run beside others never ran.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cluster.control.journal import Entry, Journal, JournalReader
from cluster.errors import ConfigError
from cluster.experiments.definition import Experiment
from cluster.experiments.layers import conflict

FILE = "experiments.jsonl"


@dataclass(frozen=True)
class Kept:
    """One experiment that was started."""

    experiment: Experiment  # as it was told last
    started: str  # ISO 8601, UTC
    changed: str
    stopped: str | None = None  # None: it runs

    @property
    def runs(self) -> bool:
        """Whether it runs."""
        return self.stopped is None


class Register:
    """Of a project. Thread-safe."""

    def __init__(self, folder: str | Path):
        """`folder`: the project's, of what was asked for by hand; it need not be there."""
        self._journal = Journal(Path(folder) / FILE)
        self._reader = JournalReader(self._journal, _order)
        self._kept: Mapping[str, Kept] = {}
        self._running: tuple[Experiment, ...] = ()

    def running(self) -> tuple[Experiment, ...]:
        """Those that run, as of this moment. Nothing changed as long as it is the same object."""
        self._reader.look(self._take)
        return self._running

    def kept(self) -> Mapping[str, Kept]:
        """All that were ever started, by name; what their last start said."""
        self._reader.look(self._take)
        return self._kept

    def start(self, experiment: Experiment) -> Kept:
        """Start it, or change one that runs. Holds in every process soon after. Raises ConfigError and OSError."""
        if why := refusal(experiment, self.kept()):
            raise ConfigError(why)
        told = experiment.model_dump(mode="json", exclude_defaults=True)
        self._journal.append([{"at": _now(), "start": told}])
        found = self.kept().get(experiment.name)
        if found is None or found.experiment != experiment or not found.runs:  # somebody else was a moment earlier
            raise ConfigError(refusal(experiment, self.kept()) or f"{experiment.name}: changed meanwhile: try again")
        return found

    def stop(self, name: str) -> Kept:
        """End it: from now on its users are answered like all others. Raises ConfigError and OSError."""
        found = self.kept().get(name)
        if found is None:
            running = ", ".join(each.name for each in self.running())
            raise ConfigError(f"no experiment is called {name!r}; running: {running or 'none'}")
        if found.runs:
            self._journal.append([{"at": _now(), "stop": name}])
        return self.kept()[name]

    def _take(self, orders: "list[_Order]", anew: bool) -> None:
        kept = {} if anew else dict(self._kept)
        for order in orders:
            before = kept.get(order.name)
            if order.experiment is None:
                if before is not None and before.runs:
                    kept[order.name] = replace(before, stopped=order.at)
            elif not refusal(order.experiment, kept):
                began = before.started if before is not None and before.runs else order.at
                kept[order.name] = Kept(order.experiment, began, order.at)
        self._kept = kept
        self._running = tuple(one.experiment for one in kept.values() if one.runs)


def refusal(experiment: Experiment, kept: Mapping[str, Kept]) -> str:
    """Why it may not be started beside what runs, in one line; empty when it may."""
    before = kept.get(experiment.name)
    if before is not None:
        now = _assigns(experiment)
        changed = [what for what, told in _assigns(before.experiment).items() if told != now[what]]
        if changed:
            does = "runs" if before.runs else "ran"
            return (
                f"{experiment.name}: it {does} with other {changed[0]}, and users would count for an arm that they "
                "did not have: only its part of the layer, and what is reported, may change; name the new one otherwise"
            )
    return conflict(experiment, [one.experiment for one in kept.values() if one.runs])


def _assigns(experiment: Experiment) -> dict[str, object]:
    """What gives users their arms, and arms their meaning."""
    return {
        "clients": experiment.clients,
        "design": experiment.design,
        "layer": experiment.layer_name,
        "salt": experiment.salt or experiment.name,
        "arms": list(experiment.arms.items()),
        "minutes": experiment.window_minutes,
    }


@dataclass(frozen=True)
class _Order:
    """One line of the journal."""

    at: str
    name: str
    experiment: Experiment | None  # None: stop


def _order(entry: Entry) -> _Order:
    """Raises ValueError and KeyError for a line that says nothing."""
    at = str(entry["at"])
    if "stop" in entry:
        return _Order(at, str(entry["stop"]), None)
    experiment = Experiment.model_validate(entry["start"])
    return _Order(at, experiment.name, experiment)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
