"""The alert rules, by Prometheus's own tool: each fires on what it is for, and is silent on a day like any other."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[4]
RULES = ROOT / "cluster" / "launch" / "alerts.yaml"
NODE = '{NodeAddress="10.0.0.2", node_id="n2"}'
OTHER = '{NodeAddress="10.0.0.3", node_id="n3"}'


def calls(code: int) -> str:
    """The series of calls of one status."""
    labels = f'application="pinfunnel", method="POST", route="/", status_code="{code}"'
    return f"ray_serve_num_http_requests_total{{{labels}}}"


def healthy(deployment: str) -> str:
    """The series of whether a deployment's replica is healthy."""
    return f'ray_serve_deployment_replica_healthy{{application="pinfunnel", deployment="{deployment}"}}'


def within(milliseconds: str) -> str:
    """The series of the answers that took no longer."""
    return f'ray_pinfunnel_request_milliseconds_bucket{{client="ads", le="{milliseconds}"}}'


def made(replica: str) -> str:
    """The series of when a replica's graph was made."""
    return f'ray_pinfunnel_bundle_timestamp_seconds{{kind="graph", replica="{replica}"}}'


RECOMMENDED = calls(200)
FAILED = calls(500)
LOST = 'ray_pinfunnel_events_total{outcome="not_stored"}'
ANSWERS = 'ray_pinfunnel_request_milliseconds_count{client="ads"}'
GROWS = "0+60x90"
ORDINARY = {  # by series: a value a minute; an hour and a half in which nothing is wrong
    healthy("ingress"): "1x90",
    healthy("walk"): "1x90",
    RECOMMENDED: GROWS,
    FAILED: "0x90",
    LOST: "0x90",
    ANSWERS: GROWS,
    within("100"): GROWS,
    within("1000"): GROWS,
    within("+Inf"): GROWS,
    'ray_pinfunnel_refused_total{why="full"}': "0x90",
    'ray_pinfunnel_degraded_total{client="ads"}': "0+1x90",
    'ray_pinfunnel_log_dropped_total{client="ads"}': "0x90",
    'ray_pinfunnel_log_oldest_seconds{log="events"}': "30x90",
    'ray_pinfunnel_log_problems{log="events"}': "0x90",
    'ray_pinfunnel_bundle_problems{kind="graph"}': "0x90",
    made("a"): "3x90",
    made("b"): "3x90",
    'ray_pinfunnel_feature_psi{client="ads", feature="age"}': "0.05x90",
    f"ray_node_disk_free{NODE}": "50x90",
    f"ray_node_disk_usage{NODE}": "50x90",
    f"ray_node_mem_used{NODE}": "50x90",
    f"ray_node_mem_total{NODE}": "100x90",
    f"ray_node_mem_total{OTHER}": "100x90",
    f"ray_serve_haproxy_process_count{NODE}": "1x90",
}
FAULTS = {  # by alert: the series that are other than on an ordinary day
    "FunnelDown": {healthy("ingress"): "1x10 0x80"},
    "StageDown": {healthy("walk"): "1x10 0x80"},
    "EventsNotStored": {LOST: "0+1x90"},
    "ServerErrors": {FAILED: "0+2x90"},
    "CallsRefused": {'ray_pinfunnel_refused_total{why="full"}': "0+2x90"},
    "AnswersDegraded": {'ray_pinfunnel_degraded_total{client="ads"}': "0+6x90"},
    "AnswersSlow": {within("100"): "0+50x90"},
    "LogDropsRows": {'ray_pinfunnel_log_dropped_total{client="ads"}': "0x80 1x10"},
    "LogBehind": {'ray_pinfunnel_log_oldest_seconds{log="events"}': "0+60x90"},
    "LogProblem": {'ray_pinfunnel_log_problems{log="events"}': "1x90"},
    "BundleSetAside": {'ray_pinfunnel_bundle_problems{kind="graph"}': "1x90"},
    "ReplicasDisagree": {made("b"): "2x90"},
    "GraphOld": {made("a"): "1x90", made("b"): "1x90"},  # of 1970, and the tests' clock begins then
    "FeatureMoved": {'ray_pinfunnel_feature_psi{client="ads", feature="age"}': "0.3x90"},
    "DiskNearlyFull": {f"ray_node_disk_free{NODE}": "5x90"},
    "MemoryNearlyFull": {f"ray_node_mem_used{NODE}": "93x90"},
    "NodeGone": {f"ray_node_mem_total{OTHER}": "100x60 _x30"},
    "ProxyGone": {f"ray_serve_haproxy_process_count{NODE}": "0x90"},
}


def promtool(*arguments: str | Path) -> str:
    """What it says. Without it the test is skipped, and says how it is had."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not here: apt-get install prometheus")
    done = subprocess.run([tool, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> dict[str, dict[str, object]]:
    """By name."""
    return {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}


def day(changed: dict[str, str], firing: list[str]) -> dict[str, object]:
    """A test of promtool: an ordinary day but for some series, at whose end these alerts fire."""
    at, unit = (50, "h") if firing == ["GraphOld"] else (88, "m")
    series = {**ORDINARY, **changed}
    return {
        "interval": f"1{unit}",
        "input_series": [{"series": name, "values": told} for name, told in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{at}{unit}",
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing],
            }
        ],
    }


def test_each_alert_fires_on_its_fault_alone_and_none_on_an_ordinary_day(tmp_path: Path) -> None:
    assert set(FAULTS) == set(rules())
    file = tmp_path / "days.yaml"
    days = [day({}, []), *(day(changed, [name]) for name, changed in FAULTS.items())]
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": days}))
    promtool("test", "rules", file)


def test_prometheus_takes_the_files_that_ship() -> None:
    assert "SUCCESS" in promtool("check", "config", RULES.with_name("prometheus.yaml"))


def test_every_alert_says_whom_it_wakes_what_is_wrong_and_what_to_do() -> None:
    page = (ROOT / "docs" / "telemetry.md").read_text()
    for name, rule in rules().items():
        assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"}), name
        assert set(rule["annotations"]) == {"summary", "action"}, name  # type: ignore[call-overload]
        assert re.search(rf"^\| `{name}` \| {rule['labels']['severity']} \|", page, re.M), name  # type: ignore[index]
