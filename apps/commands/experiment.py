"""experiment: starts, changes and stops experiments, and says who is in them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.options import DEFAULT_PROJECT, JsonFile, ProjectFile, moment
from apps.console import console, guarded, write_json
from apps.project import Opened, open_project
from cluster.errors import ConfigError, in_short

if TYPE_CHECKING:
    from cluster.experiments.definition import Experiment
    from cluster.experiments.register import Register

experiment_app = typer.Typer(no_args_is_help=True, help="Experiments: start, change, stop, and who is in them.")

ExperimentName = Annotated[str, typer.Argument(metavar="NAME", help="as the file of experiments names it")]
ExperimentsFile = Annotated[
    Path | None,
    typer.Option("--file", dir_okay=False, help="the file of experiments; default: the project's `experiments`"),
]


@experiment_app.command("check")
def check(file: ExperimentsFile = None, project: ProjectFile = DEFAULT_PROJECT) -> None:
    """Check the file of experiments: definitions, settings and versions of arms, and that they may run side by side.

    pinfunnel experiment check
    """
    with guarded():
        opened = open_project(project)
        found = read_file(opened, project, file)
        check_all(opened, list(found.values()))
        for each in found.values():
            console.print(f"{each.name}: {_line(each)}", highlight=False, soft_wrap=True)


@experiment_app.command("list")
def list_experiments(project: ProjectFile = DEFAULT_PROJECT, out: JsonFile = None) -> None:
    """Experiments that run, and those that ended.

    pinfunnel experiment list
    """
    with guarded():
        kept = register_of(open_project(project)).kept()
        for name, one in kept.items():
            when = f"since {one.started}" if one.runs else f"from {one.started} to {one.stopped}"
            console.print(f"{name}: {_line(one.experiment)}, {when}", highlight=False, soft_wrap=True)
        if not kept:
            console.print("no experiment was started")
        told = {
            name: {
                "experiment": one.experiment.model_dump(mode="json"),
                "started": one.started,
                "changed": one.changed,
                "stopped": one.stopped,
            }
            for name, one in kept.items()
        }
        write_json(out, told)


@experiment_app.command("start")
def start(name: ExperimentName, file: ExperimentsFile = None, project: ProjectFile = DEFAULT_PROJECT) -> None:
    """Start an experiment of the file, or take over what changed there of one that runs: its traffic, its report.

    Running servers follow within seconds. Nobody who stays in it gets another arm. The same is POST /v1/experiments.

    pinfunnel experiment start more_boards
    """
    with guarded():
        from cluster.settings.parsing import near

        opened = open_project(project)
        found = read_file(opened, project, file)
        if name not in found:
            raise ConfigError(f"the file has no experiment {name!r}{near(name, found)}; it has {', '.join(found)}")
        check_all(opened, [found[name]])
        try:
            kept = register_of(opened).start(found[name])
        except OSError as error:
            raise ConfigError(f"not stored: {in_short(error)}: run it again") from error
        console.print(f"{name} runs since {kept.started}: {_line(kept.experiment)}", highlight=False, soft_wrap=True)


@experiment_app.command("stop")
def stop(name: ExperimentName, project: ProjectFile = DEFAULT_PROJECT) -> None:
    """Stop an experiment: its users are answered like all others within seconds.

    pinfunnel experiment stop more_boards
    """
    with guarded():
        try:
            kept = register_of(open_project(project)).stop(name)
        except OSError as error:
            raise ConfigError(f"not stored: {in_short(error)}: run it again") from error
        console.print(f"{name} ran from {kept.started} to {kept.stopped}", highlight=False)


@experiment_app.command("assign")
def assign(
    name: ExperimentName,
    users: Annotated[list[str], typer.Argument(metavar="USER...", help="ids of users")],
    at: Annotated[str | None, typer.Option(help="for a switchback: the moment, like 2026-01-31T07:00Z; now")] = None,
    file: ExperimentsFile = None,
    project: ProjectFile = DEFAULT_PROJECT,
) -> None:
    """The arms that users have in an experiment that runs, or else stands in the file.

    pinfunnel experiment assign more_boards 7 8 9
    """
    with guarded():
        from cluster.contract.ids import IdContract
        from cluster.control.id_files import read_id
        from cluster.experiments.assignment import arm_of, exposure_of

        opened = open_project(project)
        kept = register_of(opened).kept().get(name)
        experiment = kept.experiment if kept is not None and kept.runs else None
        if experiment is None:
            experiment = read_file(opened, project, file).get(name)
        if experiment is None:
            raise ConfigError(f"no experiment {name!r} runs, and the file has none")
        when = int((moment(at, "--at") or datetime.now(UTC)).timestamp() * 1e6)
        contract = IdContract(opened.project.ids)
        for user in (read_id(each, contract) for each in users):
            told = exposure_of(experiment, arm_of(experiment, user, when))
            console.print(f"{user}: {', '.join(told) or 'not in it'}", highlight=False, soft_wrap=True, markup=False)


def file_of(opened: Opened, project: Path, file: Path | None = None) -> Path:
    """The file of experiments: what was asked for, what the project names, or `experiments.yaml` beside it."""
    return file or Path(opened.project.experiments or project.parent / "experiments.yaml")


def read_file(opened: Opened, project: Path, file: Path | None = None) -> "dict[str, Experiment]":
    """All experiments of the file. Raises ConfigError."""
    from cluster.experiments.files import read_experiments

    return read_experiments(file_of(opened, project, file))


def register_of(opened: Opened) -> "Register":
    """Which experiments of the project run."""
    from cluster.experiments.register import Register
    from cluster.store.home import control_root

    return Register(control_root(opened.project.home, opened.project.control))


def check_all(opened: Opened, experiments: "Sequence[Experiment]") -> None:
    """Each alone, and beside those that run and the others. Raises ConfigError."""
    from cluster.experiments.register import refusal
    from cluster.store.bundles import BundleStore
    from cluster.store.home import bundles_root
    from serving.experiments.checks import check_experiment

    register = register_of(opened)
    store = BundleStore(bundles_root(opened.project.home))
    for each in experiments:
        beside = {one.name: one for one in (*register.running(), *experiments)}
        check_experiment(each, list(beside.values()), opened.project, opened.clients, store)
        if why := refusal(each, register.kept()):
            raise ConfigError(f"experiment {why}")


def _line(experiment: "Experiment") -> str:
    shares = ", ".join(f"{arm} {100 * share:.4g} %" for arm, share in experiment.shares.items())
    if experiment.design == "interleaving":
        shares = " against ".join(experiment.arms)
    part = f"[{experiment.start:g}, {experiment.end:g}) of layer {experiment.layer_name}"
    return f"{experiment.design} of {', '.join(experiment.clients)}, {part}, {shares}, decided by {experiment.action}"
