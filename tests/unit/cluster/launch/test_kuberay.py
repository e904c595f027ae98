"""The RayService is what KubeRay's operator takes: by its own types (ray-operator/apis/ray/v1) and those of pods."""

import re
from pathlib import Path
from typing import Any, Literal

import kubernetes_validate
import pytest
import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

FILE = Path(__file__).parents[4] / "cluster" / "launch" / "kuberay-rayservice.yaml"


class Go(BaseModel):
    """A struct of the operator: other fields are refused, and no text is a number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class AuthOptions(Go):
    mode: Literal["disabled", "token"] = "token"
    secretName: str | None = None
    enableK8sTokenAuth: bool | None = None


class RedisCredential(Go):
    value: str = ""
    valueFrom: dict[str, Any] | None = None


class GcsFaultToleranceOptions(Go):
    redisAddress: str
    redisUsername: RedisCredential | None = None
    redisPassword: RedisCredential | None = None
    externalStorageNamespace: str = ""


class HeadGroupSpec(Go):
    template: dict[str, Any]
    rayStartParams: dict[str, str]
    headService: dict[str, Any] | None = None
    enableIngress: bool | None = None
    serviceType: str = ""


class WorkerGroupSpec(Go):
    groupName: str
    template: dict[str, Any]
    rayStartParams: dict[str, str]
    minReplicas: int
    maxReplicas: int
    replicas: int | None = None
    idleTimeoutSeconds: int | None = None
    numOfHosts: int = 1
    suspend: bool | None = None
    scaleStrategy: dict[str, list[str]] | None = None


class RayClusterSpec(Go):
    headGroupSpec: HeadGroupSpec
    workerGroupSpecs: list[WorkerGroupSpec] = []
    rayVersion: str = ""
    authOptions: AuthOptions | None = None
    gcsFaultToleranceOptions: GcsFaultToleranceOptions | None = None
    enableInTreeAutoscaling: bool | None = None
    autoscalerOptions: dict[str, Any] | None = None
    headServiceAnnotations: dict[str, str] = {}
    managedBy: str | None = None
    suspend: bool | None = None


class RayServiceSpec(Go):
    rayClusterConfig: RayClusterSpec
    serveConfigV2: str = ""
    serveService: dict[str, Any] | None = None
    excludeHeadPodFromServeSvc: bool = False


class RayService(Go):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayService"]
    metadata: dict[str, Any]
    spec: RayServiceSpec


def with_everything() -> str:
    """The file with what it has as comments to be taken in: lines of YAML behind `# `, as deep as they stand."""
    return re.sub(r"^( +)# ((?: *)[A-Za-z]+:(?: \S.*)?)$", r"\1\2", FILE.read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("text", [FILE.read_text(), with_everything()], ids=["as it is", "with its comments"])
def test_the_operator_takes_the_file(text: str) -> None:
    spec = RayService.model_validate(yaml.safe_load(text)).spec
    groups = [spec.rayClusterConfig.headGroupSpec, *spec.rayClusterConfig.workerGroupSpecs]
    for group in groups:
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, **group.template}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
    names = [group.groupName for group in spec.rayClusterConfig.workerGroupSpecs]
    assert len(names) == len(set(names))


def test_its_comments_hold_a_redis_for_the_head() -> None:
    spec = RayService.model_validate(yaml.safe_load(with_everything())).spec
    assert spec.rayClusterConfig.gcsFaultToleranceOptions is not None
    assert (
        RayService.model_validate(yaml.safe_load(FILE.read_text())).spec.rayClusterConfig.gcsFaultToleranceOptions
        is None
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [("enableInTreeAutoscaling: true", "enableInTreeAutoscalling: true"), ('num-cpus: "0"', "num-cpus: 0")],
)
def test_a_slip_in_the_file_would_be_seen(old: str, new: str) -> None:
    text = FILE.read_text()
    assert old in text
    with pytest.raises(ValidationError):
        RayService.model_validate(yaml.safe_load(text.replace(old, new)))
