"""Experiments as they are defined, for reports: those that were started, and those of a project's file alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cluster.errors import ConfigError
from cluster.experiments.definition import Experiment
from cluster.experiments.files import read_experiments
from cluster.experiments.register import Register
from cluster.settings.parsing import near
from cluster.settings.project import Project
from cluster.store.home import control_root
from training.experiments.trial import TrialSettings


@dataclass(frozen=True)
class KnownExperiment:
    """A definition, and what became of it: `runs`, `stopped`, or `not started`."""

    experiment: Experiment
    state: str
    started: str = ""
    stopped: str = ""


def started_experiments(project: Project) -> dict[str, KnownExperiment]:
    """By name, those that run first, the newest of them first."""
    kept = Register(control_root(project.home, project.control)).kept()
    known = [
        KnownExperiment(one.experiment, "runs" if one.runs else "stopped", one.started, one.stopped or "")
        for one in reversed([*kept.values()])  # times are whole seconds, and some were started within one
    ]
    known.sort(key=lambda one: one.started, reverse=True)
    known.sort(key=lambda one: one.state != "runs")
    return {one.experiment.name: one for one in known}


def known_experiments(project: Project, file: Path) -> dict[str, KnownExperiment]:
    """The same, and those of the file that were never started. Raises ConfigError for a file with faults."""
    known = started_experiments(project)
    if file.exists():
        for name, experiment in read_experiments(file).items():
            known.setdefault(name, KnownExperiment(experiment, "not started"))
    return known


def find_experiment(known: Mapping[str, KnownExperiment], name: str) -> Experiment:
    """One by name. Raises ConfigError with those that there are."""
    if name in known:
        return known[name].experiment
    there = ", ".join(known) or "none: write experiments.yaml and run `pinfunnel experiment start`"
    raise ConfigError(f"no experiment is called {name!r}{near(name, known)}; there are: {there}")


def trial_of(experiment: Experiment) -> TrialSettings:
    """What a report needs of it."""
    return TrialSettings(
        experiment.name,
        experiment.clients,
        {name: arm.weight for name, arm in experiment.arms.items()},
        experiment.action,
        experiment.design,
        experiment.traffic,
        experiment.guardrails,
        experiment.horizon.kind,
        experiment.horizon.days,
        experiment.window_minutes,
    )
