"""`pinfunnel …`: composes the commands. Exit code 0: done, 1: your data or settings, 2: wrong usage."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from apps.commands import (
    bench,
    bundles,
    cluster,
    console,
    control,
    data,
    demo,
    deploy,
    evaluate,
    experiment,
    experiment_report,
    faults,
    fresh,
    keys,
    learn,
    loop,
    models,
    plan,
    recommend,
    sequence,
    serve,
    simulate,
    sources,
    stages,
    walk,
)

SHOWN_VERSIONS = ("ray", "torch", "xgboost-cpu", "numba", "pyarrow")

app = typer.Typer(
    name="pinfunnel",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A recommendation funnel you run yourself: walk, rank, serve, log, learn.\n\n"
    "First steps: [bold]pinfunnel demo[/]. With your own Parquet: write pinfunnel.yaml (docs/data.md), then "
    "[bold]validate[/], [bold]build-graph[/], [bold]serve[/]; with past interactions also [bold]backfill[/] and "
    "[bold]train lightweight --all[/].",
)


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _print_version(wanted: bool) -> None:
    if wanted:
        below = [f"{package} {_installed(package)}" for package in SHOWN_VERSIONS]
        typer.echo(f"pinfunnel {_installed('pinfunnel')}")
        typer.echo(", ".join([f"Python {platform.python_version()}", *below]))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="print the version, and those below it"),
    ] = False,
) -> None:
    pass


app.command("demo")(demo.demo)
app.command("validate")(data.validate)
app.command("build-graph")(data.build_graph)
app.command("add-edges")(data.add_edges)
app.command("add-pins")(fresh.add_pins)
app.command("walk")(walk.walk)
app.command("serve")(serve.serve)
app.command("console")(console.console)
app.command("recommend")(recommend.recommend)
app.command("similar")(recommend.similar)
app.command("plan")(plan.plan_capacity)
app.command("up")(cluster.up)
app.command("deploy")(deploy.deploy)
app.command("status")(cluster.status)
app.command("logs")(cluster.logs)
app.command("down")(cluster.down)
app.add_typer(keys.keys_app, name="keys")
app.command("backfill")(learn.backfill)
app.add_typer(learn.train_app, name="train")
evaluate.evaluate_app.command("stages")(stages.evaluate_stages)
evaluate.evaluate_app.command("sources")(sources.evaluate_sources)
evaluate.evaluate_app.command("sequence")(sequence.evaluate_sequence)
app.add_typer(evaluate.evaluate_app, name="evaluate")
experiment.experiment_app.command("report")(experiment_report.report_experiment)
experiment.experiment_app.command("explored")(experiment_report.explored_worth)
experiment.experiment_app.command("power")(experiment_report.power_of_experiment)
app.add_typer(experiment.experiment_app, name="experiment")
app.add_typer(models.models_app, name="models")
app.add_typer(bundles.bundles_app, name="bundles")
app.command("compact-logs")(data.compact_logs)
app.command("loop")(loop.loop)
app.command("retrain")(loop.retrain)
app.command("remove")(control.remove)
app.command("forget")(control.forget)
app.command("simulate")(simulate.simulate)
app.command("bench")(bench.bench)
app.command("faults")(faults.faults)


def main() -> None:
    """Entry point of the `pinfunnel` script."""
    app(prog_name="pinfunnel")


if __name__ == "__main__":
    main()
