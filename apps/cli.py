"""`pinfunnel …`: composes the commands. Exit code 0: done, 1: your data or settings, 2: wrong usage."""

import typer

from apps.commands import data, evaluate, learn, run

app = typer.Typer(
    name="pinfunnel",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A recommendation funnel you run yourself: walk, rank, serve, log, learn.\n\n"
    "First steps: [bold]pinfunnel demo[/]. With your own Parquet: write pinfunnel.yaml (docs/data.md), then "
    "[bold]validate[/], [bold]build-graph[/], [bold]serve[/]; with past interactions also [bold]backfill[/] and "
    "[bold]train lightweight --all[/].",
)
app.command("demo")(run.demo)
app.command("validate")(data.validate)
app.command("build-graph")(data.build_graph)
app.command("add-edges")(data.add_edges)
app.command("walk")(data.walk)
app.command("serve")(run.serve)
app.command("backfill")(learn.backfill)
app.add_typer(learn.train_app, name="train")
app.add_typer(evaluate.evaluate_app, name="evaluate")
app.command("compact-logs")(data.compact_logs)
app.command("simulate")(run.simulate)
app.command("bench")(run.bench)


def main() -> None:
    """Entry point of the `pinfunnel` script."""
    app()


if __name__ == "__main__":
    main()
