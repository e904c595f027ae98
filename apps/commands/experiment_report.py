"""experiment report, power and explored: what experiments came to, users that they need, and what exploration tells."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from apps.commands.experiment import ExperimentName, ExperimentsFile, file_of
from apps.commands.options import (
    DEFAULT_PROJECT,
    ClientName,
    HtmlFile,
    JsonFile,
    ProjectFile,
    Since,
    Until,
    moment,
)
from apps.console import console, guarded, quiet, write_json
from apps.project import Opened, open_project, pick_clients
from cluster.errors import ConfigError, in_short

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cluster.store.logs import LogStore
    from training.experiments.explored import Order
    from training.experiments.trial import TrialSettings


def report_experiment(
    name: ExperimentName,
    since: Since = None,
    until: Until = None,
    carry_over: Annotated[
        float, typer.Option(min=0, help="switchback: minutes at the begin of each window that are left out")
    ] = 0.0,
    file: ExperimentsFile = None,
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
    html: HtmlFile = None,
) -> None:
    """What an experiment came to, from the logs: sample ratio, lifts with intervals, guardrails, verdict.

    The console shows the last report that was made. How to read it: docs/experimenting.md.

    pinfunnel experiment report more_boards --html report.html
    """
    with guarded():
        span = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        from apps.reports.experiment import headline, report_tables
        from apps.reports.experiment_html import write_experiment
        from cluster.store.home import logs_of
        from training.experiments.kept import keep_report
        from training.experiments.known import find_experiment, known_experiments, trial_of
        from training.experiments.report import as_json
        from training.experiments.run import run_report

        experiment = find_experiment(known_experiments(opened.project, file_of(opened, project, file)), name)
        trial = trial_of(experiment)
        if carry_over and (trial.design != "switchback" or carry_over >= trial.minutes):
            raise ConfigError(
                f"--carry-over: for a switchback, and less than its window of minutes; {name} is {trial.design}"
            )
        logs = logs_of(opened.project)
        with _ray_for(logs):
            report = run_report(opened.project, logs, trial, *span, carry_over)
        for line in headline(report):
            console.print(line, highlight=False, soft_wrap=True)
        for table in report_tables(report):
            console.print(table)
        for note in report.notes:
            console.print(note, highlight=False, soft_wrap=True)
        try:
            keep_report(opened.project, report)
        except OSError as error:
            console.print(f"not kept for the console: {in_short(error)}", highlight=False, soft_wrap=True)
        write_json(out, as_json(report))
        if html is not None:
            console.print(f"report: {write_experiment(report, html)}", highlight=False)


def power_of_experiment(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="an experiment that was started or is in the file")
    ] = None,
    client: ClientName = None,
    action: Annotated[str | None, typer.Option(help="what would decide; default: the experiment's, or save")] = None,
    traffic: Annotated[float | None, typer.Option(min=1e-6, max=1, help="share of users in it, of all arms")] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="days that it would run; so many of the log are read")] = 14,
    effect: Annotated[float, typer.Option(min=0.0001, max=10, help="lift to find: 0.05 is 5 %")] = 0.05,
    power: Annotated[float, typer.Option(min=0.5, max=0.999, help="chance to find it")] = 0.8,
    fixed: Annotated[bool, typer.Option("--fixed", help="for a fixed horizon, not always-valid intervals")] = False,
    file: ExperimentsFile = None,
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
) -> None:
    """Before the start: the smallest lift found in a number of days, and users an arm for a lift, from your own logs.

    pinfunnel experiment power --client homefeed --traffic 0.2 --days 14 --effect 0.02
    """
    with guarded():
        opened = open_project(project)
        from apps.reports.experiment import power_table
        from cluster.store.home import logs_of
        from training.experiments.plan import plan_power

        trial = _planned(opened, name, client, action, traffic, fixed, file_of(opened, project, file))
        logs = logs_of(opened.project)
        with _ray_for(logs):
            plan = plan_power(opened.project, logs, trial, days, effect, power)
        console.print(power_table(plan))
        for note in plan.notes:
            console.print(note, highlight=False, soft_wrap=True)
        write_json(out, plan.as_json())


def explored_worth(
    client: Annotated[
        str, typer.Option("--client", "-c", help="whose answers; its `sizes.explore` fills slots by chance")
    ],
    order: Annotated[str, typer.Option(help="what would fill them instead: visits, lightweight or full")] = "full",
    action: Annotated[str, typer.Option(help="what counts")] = "save",
    since: Since = None,
    until: Until = None,
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
) -> None:
    """What explored slots would have earned by an order instead of by chance: off-policy estimates from the log.

    pinfunnel experiment explored --client homefeed --order full
    """
    with guarded():
        from dataclasses import asdict, replace

        from apps.reports.experiment import explored_table
        from cluster.store.home import logs_of
        from training.experiments.explored import ORDERS, read_explored
        from training.experiments.off_policy import ESTIMATORS, policy_value

        span = moment(since, "--since"), moment(until, "--until")
        opened = open_project(project)
        one = pick_clients(opened, client)[client]
        if order not in ORDERS:
            raise ConfigError(f"--order: unknown order '{order}'; orders: {', '.join(ORDERS)}")
        check_action(opened, action)
        found = read_explored(opened.project, logs_of(opened.project), one, cast("Order", order), action, span)
        draws = found.draws()
        values = {f"by {order}, {name}": policy_value(draws, name) for name in ESTIMATORS}
        values["by chance"] = policy_value(replace(draws, chance=draws.propensity), "ips")
        console.print(explored_table(f"{action} a slot of {client}, {len(found):,} explored requests", values))
        if found.unsure:
            console.print(
                f"{found.unsure:,} requests left out: their policy left out survivors, and which is not logged"
            )
        write_json(out, {name: asdict(value) for name, value in values.items()} | {"left_out": found.unsure})


def check_action(opened: Opened, action: str) -> None:
    """Raises ConfigError for an action that the project does not have."""
    if action not in opened.project.actions:
        raise ConfigError(f"--action: unknown action '{action}'; actions: {', '.join(opened.project.actions)}")


def _ray_for(logs: "LogStore") -> "AbstractContextManager[object]":
    """A Ray session where there is more to read than one process does soon."""
    from contextlib import nullcontext

    from training.experiments.nearby import NEARBY_ROWS

    if logs.serving_files().rows + logs.event_files().rows <= NEARBY_ROWS:
        return nullcontext()
    from cluster import session

    quiet()
    return session.session(dashboard=False)


def _planned(
    opened: Opened,
    name: str | None,
    client: str | None,
    action: str | None,
    traffic: float | None,
    fixed: bool,
    file: Path,
) -> "TrialSettings":
    """What is asked for, or an experiment's own where nothing is. Raises ConfigError."""
    from dataclasses import replace

    from training.experiments.known import find_experiment, known_experiments, trial_of
    from training.experiments.trial import TrialSettings

    if name is not None:
        trial = trial_of(find_experiment(known_experiments(opened.project, file), name))
        if trial.design != "users":
            raise ConfigError(f"{name}: power is reckoned for `design: users`, and it is {trial.design}")
    elif client is None:
        raise ConfigError("name an experiment, or give --client")
    else:
        trial = TrialSettings("", (client,), {"control": 1.0, "treatment": 1.0}, "save")
    if client is not None:
        trial = replace(trial, clients=tuple(pick_clients(opened, client)))
    if action is not None:
        trial = replace(trial, action=action)
    check_action(opened, trial.action)
    if traffic is not None:
        trial = replace(trial, traffic=traffic)
    return replace(trial, horizon="fixed") if fixed else trial
