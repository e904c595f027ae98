"""The extra `pinfunnel[mlflow]` against a real tracking server: `make test-mlflow` installs one and starts this.

PINFUNNEL_MLFLOW is the server's command; it runs in an environment of its own, the client of `mlflow-skinny` in ours.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

if not os.environ.get("PINFUNNEL_MLFLOW"):
    pytest.skip("no MLflow server: make test-mlflow", allow_module_level=True)
mlflow = pytest.importorskip("mlflow", reason="pip install 'pinfunnel[mlflow]'")

from apps.cli import app  # noqa: E402
from cluster.ports import free_ports  # noqa: E402
from cluster.settings.telemetry import TelemetrySettings  # noqa: E402
from cluster.store.bundles import BundleStore  # noqa: E402
from tests.worlds.bundles import world_of_all_kinds  # noqa: E402
from tests.worlds.funnel import publish_lightweight  # noqa: E402
from tests.worlds.logs import make_world  # noqa: E402
from tests.worlds.outside import soon  # noqa: E402
from training.lightweight.train import train_all_lightweight  # noqa: E402

KIND = "lightweight/homefeed"
PATIENCE = 240.0
"""Seconds for a server that makes its tables on a busy machine."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address."""
    folder = tmp_path_factory.mktemp("mlflow")
    [port] = free_ports(1)
    command = [
        *(os.environ["PINFUNNEL_MLFLOW"], "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", f"sqlite:///{folder}/runs.db", "--artifacts-destination", str(folder / "files")),
    ]
    settings = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | settings
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "server.log").read_text()[-2000:]
        try:
            return httpx.get(f"{url}/health", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    try:
        assert soon(answers, bool, PATIENCE), (folder / "server.log").read_text()[-2000:]
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


@pytest.fixture
def client(server: str) -> "mlflow.MlflowClient":
    return mlflow.MlflowClient(server)


def runs(client: "mlflow.MlflowClient", experiment: str) -> "dict[str, mlflow.entities.Run]":
    """By version."""
    found = client.get_experiment_by_name(experiment)
    return {run.data.tags["pinfunnel.version"]: run for run in client.search_runs([found.experiment_id])}


@pytest.mark.usefixtures("ray_session")
def test_a_training_is_told_with_its_choice_figures_curve_and_files(
    server: str, client: "mlflow.MlflowClient", tmp_path: Path
) -> None:
    world = make_world(tmp_path / "home", ("homefeed",), requests=120, n=40)
    telemetry = TelemetrySettings.model_validate({"mlflow": {"uri": server, "experiment": "trained"}})
    project = world.project.model_copy(update={"telemetry": telemetry})
    store = BundleStore(tmp_path / "bundles")
    outcome = train_all_lightweight(project, world.clients, store, world.logs)["homefeed"]
    assert outcome.version is not None
    assert outcome.published
    [(version, run)] = runs(client, "trained").items()
    assert version == outcome.version
    assert run.info.status == "FINISHED"
    assert run.data.params["strategy"] == "funnel_blended"
    assert run.data.params["trees.name"] == outcome.trees["name"]
    assert run.data.tags["pinfunnel.gate"] == outcome.reason
    ndcg = outcome.metrics["orders"]["lightweight"]["ndcg@10"]
    assert run.data.metrics["ndcg_at_10"] == pytest.approx(ndcg["mean"])
    assert run.data.metrics["orders/lightweight/ndcg_at_10/low"] == pytest.approx(ndcg["low"])
    [curve] = {name for name in run.data.metrics if name.startswith("rounds/")}
    assert len(client.get_metric_history(run.info.run_id, curve)) > 5
    folder = store.open(KIND, version).path
    got = Path(client.download_artifacts(run.info.run_id, "bundle", str(tmp_path)))
    assert {path.name for path in got.iterdir()} == {path.name for path in folder.iterdir()}
    assert (got / "model.ubj").read_bytes() == (folder / "model.ubj").read_bytes()
    model = client.get_model_version_by_alias("trained.lightweight.homefeed", "published")
    assert model.tags["pinfunnel.version"] == version
    assert model.run_id == run.info.run_id


def test_what_was_trained_before_is_told_once_and_the_alias_follows_who_serves(
    server: str, client: "mlflow.MlflowClient", tmp_path: Path
) -> None:
    opened = world_of_all_kinds(tmp_path)
    process = opened.new_process()
    first = process.store.current(KIND)
    second = publish_lightweight(process.store, process.features, "homefeed", "graph_visits")
    path = tmp_path / "pinfunnel.yaml"

    def command(*words: str) -> str:
        done = CliRunner().invoke(app, ["models", *words, "--project", str(path)])
        assert done.exit_code == 0, done.output
        return done.output

    refused = CliRunner().invoke(app, ["models", "track", "--project", str(path)])
    assert refused.exit_code == 1
    assert "no server is set" in refused.output
    path.write_text(path.read_text() + f"telemetry:\n  mlflow: {{uri: {server}, experiment: before}}\n")
    assert "3 of 3 versions have a run" in command("track")  # two of lightweight/homefeed, one of full
    once = runs(client, "before")
    assert {run.data.tags["pinfunnel.kind"] for run in once.values()} == {KIND, "full"}
    assert "2 of 2 versions" in command("track", KIND)
    assert {v: run.info.run_id for v, run in runs(client, "before").items()} == {
        v: run.info.run_id for v, run in once.items()
    }

    def serves() -> str:
        found = client.get_model_version_by_alias("before.lightweight.homefeed", "published")
        return str(found.tags["pinfunnel.version"])

    assert serves() == second
    command("rollback", KIND, "--to", str(first))
    assert serves() == first
    command("publish", KIND, second, "--anyway")
    assert serves() == second
    assert len(client.search_model_versions("name = 'before.lightweight.homefeed'")) == 2


def test_figures_alone_send_no_files(server: str, client: "mlflow.MlflowClient", tmp_path: Path) -> None:
    opened = world_of_all_kinds(tmp_path)
    path = tmp_path / "pinfunnel.yaml"
    settings = f"telemetry:\n  mlflow: {{uri: {server}, experiment: figures, bundles: false}}\n"
    path.write_text(path.read_text() + settings)
    done = CliRunner().invoke(app, ["models", "track", "full", "--project", str(path)])
    assert done.exit_code == 0, done.output
    [(version, run)] = runs(client, "figures").items()
    assert version == opened.new_process().store.current("full")
    assert client.list_artifacts(run.info.run_id) == []
    assert [m.name for m in client.search_registered_models() if m.name.startswith("figures")] == []
