"""models: every stored version of graphs, rankers and quotas; which one serves is changed here by hand."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from apps.commands.bundles import prune
from apps.commands.options import DEFAULT_PROJECT, JsonFile, ProjectFile
from apps.console import console, guarded, write_json
from apps.project import Opened, open_project
from cluster.errors import BundleError, ConfigError

if TYPE_CHECKING:
    from cluster.store.bundles import BundleStore
    from training.registry.changes import Changed

models_app = typer.Typer(
    no_args_is_help=True,
    help="Every stored version of graphs and models: list, show, compare, publish, roll back, hold.",
)

KindName = Annotated[str, typer.Argument(metavar="KIND", help="as `models list` names it: graph, lightweight/homefeed")]
VersionName = Annotated[
    str | None, typer.Argument(metavar="[VERSION]", help="or how it begins; default: the one that serves")
]
Why = Annotated[str, typer.Option(help="a few words, kept beside the decision")]


@models_app.command("list")
def list_versions(
    kind: Annotated[str | None, typer.Option(help="only this kind")] = None,
    newest: Annotated[int, typer.Option(min=1, help="versions of each kind that are shown")] = 5,
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
) -> None:
    """Every version of every kind: whether it serves, what its gate said, and a few figures."""
    with guarded():
        from apps.reports import versions_table
        from training.registry.versions import read_kind, read_kinds

        store = _store(open_project(project))
        kinds = read_kinds(store) if kind is None else (read_kind(store, kind),)
        for line in versions_table.list_lines(kinds, newest):
            console.print(line, highlight=False, soft_wrap=True)
        write_json(out, {one.name: versions_table.kind_facts(one) for one in kinds})


@models_app.command("show")
def show_version(
    kind: KindName, version: VersionName = None, project: ProjectFile = DEFAULT_PROJECT, out: JsonFile = None
) -> None:
    """All that one version tells: gate, figures, the log it learned from, its most used features, its fit, its files.

    pinfunnel models show lightweight/homefeed
    """
    with guarded():
        from apps.reports import versions_table
        from training.registry.details import read_details
        from training.registry.versions import find_version, read_kind

        store = _store(open_project(project))
        found = read_details(store, find_version(store, read_kind(store, kind), version))
        for line in versions_table.detail_lines(found):
            console.print(line, highlight=False, soft_wrap=True)
        write_json(out, {**asdict(found), "meta": dict(found.version.meta)})


@models_app.command("diff")
def diff_versions(
    kind: KindName,
    before: Annotated[str, typer.Argument(help="a version, or how it begins")],
    after: Annotated[str | None, typer.Argument(help="default: the one that serves")] = None,
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
) -> None:
    """Where the manifests of two versions differ: settings, data, figures. `evaluate model` judges both on one log.

    pinfunnel models diff lightweight/homefeed 20261128T225944
    """
    with guarded():
        from apps.reports import versions_table
        from training.registry.differences import differences
        from training.registry.versions import find_version, read_kind

        store = _store(open_project(project))
        found = read_kind(store, kind)
        pair = [find_version(store, found, one) for one in (before, after)]
        differing = differences(pair[0].meta, pair[1].meta)
        for line in versions_table.difference_lines(pair[0], pair[1], differing):
            console.print(line, highlight=False)
        write_json(out, [asdict(one) for one in differing])


@models_app.command("publish")
def publish(
    kind: KindName,
    version: Annotated[str, typer.Argument(help="a version, or how it begins")],
    anyway: Annotated[bool, typer.Option("--anyway", help="also one that was refused or taken back")] = False,
    project: ProjectFile = DEFAULT_PROJECT,
) -> None:
    """Make a stored version serve. Running servers swap to it by themselves."""
    with guarded():
        from training.registry.changes import publish_version

        opened = open_project(project)
        store = _store(opened)
        _tell(opened, store, publish_version(opened.project, store, kind, version, anyway))


@models_app.command("rollback")
def rollback(
    kind: KindName,
    to: Annotated[str | None, typer.Option(help="this version; default: the newest one before that passed")] = None,
    why: Why = "",
    hold: Annotated[bool, typer.Option("--hold", help="and publish no newer one until `models release`")] = False,
    project: ProjectFile = DEFAULT_PROJECT,
) -> None:
    """Take back what serves and publish the version before it. Nothing falls back on the one taken back.

    The next training may publish a newer one, if its gate lets it: --hold keeps what is there now.

    pinfunnel models rollback lightweight/homefeed --why 'saves fell on Friday'
    """
    with guarded():
        from training.registry import changes

        opened = open_project(project)
        store = _store(opened)
        done = changes.roll_back(opened.project, store, kind, to, why)
        if hold:
            changes.hold(store, kind, why)
        _tell(opened, store, done)


@models_app.command("hold")
def hold(kind: KindName, why: Why = "", project: ProjectFile = DEFAULT_PROJECT) -> None:
    """Keep what serves: new versions are stored, and published by hand only."""
    with guarded():
        from training.registry import changes

        changes.hold(_store(open_project(project)), kind, why)
        console.print(f"{kind} is held: `pinfunnel models release {kind}` ends that")


@models_app.command("release")
def release(kind: KindName, project: ProjectFile = DEFAULT_PROJECT) -> None:
    """End a hold: new versions are published again when they pass their gate."""
    with guarded():
        from training.registry import changes

        changes.release(_store(open_project(project)), kind)
        console.print(f"{kind} is not held any longer: the next version that passes its gate is published")


@models_app.command("track")
def track(
    kind: Annotated[str | None, typer.Argument(metavar="[KIND]", help="only rankers of this kind")] = None,
    project: ProjectFile = DEFAULT_PROJECT,
    out: JsonFile = None,
) -> None:
    """Tell the MLflow server of `telemetry.mlflow` of every stored ranker that it does not know.

    Training does so by itself: this is for what was trained before a server was set, or while it was away. Exit code 1:
    it could not be told of all.
    """
    with guarded():
        from training.registry.versions import read_kind, read_kinds
        from training.tracking.tell import is_ranker, tell_versions

        opened = open_project(project)
        if opened.project.telemetry.mlflow is None:
            raise ConfigError(f"{project}: no server is set: telemetry: {{mlflow: http://host:5000}}")
        store = _store(opened)
        found = read_kinds(store) if kind is None else (read_kind(store, kind),)
        rankers = [one for one in found if is_ranker(one.name)]
        if not rankers:
            raise BundleError(f"no ranker is stored under {store.root}: train one first")
        wanted = [(one.name, version.version) for one in rankers for version in reversed(one.versions)]
        told = tell_versions(opened.project, store, wanted)
        console.print(f"{len(told.runs)} of {len(wanted)} versions have a run", highlight=False)
        write_json(out, {f"{name} {version}": run for (name, version), run in told.runs.items()})
        if told.untold:
            raise typer.Exit(1)


models_app.command("prune")(prune)


def _store(opened: Opened) -> "BundleStore":
    from cluster.store.bundles import BundleStore
    from cluster.store.home import bundles_root

    return BundleStore(bundles_root(opened.project.home))


def _tell(opened: Opened, store: "BundleStore", done: "Changed") -> None:
    """Says it here, and to a tracking server where there is one."""
    from training.tracking.tell import tell_versions

    console.print(f"{done.kind}: {done.now} serves now, instead of {done.before or 'nothing'}", highlight=False)
    tell_versions(opened.project, store, [(done.kind, done.now)])
