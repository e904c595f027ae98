"""The rights and the costs that cluster/launch/README.md tells are those of cluster.yaml and of Ray's own calls."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.loaders import Loader
from ray.autoscaler._private import aws

ROOT = Path(__file__).parents[4]
LAUNCH = ROOT / "cluster" / "launch"
README = (LAUNCH / "README.md").read_text()
CLUSTER = yaml.safe_load((ROOT / "cluster.yaml").read_text())
NODE_TYPES = CLUSTER["available_node_types"]
POLICIES = {path.stem: json.loads(path.read_text()) for path in sorted(LAUNCH.glob("iam-*.json"))}

RESOURCES = {
    "create_instances": "RunInstances",
    "instances": "DescribeInstances",
    "key_pairs": "DescribeKeyPairs",
    "security_groups": "DescribeSecurityGroups",
    "subnets": "DescribeSubnets",
    "authorize_ingress": "AuthorizeSecurityGroupIngress",
}
"""What boto3's objects call, by the name that Ray's code uses."""
NOT_USED = {"DescribeLaunchTemplateVersions"}
"""Asked where a node type names a launch template; ours name none."""
GB_MONTH, ADDRESS_HOUR, MONTH_HOURS = 0.08, 0.005, 730
"""List prices of gp3 and of a public IPv4 address, as the page tells them."""


def actions(policy: str) -> set[str]:
    return {action for statement in POLICIES[policy]["Statement"] for action in statement["Action"]}


def calls_of_ray() -> set[str]:
    """EC2's actions that Ray's code for AWS calls, as it is written."""
    code = "".join(path.read_text() for path in Path(aws.__path__[0]).glob("*.py"))
    named = re.findall(r"(?:ec2\w*|client)\.((?:describe|create|start|stop|terminate)_\w+)(?=\(|\n)", code)
    used = {"".join(part.title() for part in name.split("_")) for name in named if name not in RESOURCES}
    used |= {action for name, action in RESOURCES.items() if re.search(rf"\.{name}\b", code)}
    return used - {"CreateInstanceProfile"}  # IAM's, where no profile is given


def test_whoever_runs_ray_up_may_call_what_ray_calls_and_no_more() -> None:
    allowed = {action.removeprefix("ec2:") for action in actions("iam-launch") if action.startswith("ec2:")}
    assert {"RunInstances", "CreateTags", "TerminateInstances"} <= calls_of_ray()
    assert allowed == calls_of_ray() - NOT_USED


def test_the_head_may_do_less_than_whoever_started_it() -> None:
    assert actions("iam-head") < actions("iam-launch")
    assert not {action for action in actions("iam-head") if re.search("Security|KeyPair", action)}


@pytest.mark.parametrize("name", POLICIES)
def test_policies_allow_named_actions_that_exist(name: str) -> None:
    known = {f"ec2:{action}" for action in Loader().load_service_model("ec2", "service-2")["operations"]}
    assert POLICIES[name]["Version"] == "2012-10-17"
    for statement in POLICIES[name]["Statement"]:
        assert statement["Effect"] == "Allow"
        assert statement["Resource"]
    assert {action for action in actions(name) if action.startswith("ec2:")} <= known
    assert not {action for action in actions(name) if "*" in action}
    assert f"`{name}.json`" in README


def test_instances_of_this_cluster_alone_are_stopped_and_ended() -> None:
    for policy in ("iam-launch", "iam-head"):
        (ending,) = [s for s in POLICIES[policy]["Statement"] if "ec2:TerminateInstances" in s["Action"]]
        assert ending["Condition"]["StringEquals"] == {"aws:ResourceTag/ray-cluster-name": CLUSTER["cluster_name"]}


def test_nodes_reach_the_objects_of_the_home_alone() -> None:
    reach = {a: s["Resource"] for s in POLICIES["iam-home"]["Statement"] for a in s["Action"]}
    assert reach.pop("s3:ListBucket") == "arn:aws:s3:::bucket"
    assert set(reach) == {"s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"}
    assert set(reach.values()) == {"arn:aws:s3:::bucket/pinfunnel/*"}


def priced() -> dict[str, tuple[str, float, int]]:
    """Instance type, dollars an hour and GB of disk of each node type, from the page's table."""
    rows = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \| ([\d.]+) \| (\d+) GB \|$", README, flags=re.MULTILINE)
    return {name: (instance, float(price), int(disk)) for name, instance, price, disk in rows}


def test_the_priced_machines_are_those_of_the_cluster_file() -> None:
    def of(kind: dict[str, Any]) -> tuple[str, int]:
        (disk,) = kind["node_config"]["BlockDeviceMappings"]
        return kind["node_config"]["InstanceType"], disk["Ebs"]["VolumeSize"]

    assert {n: (instance, disk) for n, (instance, _, disk) in priced().items()} == {
        name: of(kind) for name, kind in NODE_TYPES.items()
    }


def dollars_an_hour(nodes: dict[str, int]) -> float:
    table = priced()
    running = sum(table[name][1] * count for name, count in nodes.items())
    disks = sum(table[name][2] * count for name, count in nodes.items()) * GB_MONTH / MONTH_HOURS
    return running + disks + ADDRESS_HOUR * sum(nodes.values())


def test_sums_are_those_of_the_table() -> None:
    least = {name: kind.get("min_workers", 0) for name, kind in NODE_TYPES.items()} | {"head": 1}
    most: dict[str, int] = {}
    for name in sorted(set(NODE_TYPES) - {"head"}, key=lambda name: -priced()[name][1]):
        most[name] = min(NODE_TYPES[name]["max_workers"], CLUSTER["max_workers"] - sum(most.values()))
    least_told, most_told = (float(told) for told in re.findall(r"\*\*\$([\d.]+)\*\* an hour", README))
    assert least_told == pytest.approx(dollars_an_hour(least), abs=0.005)
    assert most_told == pytest.approx(dollars_an_hour(most | {"head": 1}), abs=0.005)
    left = sum(priced()[name][2] * count for name, count in least.items()) * GB_MONTH
    assert f"${left:.0f} a month" in README
