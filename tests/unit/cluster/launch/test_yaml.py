"""cluster.yaml and on-prem.yaml pass Ray's own checks, and set the same flags on every node where Ray starts."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private import util

from cluster.session import CLUSTER_FLAGS

ROOT = Path(__file__).parents[4]
LAUNCH = ROOT / "cluster" / "launch"
AWS, ON_PREM, GCP = ROOT / "cluster.yaml", LAUNCH / "on-prem.yaml", LAUNCH / "gcp.yaml"


def prepared(path: Path) -> dict[str, Any]:
    """The file as `ray up` has it before it talks to a provider: defaults filled in, then validated."""
    config = util.prepare_config(yaml.safe_load(path.read_text()))
    util.validate_config(config)
    return config


def exports(script: str) -> dict[str, str]:
    return dict(re.findall(r"^export (RAY_\w+)=(\S+)$", script, flags=re.MULTILINE))


@pytest.mark.parametrize("path", [AWS, ON_PREM, GCP], ids=["aws", "on-prem", "gcp"])
def test_ray_accepts_the_file(path: Path) -> None:
    assert prepared(path)["head_node_type"]


@pytest.mark.parametrize("path", [AWS, ON_PREM, GCP], ids=["aws", "on-prem", "gcp"])
def test_a_key_that_ray_does_not_know_is_refused(path: Path) -> None:
    config = util.prepare_config(yaml.safe_load(path.read_text()))
    config["max_worker"] = 1
    with pytest.raises(Exception, match="max_worker"):
        util.validate_config(config)


@pytest.mark.parametrize("path", [AWS, GCP], ids=["aws", "gcp"])
def test_head_does_no_work_and_gpus_start_on_demand(path: Path) -> None:
    types = prepared(path)["available_node_types"]
    assert types["head"]["resources"]["CPU"] == 0
    assert types["cpu_worker"]["min_workers"] >= 1
    assert (types["gpu_worker"]["min_workers"], types["gpu_worker"]["max_workers"] > 0) == (0, True)


@pytest.mark.parametrize("path", [AWS, ON_PREM, GCP], ids=["aws", "on-prem", "gcp"])
def test_head_starts_without_cpus_and_with_the_autoscaler(path: Path) -> None:
    start = prepared(path)["head_start_ray_commands"][-1]
    assert "--num-cpus=0" in start
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in start
    assert "--dashboard-host=127.0.0.1" in start


@pytest.mark.parametrize("path", [AWS, GCP], ids=["aws", "gcp"])
def test_walkers_of_a_large_graph_have_a_kind_of_node_that_starts_on_demand(path: Path) -> None:
    kind = prepared(path)["available_node_types"]["memory_worker"]
    assert kind["resources"]["memory_heavy"] == 1
    assert (kind["min_workers"], kind["max_workers"] > 0) == (0, True)


def test_flags_are_the_same_everywhere() -> None:
    wanted = {**CLUSTER_FLAGS, "RAY_AUTH_MODE": "token"}
    assert exports((LAUNCH / "node.sh").read_text().replace("$HOME/", "/home/ray/")) == wanted
    for path in (AWS, GCP):
        options = prepared(path)["docker"]["run_options"]
        assert dict(option[3:].split("=") for option in options if option.startswith("-e ")) == wanted


@pytest.mark.parametrize("path", [AWS, GCP], ids=["aws", "gcp"])
def test_the_head_gets_a_redis_where_the_comment_marks_are_taken_off(path: Path) -> None:
    text, marks = re.subn(r"(?m)^( +)# (head_run_options:|  - -e RAY_\w+=\S+)$", r"\1\2", path.read_text())
    assert marks == 4
    config = util.prepare_config(yaml.safe_load(text))
    util.validate_config(config)
    said = dict(option[3:].split("=") for option in config["docker"]["head_run_options"])
    assert said["RAY_external_storage_namespace"] == "pinfunnel"
    start = "${RAY_REDIS_PASSWORD:+--redis-password=$RAY_REDIS_PASSWORD}"
    for each in (config, prepared(ON_PREM)):
        assert each["head_start_ray_commands"][-1].endswith(start), "only where there is a password"
        assert "REDIS" not in each["worker_start_ray_commands"][-1]
    script = (LAUNCH / "node.sh").read_text()
    assert all(name in script for name in said), "as on machines of one's own"


def test_google_cloud_differs_from_aws_in_machines_only() -> None:
    aws, gcp = prepared(AWS), prepared(GCP)
    other = {"provider", "available_node_types", "head_setup_commands"}
    assert {key: value for key, value in aws.items() if key not in other} == {
        key: value for key, value in gcp.items() if key not in other
    }
    for name, kind in aws["available_node_types"].items():
        same = gcp["available_node_types"][name]
        assert (kind["min_workers"], kind["max_workers"]) == (same["min_workers"], same["max_workers"])


def test_on_prem_sources_the_flags_before_every_ray_command() -> None:
    config = prepared(ON_PREM)
    for command in config["head_start_ray_commands"] + config["worker_start_ray_commands"]:
        assert command.startswith(". ~/pinfunnel/cluster/launch/node.sh; ")


@pytest.mark.parametrize("path", [AWS, ON_PREM, GCP], ids=["aws", "on-prem", "gcp"])
def test_nodes_install_the_checkout_that_was_copied_to_them(path: Path) -> None:
    config = prepared(path)
    local = {remote: mount for remote, mount in config["file_mounts"].items() if mount == "."}
    (folder,) = local
    command = next(c for c in config["setup_commands"] if "constraints.txt" in c)
    assert command.startswith(f"cd {folder} && ")
    assert (ROOT / "constraints.txt").is_file()
    token = next(remote for remote, mount in config["file_mounts"].items() if mount == "~/.ray/auth_token")
    assert token.endswith("/.ray/auth_token")


def test_on_prem_keeps_every_machine() -> None:
    raw, config = yaml.safe_load(ON_PREM.read_text()), prepared(ON_PREM)
    (node,) = config["available_node_types"].values()
    assert node["min_workers"] == node["max_workers"] == len(raw["provider"]["worker_ips"])


def test_images_have_the_pinned_ray_and_a_supported_python() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), flags=re.MULTILINE))
    floor = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    files = [AWS, LAUNCH / "kuberay-rayservice.yaml", LAUNCH / "Dockerfile"]
    images = [tag for path in files for tag in re.findall(r"rayproject/ray:([\d.]+)-py3(\d+)", path.read_text())]
    assert {ray for ray, _ in images} == {pins["ray"]}
    assert all(int(minor) >= int(floor.removeprefix(">=3.")) for _, minor in images)
