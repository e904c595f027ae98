"""The whole loop on one machine, as one function: world, graph, serve, log, train, hot swap, and was it worth it.

Everything goes through what a user would use: Parquet files, `pinfunnel.yaml`, HTTP, the logs. Ray and Serve run in
this process's own local cluster, which ends with it.
"""

import json
import logging
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from apps.demo.folder import claim
from apps.demo.progress import RunningStep, Steps
from apps.project import Opened, open_project
from apps.reports.comparison import Comparison, compare, table
from apps.reports.comparison_html import write_html
from apps.reports.lift_svg import write_lift_svg
from apps.serve import start
from apps.server import Server
from apps.world.plan import RANKED, VISIT_COUNT, Arm, SimulationPlan, split_users
from apps.world.simulate import Simulator
from apps.world.traffic import Traffic
from apps.world.world import World
from cluster import kinds, session
from cluster.catalog.build import build_catalog
from cluster.errors import DataError, MissingPackageError, ModelError
from cluster.ports import free_ports
from cluster.settings.clients import Client
from cluster.settings.project import Project
from cluster.validate.validation import validate
from serving.deploy.process import Process
from training.full.train import train_full_ranker
from training.lightweight.train import train_all_lightweight

COLD = Arm("cold", "ranked")
WARM = Arm("warm", "ranked")
"""The log is small: small batches, or three passes would be some fifty steps."""
SWAP_SECONDS = 60.0


@dataclass(frozen=True)
class DemoSize:
    """How large the world is, and how many requests each stretch of traffic has."""

    pins: int = 20_000
    boards: int = 5_000
    users: int = 1_000
    cold: int = 1_800
    warm: int = 600
    measured: int = 1_800


