"""The files beside on-prem.yaml parse, name things that exist, and agree with the code and with each other."""

import ast
import importlib
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from cluster.session import CLUSTER_FLAGS

ROOT = Path(__file__).parents[4]
LAUNCH = ROOT / "cluster" / "launch"
STAGES = {"ingress", "walk", "lightweight", "full", "events"}


def rayservice() -> dict[str, Any]:
    return yaml.safe_load((LAUNCH / "kuberay-rayservice.yaml").read_text())


def pods() -> list[dict[str, Any]]:
    config = rayservice()["spec"]["rayClusterConfig"]
    groups = [config["headGroupSpec"], *config["workerGroupSpecs"]]
    return [group["template"]["spec"]["containers"][0] for group in groups]


def application() -> dict[str, Any]:
    (app,) = yaml.safe_load(rayservice()["spec"]["serveConfigV2"])["applications"]
    return app


def test_serve_accepts_the_rayservice_config() -> None:
    schema = ServeDeploySchema.model_validate(yaml.safe_load(rayservice()["spec"]["serveConfigV2"]))
    assert [app.name for app in schema.applications] == ["pinfunnel"]
    assert schema.http_options.request_timeout_s


def test_import_path_is_a_builder_and_takes_the_arguments() -> None:
    app = application()
    module, name = app["import_path"].split(":")
    assert app["import_path"] == "apps.serve:build"
    serve = importlib.import_module(module)
    assert callable(getattr(serve, name))
    args = serve.FunnelArgs(**app["args"])
    assert args.walker_replicas == app["args"]["walker_replicas"]


def test_kubernetes_runs_the_application_that_serve_deploy_runs() -> None:
    (plain,) = yaml.safe_load((ROOT / "apps" / "serve.yaml").read_text())["applications"]
    assert {key: plain[key] for key in ("name", "route_prefix", "import_path")} == {
        key: application()[key] for key in ("name", "route_prefix", "import_path")
    }
    assert set(application()["args"]) <= set(plain["args"])


def test_every_pod_has_the_flags_and_the_operator_adds_the_token() -> None:
    assert len(pods()) >= 3
    for pod in pods():
        assert {entry["name"]: entry["value"] for entry in pod["env"]} == dict(CLUSTER_FLAGS)
    assert rayservice()["spec"]["rayClusterConfig"]["authOptions"] == {"mode": "token"}


def test_the_head_pod_does_no_work_and_gpu_pods_start_on_demand() -> None:
    config = rayservice()["spec"]["rayClusterConfig"]
    assert config["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    gpu = next(group for group in config["workerGroupSpecs"] if group["groupName"] == "gpu")
    assert (gpu["replicas"], gpu["minReplicas"]) == (0, 0)


def test_pods_with_much_memory_have_the_resource_that_nodes_elsewhere_have() -> None:
    groups = rayservice()["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    memory = next(group for group in groups if group["groupName"] == "memory")
    (said,) = shlex.split(memory["rayStartParams"]["resources"])  # by a shell, as the operator runs `ray start`
    assert json.loads(said) == {"memory_heavy": 1}
    assert (memory["replicas"], memory["minReplicas"]) == (0, 0)


def test_volumes_that_pods_mount_exist() -> None:
    config = rayservice()["spec"]["rayClusterConfig"]
    for group in [config["headGroupSpec"], *config["workerGroupSpecs"]]:
        spec = group["template"]["spec"]
        mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
        assert mounted <= {volume["name"] for volume in spec["volumes"]}


def test_prometheus_reads_the_file_that_ray_writes() -> None:
    from ray._private.ray_constants import PROMETHEUS_SERVICE_DISCOVERY_FILE

    (job,) = yaml.safe_load((LAUNCH / "prometheus.yaml").read_text())["scrape_configs"]
    assert job["file_sd_configs"][0]["files"] == [f"/tmp/ray/{PROMETHEUS_SERVICE_DISCOVERY_FILE}"]


@pytest.fixture(params=sorted((LAUNCH / "grafana").glob("*.json")), ids=lambda path: path.stem)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    return json.loads(request.param.read_text())


def test_dashboard_has_distinct_panels_that_do_not_overlap(dashboard: dict[str, Any]) -> None:
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 8
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))


def test_dashboard_asks_for_metrics_that_ray_or_the_ingress_reports(dashboard: dict[str, Any]) -> None:
    known = ray_metrics() | own_metrics()
    asked = {
        name for panel in dashboard["panels"] for t in panel["targets"] for name in re.findall(r"ray_\w+", t["expr"])
    }
    assert asked
    assert asked <= known, f"no such metrics: {sorted(asked - known)}"


def ray_metrics() -> set[str]:
    """Names in Ray's own dashboards, and those that Serve declares, with the endings of counters and histograms."""
    import ray

    package = Path(ray.__file__).parent
    panels = "".join(
        path.read_text() for path in (package / "dashboard/modules/metrics/dashboards").glob("*_panels.py")
    )
    sources = "".join(path.read_text() for path in (package / "serve/_private").glob("*.py"))
    declared = set(re.findall(r'"(serve_\w+)"', sources)) | {"serve_num_http_requests", "serve_http_request_latency_ms"}
    return set(re.findall(r"ray_\w+", panels)) | {f"ray_{name}{end}" for name in declared for end in ENDINGS}


ENDINGS = ("", "_total", "_bucket", "_count")


def own_metrics() -> set[str]:
    tree = ast.parse((ROOT / "serving" / "deploy" / "declared.py").read_text())
    names = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return {f"ray_{name}{end}" for name in names if name.startswith("pinfunnel_") for end in ENDINGS}


def test_deployments_are_named_after_their_stages() -> None:
    deployments = importlib.import_module("serving.deploy.replicas")
    names = {value.name for name, value in vars(deployments).items() if name.endswith("Deployment")}
    assert names == STAGES