@dataclass(frozen=True)
class DemoResult:
    """What came of it; `table` shows the same as `report.html`."""

    folder: Path
    comparison: Comparison
    versions: Mapping[str, str | None]
    seconds: Mapping[str, float]
    requests: int
    reasons: Mapping[str, str] = field(repr=False)  # what the gate said, by bundle

    def as_json(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        return {
            "comparison": self.comparison.as_json(),
            "versions": dict(self.versions),
            "seconds": dict(self.seconds) | {"total": sum(self.seconds.values())},
            "requests": self.requests,
            "gate": dict(self.reasons),
        }


def run(folder: str | Path, size: DemoSize | None = None, seed: int = 0, console: Console | None = None) -> DemoResult:
    """Run the demo below `folder` and print its table. Starts a local Ray unless one runs, and ends what it started.

    Raises PinfunnelError with what went wrong in one line.
    """
    size = size or DemoSize()
    folder = Path(folder)
    console = console or Console()
    session.set_flags()
    claim(folder)
    steps = Steps(console, total=10)
    with steps.step("Make a world") as step:
        world = World.make(seed, size.pins, size.boards, size.users)
        # A laptop serves, simulates and trains at once: an answer may take longer than a budget for users allows, and
        # the stages share a replica, as hops between processes cost more than the stages here.
        serving = {"deadline_ms": 10_000.0, "shape": "colocated"}
        path = world.write(folder, {"home": "home", "serving": serving})
        step.note(f"{len(world.edges.pin):,} saves of {size.pins:,} pins, {len(world.history.user):,} past actions")
    opened = open_project(path)
    with steps.step("Validate the files") as step:
        checked = validate(opened.project, step.tick)
        if not checked.ok:
            raise DataError(checked.text())
        rows, used = (sum(getattr(found, what) for found in checked.tables.values()) for what in ("rows", "used"))
        step.note(f"{rows:,} rows, {rows - used:,} to be dropped")
    with ExitStack() as held:
        with steps.step("Start Ray"):
            held.enter_context(session.session(dashboard=False))
            _quiet_ray_data()
        result = _loop(steps, world, opened, path, size, seed)
    (folder / "report.json").write_text(json.dumps(result.as_json(), indent=2))
    _summary(console, result)
    return result


def _loop(steps: Steps, world: World, opened: Opened, path: Path, size: DemoSize, seed: int) -> DemoResult:
    project = opened.project
    clients = opened.clients
    process = opened.new_process()
    train, held_out = split_users(world)
    with steps.step("Build the graph") as step:
        version = build_catalog(project, process.store, progress=step.tick)
        step.note(version)
    with steps.step("Serve it") as step:
        [port] = free_ports(1)
        server = start(str(path), port=port)
        step.note(f"{server.url}, in visit-count order")
    users = Simulator(world, server.url)
    try:
        with steps.step("Two days of traffic, cold") as step:
            cold = _traffic(users, SimulationPlan(train, size.cold, 0.0, 2.0, (COLD,), seed=seed), server, step)
        with steps.step("Train a lightweight ranker per client") as step:
            light = train_all_lightweight(project, clients, process.store, process.logs, progress=step.tick)
            published = {kinds.lightweight(name): one.version for name, one in light.items() if one.published}
            _await_swap(server, published, step)
            step.note(f"{len(published)} of {len(light)} published and swapped in")
        with steps.step("A day of traffic, lightweight") as step:
            warm = _traffic(users, SimulationPlan(train, size.warm, 2.0, 1.0, (WARM,), seed=seed + 1), server, step)
        with steps.step("Train the full ranker") as step:
            full_reason = _train_full(project, clients, process, server, step)
            step.note("published and swapped in" if full_reason.startswith("published") else full_reason)
        with steps.step("Compare on held-out users, later") as step:
            plan = SimulationPlan(held_out, size.measured, 3.0, 2.0, (VISIT_COUNT, RANKED), seed=seed + 2)
            measured = _traffic(users, plan, server, step)
        versions = _models(server.url)
    finally:
        server.stop()
    comparison = compare(measured, utilities={name: client.utility for name, client in clients.items()})
    reasons = {kinds.lightweight(name): one.reason for name, one in light.items()} | {kinds.FULL: full_reason}
    for name, part in (("cold", cold), ("warm", warm), ("measured", measured)):
        part.save(path.parent / f"traffic-{name}.json")
    total = sum(int(part.requests.sum()) for part in (cold, warm, measured))
    result = DemoResult(path.parent, comparison, versions, steps.seconds, total, reasons)
    write_html(comparison, path.parent / "report.html", "pinfunnel demo", _facts(result, size, seed))
    write_lift_svg(comparison.primary, path.parent / "lift.svg")
    return result


def _train_full(
    project: Project, clients: Mapping[str, Client], process: Process, server: Server, step: RunningStep
) -> str:
    """What the gate said, of a model that serves by then where it was published; or why none was trained."""
    try:
        full = train_full_ranker(project, clients, process.store, process.logs, progress=step.tick)
    except MissingPackageError as error:
        return f"left out: {error}"
    _await_swap(server, {kinds.FULL: full.version} if full.published else {}, step)
    return full.reason


def _traffic(users: Simulator, plan: SimulationPlan, server: Server, step: RunningStep) -> Traffic:
    """Run a plan, then have every process of the server write its log: training is to see all of it."""
    seen = users.run(plan, step.tick)
    server.flush()
    degraded = sum(seen.degraded.values())
    step.note(
        f"{int(seen.requests.sum()):,} answers, {int(seen.did.sum()):,} actions, "
        f"{int(seen.requests.sum()) / seen.seconds:.0f} answers/s, p50 {seen.quantile(0.5):.0f} ms"
        + (f", {degraded:,} degraded" if degraded else "")
    )
    return seen


def _await_swap(server: Server, wanted: Mapping[str, str | None], step: RunningStep) -> None:
    """Wait until every process answers with the wanted versions. Raises ModelError when one does not."""
    step.tick("hot swap", 0.0)
    end = time.monotonic() + SWAP_SECONDS
    missing: Iterable[str] = wanted
    while time.monotonic() < end:
        served = [process.versions for process in server.served()]
        missing = [kind for kind, version in wanted.items() if any(one.get(kind) != version for one in served)]
        if not missing:
            return
        time.sleep(0.2)
    raise ModelError(f"the server did not load {', '.join(missing)} within {SWAP_SECONDS:.0f} s: see its log")


def _models(url: str) -> dict[str, str | None]:
    """The versions that serve, by kind."""
    told: dict[str, str | None] = httpx.get(f"{url}/readyz", timeout=30).json()["versions"]
    return told


def _facts(result: DemoResult, size: DemoSize, seed: int) -> dict[str, object]:
    stages = {f"seconds: {name}": f"{seconds:.1f}" for name, seconds in result.seconds.items()}
    versions = {f"version: {kind}": version for kind, version in sorted(result.versions.items())}
    gate = {f"gate: {kind}": reason for kind, reason in result.reasons.items()}
    sizes = ", ".join(f"{count:,} {what}" for what, count in asdict(size).items())
    return {"seed": seed, "sizes": sizes, "requests": f"{result.requests:,}"} | versions | gate | stages


def _summary(console: Console, result: DemoResult) -> None:
    console.print()
    console.print(table(result.comparison))
    better = sum(row.significant and (row.lift or 0) > 0 for row in result.comparison.primary)
    console.print(
        f"{better} of {len(result.comparison.primary)} clients are better beyond doubt on users and days that no model "
        f"was trained on. {result.requests:,} requests, {sum(result.seconds.values()):.0f} s in all.\n",
        highlight=False,
    )
    for kind, reason in result.reasons.items():
        if not reason.startswith("published"):
            console.print(f"{kind}: {reason}", highlight=False)
    folder = result.folder
    lines = (
        ("the report, all actions", folder / "report.html"),
        ("the inputs and settings", folder / "pinfunnel.yaml"),
        ("bundles and logs", folder / "home"),
    )
    for what, where in lines:
        console.print(f"  {what:<25}{where}", highlight=False, soft_wrap=True)
    console.print(f"\nNext: pinfunnel serve --project {folder / 'pinfunnel.yaml'}", highlight=False, soft_wrap=True)


def _quiet_ray_data() -> None:
    """Ray Data sets its own logging when imported, and logs its plans; the steps here show what happens."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.WARNING)
    ray.data.DataContext.get_current().enable_progress_bars = False
